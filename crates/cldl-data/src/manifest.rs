//! What each data set is made of: files, sizes, checksums, mirrors; see `datasets/manifest.toml`.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use crate::{DatasetName, Split};

/// The files of one data set.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Manifest {
    /// Where the files lie below a data directory, most usual place first.
    pub(crate) folders: Vec<String>,
    /// URLs that end in `/`: a download's name follows.
    pub(crate) mirrors: Vec<String>,
    train: Vec<Content>,
    test: Vec<Content>,
    pub(crate) downloads: Vec<Download>,
}

/// A file as it is once unpacked.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Content {
    pub(crate) name: String,
    pub(crate) bytes: usize,
    pub(crate) sha256: String,
    /// The checksum with the pixels of the records in `unknown` set to 0.
    masked: Option<String>,
    #[serde(default)]
    unknown: Vec<usize>,
}

/// A file as mirrors serve it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Download {
    pub(crate) name: String,
    pub(crate) bytes: u64,
    pub(crate) sha256: String,
}

impl Manifest {
    /// The files of `split`, in the order in which they are read.
    pub(crate) fn files(&self, split: Split) -> &[Content] {
        match split {
            Split::Train => &self.train,
            Split::Test => &self.test,
        }
    }
}

impl Content {
    /// Whether `bytes`, whose checksum is `sha256`, is the published content as far as it is known.
    pub(crate) fn is_published(&self, bytes: &[u8], sha256: &str) -> bool {
        if sha256 == self.sha256 {
            return true;
        }
        let Some(masked) = &self.masked else { return false };
        // Cheaper than a copy of the file: hash it piece by piece, with zeros for the gaps.
        let mut hash = Sha256::new();
        let mut at = 0;
        for record in &self.unknown {
            let pixels = record * crate::cifar::RECORD + 1;
            let end = pixels + crate::cifar::PIXELS;
            let (Some(known), true) = (bytes.get(at..pixels), end <= bytes.len()) else {
                return false;
            };
            hash.update(known);
            hash.update([0; crate::cifar::PIXELS]);
            at = end;
        }
        hash.update(&bytes[at..]);
        hex(&hash.finalize()) == *masked
    }
}

/// The manifest of `name`.
pub(crate) fn manifest(name: DatasetName) -> &'static Manifest {
    static ALL: LazyLock<BTreeMap<DatasetName, Manifest>> = LazyLock::new(|| {
        toml::from_str(include_str!("../../../datasets/manifest.toml"))
            .expect("the manifest is a part of the program: a test reads it")
    });
    &ALL[&name]
}

/// The SHA-256 of `bytes`, in hexadecimal.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// `bytes` in lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_data_set_is_described_whole() {
        for name in DatasetName::ALL {
            let manifest = manifest(name);
            assert!(manifest.mirrors.iter().all(|url| url.ends_with('/')), "{name}");
            for split in Split::ALL {
                let pixels: usize = name.image_shape().iter().product();
                let total: usize = manifest.files(split).iter().map(|file| file.bytes).sum();
                let headers = if name == DatasetName::Cifar10 { 0 } else { 16 + 8 };
                assert_eq!(
                    total,
                    name.n_examples(split) * (pixels + 1) + headers,
                    "{name} {split}"
                );
                for file in manifest.files(split) {
                    assert_eq!(file.sha256.len(), 64);
                }
            }
            assert!(manifest.downloads.iter().all(|file| file.sha256.len() == 64));
        }
    }

    #[test]
    fn a_checksum_may_leave_out_unknown_records() {
        let record = |label: u8, pixel: u8| {
            let mut bytes = vec![pixel; crate::cifar::RECORD];
            bytes[0] = label;
            bytes
        };
        let published = [record(1, 10), record(2, 20), record(3, 30)].concat();
        let zeroed = [record(1, 10), record(2, 0), record(3, 30)].concat();
        let content = Content {
            name: "batch".to_owned(),
            bytes: published.len(),
            sha256: sha256(b"another copy"),
            masked: Some(sha256(&zeroed)),
            unknown: vec![1],
        };
        let accepts = |bytes: &[u8]| content.is_published(bytes, &sha256(bytes));
        assert!(accepts(&published));
        assert!(accepts(&[record(1, 10), record(2, 99), record(3, 30)].concat()));
        assert!(!accepts(&[record(1, 10), record(7, 20), record(3, 30)].concat()));
        assert!(!accepts(&[record(1, 11), record(2, 20), record(3, 30)].concat()));
        assert!(!accepts(&published[..4000]));
        assert!(!accepts(b""));
    }
}
