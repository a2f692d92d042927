//! The IDX format of MNIST and Fashion-MNIST: a magic number, the dimensions, the bytes.
//!
//! Every number is big-endian. The reader is told which shape examples have and takes nothing else;
//! of the published files their number too. A header alone never makes the reader allocate.

/// Element type "unsigned byte" in the third byte of the magic number.
const UNSIGNED_BYTE: u8 = 8;

/// Bytes before the elements of an array with so many dimensions.
pub(crate) fn header_length(dimensions: usize) -> usize {
    4 + 4 * dimensions
}

/// The number of examples that `header` announces, whose shape must be `shape`.
///
/// # Errors
/// What is wrong with the header: its length, magic number or dimensions.
pub(crate) fn examples(header: &[u8], shape: &[usize]) -> Result<usize, String> {
    let dimensions = dimensions(header, 1 + shape.len())?;
    match dimensions.split_first() {
        Some((examples, found)) if found == shape => Ok(*examples),
        _ => Err(format!("the dimensions are {dimensions:?}, expected any number of {shape:?}")),
    }
}

/// The elements of the IDX file `bytes`, whose dimensions must be `expected`.
///
/// # Errors
/// What is wrong with the file: its magic number, dimensions or length.
pub(crate) fn parse(mut bytes: Vec<u8>, expected: &[usize]) -> Result<Vec<u8>, String> {
    let header = header_length(expected.len());
    let dimensions = dimensions(&bytes, expected.len())?;
    if dimensions != expected {
        return Err(format!("the dimensions are {dimensions:?}, expected {expected:?}"));
    }
    let length: usize = expected.iter().product();
    if bytes.len() - header != length {
        return Err(format!(
            "{} bytes follow the header, which promises {length}",
            bytes.len() - header
        ));
    }
    bytes.drain(..header);
    Ok(bytes)
}

/// The `count` dimensions in the header at the start of `bytes`.
fn dimensions(bytes: &[u8], count: usize) -> Result<Vec<usize>, String> {
    let magic = [0, 0, UNSIGNED_BYTE, count as u8];
    let Some(found) = bytes.first_chunk::<4>() else {
        return Err(format!("{} bytes are too few for an IDX file", bytes.len()));
    };
    if *found != magic {
        return Err(format!(
            "the magic number is 0x{:08x}, expected 0x{:08x}",
            u32::from_be_bytes(*found),
            u32::from_be_bytes(magic)
        ));
    }
    let Some(dimensions) = bytes.get(4..header_length(count)) else {
        return Err("the file ends within its header".to_owned());
    };
    let numbers = dimensions.as_chunks::<4>().0.iter();
    Ok(numbers.map(|number| u32::from_be_bytes(*number) as usize).collect())
}

#[cfg(test)]
pub(crate) fn write(elements: &[u8], dimensions: &[usize]) -> Vec<u8> {
    let mut bytes = vec![0, 0, UNSIGNED_BYTE, dimensions.len() as u8];
    for dimension in dimensions {
        bytes.extend((*dimension as u32).to_be_bytes());
    }
    bytes.extend(elements);
    bytes
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{parse, write};

    proptest! {
        #[test]
        fn reads_what_was_written(n in 0usize..5, rows in 1usize..4, columns in 1usize..4, pixel: u8) {
            let elements = vec![pixel; n * rows * columns];
            let file = write(&elements, &[n, rows, columns]);
            prop_assert_eq!(parse(file, &[n, rows, columns]).unwrap(), elements);
        }

        #[test]
        fn random_bytes_are_an_error(bytes: Vec<u8>) {
            prop_assert!(parse(bytes, &[60_000, 28, 28]).is_err());
        }

        #[test]
        fn a_cut_a_longer_tail_or_a_flipped_header_bit_is_an_error(
            cut in 0usize..24, bit in 0usize..96, tail in 1usize..9,
        ) {
            let file = write(&[7; 12], &[3, 4]);
            prop_assert!(parse(file[..cut].to_vec(), &[3, 4]).is_err());
            prop_assert!(parse([file.clone(), vec![0; tail]].concat(), &[3, 4]).is_err());
            let mut flipped = file;
            flipped[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(parse(flipped, &[3, 4]).is_err());
        }
    }

    #[test]
    fn a_header_that_claims_four_gigabytes_is_refused() {
        let file = write(&[0; 64], &[u32::MAX as usize, 28, 28]);
        let error = parse(file, &[60_000, 28, 28]).unwrap_err();
        assert_eq!(error, "the dimensions are [4294967295, 28, 28], expected [60000, 28, 28]");
    }

    #[test]
    fn a_labels_file_in_place_of_images_is_refused() {
        let error = parse(write(&[1, 2], &[2]), &[2, 28, 28]).unwrap_err();
        assert_eq!(error, "the magic number is 0x00000801, expected 0x00000803");
    }
}
