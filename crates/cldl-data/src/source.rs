//! The checked content of a split's files, wherever they lie and however they are packed.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};
use std::thread;

use flate2::read::GzDecoder;
use sha2::{Digest as _, Sha256};

use crate::manifest::{Content, Download, Manifest, hex, manifest, sha256};
use crate::unpack::{exactly, unpack};
use crate::{DataDirs, DataError, DatasetName};

/// A file's content and where it was found.
pub(crate) struct Source {
    pub(crate) path: PathBuf,
    pub(crate) bytes: Vec<u8>,
    pub(crate) sha256: String,
    /// Whether the content is what was published.
    pub(crate) published: bool,
}

impl Source {
    /// # Errors
    /// If the content is not what was published.
    pub(crate) fn check(&self, name: DatasetName, content: &Content) -> Result<(), DataError> {
        if self.published {
            return Ok(());
        }
        let (expected, found) = (content.sha256.clone(), self.sha256.clone());
        Err(DataError::Checksum { name, path: self.path.clone(), expected, found })
    }
}

/// Where the content of `file` is: the file itself, plain or packed, or the archive that holds it.
pub(crate) fn origin(name: DatasetName, file: &Content, dirs: &DataDirs) -> Option<PathBuf> {
    dirs.find(name, &file.name).or_else(|| archive_in(name, dirs))
}

fn archive_in(name: DatasetName, dirs: &DataDirs) -> Option<PathBuf> {
    let (archive, _) = archive_of(manifest(name))?;
    dirs.find(name, &archive.name)
}

/// The `files` of a split, each with its content, in their order.
pub(crate) fn read_files(
    name: DatasetName,
    files: &'static [Content],
    dirs: &DataDirs,
) -> Vec<(&'static Content, Result<Source, DataError>)> {
    let paths: Vec<_> = files.iter().map(|file| dirs.find(name, &file.name)).collect();
    if paths.iter().any(Option::is_none)
        && let Some(path) = archive_in(name, dirs)
    {
        return read_archive(name, &path, files);
    }
    // Unpacking is most of the work, and the files are independent.
    thread::scope(|scope| {
        let readers: Vec<_> = files
            .iter()
            .zip(paths)
            .map(|(file, path)| {
                scope.spawn(move || match path {
                    Some(path) => read_file(name, file, path),
                    None => Err(dirs.not_found(name, &file.name)),
                })
            })
            .collect();
        files
            .iter()
            .zip(readers)
            .map(|(file, reader)| {
                // A panic of a reader is a bug: let it be seen.
                (file, reader.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            })
            .collect()
    })
}

fn read_file(name: DatasetName, file: &Content, path: PathBuf) -> Result<Source, DataError> {
    let bytes = match unpack(&path, file.bytes) {
        Ok(Ok(bytes)) => bytes,
        Ok(Err(what)) => return Err(DataError::Malformed { name, path, what }),
        Err(reason) => return Err(DataError::Io { what: "read", path, reason }),
    };
    let sha256 = sha256(&bytes);
    let published = file.is_published(&bytes, &sha256);
    Ok(Source { path, bytes, sha256, published })
}

/// The download of `manifest` that holds all files, with the folder they have in it.
fn archive_of(manifest: &Manifest) -> Option<(&Download, &'static str)> {
    let archive = manifest.downloads.iter().find(|download| download.name.ends_with(".tar.gz"))?;
    Some((archive, "cifar-10-batches-bin"))
}

/// The `files` in the archive at `path`. If its own checksum is the published one, so is its content.
fn read_archive(
    name: DatasetName,
    path: &Path,
    files: &'static [Content],
) -> Vec<(&'static Content, Result<Source, DataError>)> {
    let failed =
        |error: &dyn Fn() -> DataError| files.iter().map(|file| (file, Err(error()))).collect();
    let malformed = |what: String| DataError::Malformed { name, path: path.to_path_buf(), what };
    let (mut contents, found) = match unpack_archive(path, name, files) {
        Ok(Ok(unpacked)) => unpacked,
        Ok(Err(what)) => return failed(&|| malformed(what.clone())),
        Err(e) => {
            return failed(&|| DataError::Io {
                what: "read",
                path: path.to_path_buf(),
                reason: io::Error::new(e.kind(), e.to_string()),
            });
        }
    };
    let whole = archive_of(manifest(name)).is_some_and(|(archive, _)| archive.sha256 == found);
    files
        .iter()
        .map(|file| {
            let Some(bytes) = contents.remove(&file.name) else {
                return (file, Err(malformed(format!("`{}` is not in it", file.name))));
            };
            let sha256 = sha256(&bytes);
            let published = whole || file.is_published(&bytes, &sha256);
            (file, Ok(Source { path: path.to_path_buf(), bytes, sha256, published }))
        })
        .collect()
}

type Unpacked = (std::collections::BTreeMap<String, Vec<u8>>, String);

/// The contents of `files` by name, and the checksum of the archive itself.
fn unpack_archive(
    path: &Path,
    name: DatasetName,
    files: &[Content],
) -> io::Result<Result<Unpacked, String>> {
    let mut file = Hashed { inner: BufReader::new(File::open(path)?), hash: Sha256::new() };
    let folder = archive_of(manifest(name)).map_or("", |(_, folder)| folder);
    let contents = read_members(&mut tar::Archive::new(GzDecoder::new(&mut file)), folder, files);
    // The checksum is of all bytes, those after the last member too.
    io::copy(&mut file, &mut io::sink())?;
    Ok(contents.map(|contents| (contents, hex(&file.hash.finalize()))))
}

fn read_members(
    archive: &mut tar::Archive<impl Read>,
    folder: &str,
    files: &[Content],
) -> Result<std::collections::BTreeMap<String, Vec<u8>>, String> {
    let mut contents = std::collections::BTreeMap::new();
    for member in archive.entries().map_err(|e| e.to_string())? {
        let mut member = member.map_err(|e| format!("damaged archive ({e})"))?;
        let path = member.path().map_err(|e| e.to_string())?.into_owned();
        let wanted = files.iter().find(|file| path == Path::new(folder).join(&file.name));
        if let Some(file) = wanted {
            let content = exactly(&mut member, file.bytes)
                .map_err(|what| format!("in `{}`, {what}", file.name))?;
            contents.insert(file.name.clone(), content);
        }
    }
    Ok(contents)
}

/// A reader that hashes what it hands on.
struct Hashed<R> {
    inner: R,
    hash: Sha256,
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.hash.update(&buffer[..read]);
        Ok(read)
    }
}
