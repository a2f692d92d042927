//! A report on the files of a data set: where each one is, and whether it is the published one.

use std::path::PathBuf;

use serde::Serialize;

use crate::manifest::manifest;
use crate::source::read_files;
use crate::{DataDirs, DataError, DatasetName, Split};

/// The state of one file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FileReport {
    /// The split that the file belongs to.
    pub split: Split,
    /// The file's published name, without a packer's ending.
    pub file: String,
    /// Whether it is there and right.
    pub state: FileState,
    /// Where it was found, packed or not.
    pub path: Option<PathBuf>,
    /// The size of the content once unpacked.
    pub bytes: Option<usize>,
    /// The SHA-256 of the content once unpacked, in hexadecimal.
    pub sha256: Option<String>,
    /// What is wrong and what to do, if anything is.
    pub problem: Option<String>,
}

/// Whether a file is there and right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum FileState {
    /// The published content, as far as its checksum is known.
    Ok,
    /// Unreadable, malformed or another content.
    Wrong,
    /// In none of the data directories.
    Missing,
}

/// Checks every file of `name`, in the order in which [`Dataset::load`](crate::Dataset::load)
/// reads them.
pub fn verify(name: DatasetName, dirs: &DataDirs) -> Vec<FileReport> {
    let mut reports = Vec::new();
    for split in Split::ALL {
        for (content, source) in read_files(name, manifest(name).files(split), dirs) {
            let mut report = FileReport {
                split,
                file: content.name.clone(),
                state: FileState::Ok,
                path: None,
                bytes: None,
                sha256: None,
                problem: None,
            };
            let checked = source.and_then(|source| {
                report.path = Some(source.path.clone());
                report.bytes = Some(source.bytes.len());
                report.sha256 = Some(source.sha256.clone());
                source.check(name, content)
            });
            if let Err(error) = checked {
                report.state = match &error {
                    DataError::NotFound { .. } => FileState::Missing,
                    DataError::Malformed { path, .. } | DataError::Io { path, .. } => {
                        report.path = Some(path.clone());
                        FileState::Wrong
                    }
                    _ => FileState::Wrong,
                };
                report.problem = Some(error.to_string());
            }
            reports.push(report);
        }
    }
    reports
}
