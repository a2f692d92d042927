//! Unpacked copies: for whoever starts many programs on one data set, each of which would unpack it again.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use cldl_core::files::write_atomically;

use crate::dirs::is_packed;
use crate::manifest::{Content, manifest, sha256};
use crate::source::{origin, read_files};
use crate::{DataDirs, DataError, DatasetName, Split, cifar};

/// Puts what is packed of a data set's test images and first `examples` training images into a folder below
/// `folder`, unpacked and checked, and returns that folder, which is a data directory. None if nothing is
/// packed.
///
/// The folder's name follows from where the packed files lie, how long they are and when they were written:
/// a copy of the same ones is not made again, and one of others is another.
///
/// # Errors
/// As [`Dataset::load`](crate::Dataset::load), or the copy can't be written.
pub fn unpacked(
    name: DatasetName,
    examples: usize,
    dirs: &DataDirs,
    folder: &Path,
) -> Result<Option<PathBuf>, DataError> {
    let files = |split| match (name, split) {
        (DatasetName::Cifar10, Split::Train) => {
            cifar::files_of_first(examples, manifest(name).files(split))
        }
        _ => manifest(name).files(split),
    };
    let files = [Split::Train, Split::Test].map(files);
    let mut origins = Vec::new();
    for file in files.into_iter().flatten() {
        let path = origin(name, file, dirs).ok_or_else(|| dirs.not_found(name, &file.name))?;
        if is_packed(&path) {
            origins.push(identity(&path).map_err(refused("read", &path))?);
        }
    }
    if origins.is_empty() {
        return Ok(None);
    }
    let copy = folder.join(&sha256(origins.join("\n").as_bytes())[..12]);
    let place = |file: &Content| copy.join(name.as_str()).join(&file.name);
    let is_there = |file: &Content| {
        fs::metadata(place(file)).is_ok_and(|found| found.len() == file.bytes as u64)
    };
    for files in files {
        if files.iter().all(is_there) {
            continue;
        }
        for (content, source) in read_files(name, files, dirs) {
            let source = source?;
            source.check(name, content)?;
            let place = place(content);
            write_atomically(&place, &source.bytes).map_err(refused("write", &place))?;
        }
    }
    Ok(Some(copy))
}

/// What changes when a file is replaced.
fn identity(path: &Path) -> std::io::Result<String> {
    let (path, found) = (path.canonicalize()?, fs::metadata(path)?);
    let written = found.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
    Ok(format!("{} {} {}", path.display(), found.len(), written.as_nanos()))
}

fn refused(what: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> DataError {
    let path = path.to_path_buf();
    move |reason| DataError::Io { what, path, reason }
}
