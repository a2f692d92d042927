//! CIFAR-10's binary version: records of a label byte, then 1024 red, 1024 green and 1024 blue
//! bytes, each row by row from the top. That is CHW order already: an image is copied as it is.

use crate::manifest::Content;

/// Channels, height and width of an image.
pub(crate) const SHAPE: [usize; 3] = [3, 32, 32];
/// Bytes of an image: 3 channels of 32 rows of 32 pixels.
pub(crate) const PIXELS: usize = 3 * 32 * 32;
/// Bytes of a record.
pub(crate) const RECORD: usize = 1 + PIXELS;

/// As many of `files`, from the first on, as hold `examples` records.
pub(crate) fn files_of_first(examples: usize, files: &[Content]) -> &[Content] {
    let mut records = 0;
    let needed = files.iter().take_while(|file| {
        let before = records;
        records += file.bytes / RECORD;
        before < examples.max(1)
    });
    &files[..needed.count()]
}

/// Appends the records in `bytes` to `images` and `labels`.
///
/// # Errors
/// If the length is no multiple of a record's.
pub(crate) fn parse(
    bytes: &[u8],
    images: &mut Vec<u8>,
    labels: &mut Vec<u8>,
) -> Result<(), String> {
    let (records, rest) = bytes.as_chunks::<RECORD>();
    if !rest.is_empty() {
        return Err(format!("{} bytes are no whole number of {RECORD}-byte records", bytes.len()));
    }
    for record in records {
        labels.push(record[0]);
        images.extend_from_slice(&record[1..]);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::manifest::manifest;
    use crate::{DatasetName, Split};

    #[test]
    fn a_record_is_channel_by_channel_and_row_by_row() {
        let mut record = vec![0; RECORD];
        record[0] = 6;
        record[1 + 5] = 50; // red, row 0, column 5
        record[1 + 1024 + 32 * 7 + 2] = 60; // green, row 7, column 2
        let (mut images, mut labels) = (Vec::new(), Vec::new());
        parse(&[record.clone(), record].concat(), &mut images, &mut labels).unwrap();
        assert_eq!(labels, [6, 6]);
        let pixel = |channel: usize, row: usize, column: usize| {
            images[PIXELS + (channel * 32 + row) * 32 + column]
        };
        assert_eq!((pixel(0, 0, 5), pixel(1, 7, 2), pixel(1, 2, 7)), (50, 60, 0));
    }

    #[test]
    fn no_more_files_than_the_examples_need() {
        let files = manifest(DatasetName::Cifar10).files(Split::Train);
        let needed = |examples| files_of_first(examples, files).len();
        assert_eq!([0, 1, 10_000, 10_001, 50_000, usize::MAX].map(needed), [1, 1, 1, 2, 5, 5]);
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic(bytes: Vec<u8>) {
            let (mut images, mut labels) = (Vec::new(), Vec::new());
            prop_assert_eq!(parse(&bytes, &mut images, &mut labels).is_ok(), bytes.is_empty());
        }
    }
}
