//! Files as they are once unpacked: plain, `.gz` or `.xz`, told apart by their first bytes.
//!
//! The length of the content is known beforehand, or said by its header, and nothing beyond it is
//! unpacked: a small file that claims gigabytes costs no memory.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use flate2::bufread::GzDecoder;
use lzma_rust2::XzReader;

use crate::idx;

/// Bytes of content of unknown length that are taken at most: 1.4 million images of CIFAR-10's size.
const MOST: u64 = 1 << 32;

/// The content of the file at `path`, which must be `length` bytes long.
///
/// # Errors
/// The inner error is what is wrong with the content: its length or its packing.
pub(crate) fn unpack(path: &Path, length: usize) -> io::Result<Result<Vec<u8>, String>> {
    unpack_by(path, |reader| exactly(reader, length))
}

/// The elements of the IDX file at `path`: as many examples as its header says, of `shape` each.
///
/// # Errors
/// As [`unpack`], or the header is not what `shape` asks for.
pub(crate) fn unpack_idx(path: &Path, shape: &[usize]) -> io::Result<Result<Vec<u8>, String>> {
    unpack_by(path, |reader| idx_elements(reader, shape))
}

/// The elements of the IDX file in `reader`: see [`unpack_idx`].
pub(crate) fn idx_elements(reader: &mut dyn Read, shape: &[usize]) -> Result<Vec<u8>, String> {
    let mut header = vec![0; idx::header_length(1 + shape.len())];
    reader.read_exact(&mut header).map_err(|e| match e.kind() {
        io::ErrorKind::UnexpectedEof => "the file ends within its header".to_owned(),
        _ => format!("damaged within its header ({e})"),
    })?;
    let examples = idx::examples(&header, shape)?;
    let length = shape.iter().try_fold(examples, |n, side| n.checked_mul(*side));
    exactly(reader, length.ok_or("the header promises more than any file holds")?)
}

/// The content of the file at `path`, of any length up to [`MOST`].
///
/// # Errors
/// As [`unpack`].
pub(crate) fn unpack_all(path: &Path) -> io::Result<Result<Vec<u8>, String>> {
    unpack_by(path, |reader| {
        let mut content = Vec::new();
        match reader.take(MOST + 1).read_to_end(&mut content) {
            Err(e) => Err(format!("damaged after {} bytes of content ({e})", content.len())),
            Ok(length) if length as u64 > MOST => Err(format!("more than {MOST} bytes of content")),
            Ok(_) => Ok(content),
        }
    })
}

/// What `read` makes of the unpacked content of the file at `path`; all of it must be read.
fn unpack_by(
    path: &Path,
    read: impl FnOnce(&mut dyn Read) -> Result<Vec<u8>, String>,
) -> io::Result<Result<Vec<u8>, String>> {
    unpack_from(BufReader::with_capacity(1 << 16, File::open(path)?), read)
}

/// What `read` makes of the unpacked content of `file`; all of it must be read.
pub(crate) fn unpack_from(
    mut file: impl BufRead,
    read: impl FnOnce(&mut dyn Read) -> Result<Vec<u8>, String>,
) -> io::Result<Result<Vec<u8>, String>> {
    let content = match file.fill_buf()? {
        [0x1f, 0x8b, ..] => {
            let mut packed = GzDecoder::new(file);
            read(&mut packed).and_then(|content| ended(&mut packed.into_inner(), content))
        }
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => {
            let mut packed = XzReader::new(file, false);
            read(&mut packed).and_then(|content| ended(&mut packed.into_inner(), content))
        }
        _ => read(&mut file),
    };
    Ok(content)
}

/// All `length` bytes of `reader`, and no more.
pub(crate) fn exactly(reader: &mut (impl Read + ?Sized), length: usize) -> Result<Vec<u8>, String> {
    let mut content = Vec::new();
    // One byte more than wanted tells a longer content; a whole one also has its checks run.
    match reader.take(length as u64 + 1).read_to_end(&mut content) {
        Err(e) => Err(format!("damaged after {} bytes of content ({e})", content.len())),
        Ok(found) if found > length => Err(format!("more than the {length} bytes expected")),
        Ok(found) if found < length => Err(format!("{found} bytes of content, expected {length}")),
        Ok(_) => Ok(content),
    }
}

fn ended(packed: &mut impl BufRead, content: Vec<u8>) -> Result<Vec<u8>, String> {
    match packed.fill_buf() {
        Ok([]) => Ok(content),
        Ok(_) => Err("something follows the packed content".to_owned()),
        Err(e) => Err(e.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::{Compression, write::GzEncoder};
    use proptest::prelude::*;

    use super::*;

    /// "eleven byte" packed by `xz --check=crc32`.
    const XZ: &[u8] = &[
        253, 55, 122, 88, 90, 0, 0, 1, 105, 34, 222, 54, 2, 0, 33, 1, 22, 0, 0, 0, 116, 47, 229,
        163, 1, 0, 10, 101, 108, 101, 118, 101, 110, 32, 98, 121, 116, 101, 0, 0, 138, 84, 33, 107,
        0, 1, 31, 11, 61, 98, 14, 122, 144, 66, 153, 13, 1, 0, 0, 0, 0, 1, 89, 90,
    ];

    fn gz(content: &[u8]) -> Vec<u8> {
        let mut packer = GzEncoder::new(Vec::new(), Compression::best());
        packer.write_all(content).unwrap();
        packer.finish().unwrap()
    }

    fn unpacked(file: &[u8], length: usize) -> Result<Vec<u8>, String> {
        let mut path = tempfile::NamedTempFile::new().unwrap();
        path.write_all(file).unwrap();
        unpack(path.path(), length).unwrap()
    }

    #[test]
    fn every_packing_gives_the_content() {
        for file in [b"eleven byte".as_slice(), &gz(b"eleven byte"), XZ] {
            assert_eq!(unpacked(file, 11).unwrap(), b"eleven byte");
            assert!(unpacked(file, 10).unwrap_err().contains("more than the 10 bytes"));
            assert_eq!(unpacked(file, 12).unwrap_err(), "11 bytes of content, expected 12");
        }
    }

    #[test]
    fn a_cut_or_a_longer_file_is_an_error() {
        for file in [&gz(b"eleven byte"), XZ] {
            for cut in 0..file.len() {
                assert!(unpacked(&file[..cut], 11).is_err(), "{cut}");
            }
            let error = unpacked(&[file, b"tail"].concat(), 11).unwrap_err();
            assert_eq!(error, "something follows the packed content");
        }
    }

    #[test]
    fn damage_within_a_header_is_told_from_a_short_file() {
        let elements = |file: &[u8]| unpack_from(file, |reader| idx_elements(reader, &[2, 2]));
        let damaged = elements(b"\x1f\x8b\x08\0\0\0\0\0\0\xff\xff\xff\xff\xff\xff").unwrap();
        assert!(damaged.unwrap_err().contains("damaged within its header"));
        assert_eq!(elements(&gz(b"four")).unwrap().unwrap_err(), "the file ends within its header");
    }

    #[test]
    fn a_bomb_is_unpacked_no_further_than_its_limit() {
        let bomb = gz(&vec![0; 1 << 24]);
        assert!(unpacked(&bomb, 1000).unwrap_err().contains("more than"));
    }

    proptest! {
        #[test]
        fn random_bytes_after_a_magic_number_never_panic(bytes: Vec<u8>, length in 0usize..99) {
            for magic in [&[0x1f, 0x8b, 8][..], b"\xfd7zXZ\0", b""] {
                let _ = unpacked(&[magic, &bytes].concat(), length);
            }
        }

        #[test]
        fn a_flipped_bit_never_gives_another_content(bit in 0usize..8 * 31) {
            for file in [gz(b"eleven byte"), XZ.to_vec()] {
                let mut flipped = file;
                flipped[bit / 8] ^= 1 << (bit % 8);
                if let Ok(content) = unpacked(&flipped, 11) {
                    prop_assert_eq!(content, b"eleven byte");
                }
            }
        }
    }
}
