//! CIFAR-10's binary version: records of a label byte, then 1024 red, 1024 green and 1024 blue
//! bytes, each row by row from the top. That is CHW order already: an image is copied as it is.

/// Channels, height and width of an image.
pub(crate) const SHAPE: [usize; 3] = [3, 32, 32];
/// Bytes of an image: 3 channels of 32 rows of 32 pixels.
pub(crate) const PIXELS: usize = 3 * 32 * 32;
/// Bytes of a record.
pub(crate) const RECORD: usize = 1 + PIXELS;

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

    proptest! {
        #[test]
        fn random_bytes_never_panic(bytes: Vec<u8>) {
            let (mut images, mut labels) = (Vec::new(), Vec::new());
            prop_assert_eq!(parse(&bytes, &mut images, &mut labels).is_ok(), bytes.is_empty());
        }
    }
}
