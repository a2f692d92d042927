//! The readers of files from elsewhere, as functions of bytes: for the fuzzers alone.

use std::path::Path;

use crate::{DataError, cifar as cifar_binary, custom, idx as idx_format, unpack as packed};

/// The elements of an IDX file with these dimensions.
///
/// # Errors
/// What is wrong with the file.
pub fn idx(bytes: Vec<u8>, dimensions: &[usize]) -> Result<Vec<u8>, String> {
    idx_format::parse(bytes, dimensions)
}

/// Images and labels of a file in CIFAR-10's binary format.
///
/// # Errors
/// What is wrong with the file.
pub fn cifar(bytes: &[u8]) -> Result<(Vec<u8>, Vec<u8>), String> {
    let (mut images, mut labels) = (Vec::new(), Vec::new());
    cifar_binary::parse(bytes, &mut images, &mut labels)?;
    Ok((images, labels))
}

/// The content of a file, plain or packed, that must be `length` bytes long.
///
/// # Errors
/// What is wrong with the file.
pub fn unpack(bytes: &[u8], length: usize) -> Result<Vec<u8>, String> {
    packed::unpack_from(bytes, |reader| packed::exactly(reader, length))
        .unwrap_or_else(|e| Err(e.to_string()))
}

/// The elements of an IDX file, plain or packed, of examples of this shape.
///
/// # Errors
/// What is wrong with the file.
pub fn unpack_idx(bytes: &[u8], shape: &[usize]) -> Result<Vec<u8>, String> {
    packed::unpack_from(bytes, |reader| packed::idx_elements(reader, shape))
        .unwrap_or_else(|e| Err(e.to_string()))
}

/// Whether `text` may be a `dataset.toml`.
///
/// # Errors
/// What is wrong with it.
pub fn dataset_toml(text: &str) -> Result<(), DataError> {
    custom::CustomFolder::parse(Path::new("data"), text).map(drop)
}
