//! The per-example outcome store: one small safetensors file for each [`Key`].
//!
//! A file holds `right` (bool) and `margin` (f32), both `[N]`, and in its metadata the key, the attack's
//! audit and the tensors' checksum as JSON. Its path follows from the key's digest. Files appear whole or not at all.
//! Every accuracy of every protocol is a query over these files, so that a protocol costs nothing.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};

use cldl_attacks::Audit;
use cldl_core::files::write_atomically;
use cldl_core::sums::sha256;
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use serde::{Deserialize, Serialize};

use crate::{EvalError, Key, Outcome};

/// The one entry of a file's metadata.
const METADATA: &str = "cldl";

/// A folder of outcomes.
#[derive(Debug, Clone)]
pub struct Store {
    root: PathBuf,
    strict: bool,
}

/// What the store keeps under a key.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// Right or wrong, and the margin, of each example.
    pub outcome: Outcome,
    /// What the attack did to the images; none for clean images.
    pub audit: Option<Audit>,
}

/// A file's metadata.
#[derive(Debug, Serialize, Deserialize)]
struct Metadata {
    key: Key,
    audit: Option<Audit>,
    /// SHA-256 of the margins' bytes and then the rights'; files of older versions have none.
    #[serde(default)]
    sha256: Option<String>,
}

impl Store {
    /// The store in folder `root`, which is made when something is saved.
    pub fn new(root: &Path) -> Self {
        Self { root: root.to_path_buf(), strict: false }
    }

    /// The same for whoever checks it: a damaged file is an error, never computed again.
    #[must_use]
    pub(crate) fn strict(&self) -> Self {
        Self { strict: true, ..self.clone() }
    }

    /// Its folder.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Whether something was ever saved here.
    pub fn exists(&self) -> bool {
        self.root.is_dir()
    }

    /// The file of `key`.
    ///
    /// # Errors
    /// If the key is no key, see [`Key::digest`].
    pub fn path(&self, key: &Key) -> Result<PathBuf, EvalError> {
        let digest = key.digest()?;
        // Two levels: folders of many thousand files are slow to list.
        Ok(self.root.join(&digest[..2]).join(format!("{}.safetensors", &digest[2..])))
    }

    /// What is kept under `key`, if anything.
    ///
    /// # Errors
    /// If the file can't be read, or is [damaged](EvalError::Damaged).
    pub fn load(&self, key: &Key) -> Result<Option<Record>, EvalError> {
        let path = self.path(key)?;
        match std::fs::read(&path) {
            Ok(bytes) => match parse(&bytes, key) {
                Ok(record) => Ok(Some(record)),
                Err(what) => Err(EvalError::Damaged { path, what }),
            },
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(reason) => Err(EvalError::Read { path, reason }),
        }
    }

    /// Checks every file of the store, from the files alone: that each is whole, and the one that its key
    /// names. Returns the number of files that are, and what is wrong with the others.
    ///
    /// # Errors
    /// If the folder can't be read.
    pub fn verify(&self) -> Result<(usize, Vec<String>), EvalError> {
        let mut folders = vec![self.root.clone()];
        let mut files = Vec::new();
        while let Some(path) = folders.pop() {
            let read = |reason| EvalError::Read { path: path.clone(), reason };
            for entry in std::fs::read_dir(&path).map_err(read)? {
                let path = entry.map_err(read)?.path();
                match path.extension() {
                    _ if path.is_dir() => folders.push(path),
                    Some(extension) if extension == "safetensors" => files.push(path),
                    // What a killed process left of a file that was being written.
                    _ => {}
                }
            }
        }
        files.sort();
        let (mut whole, mut problems) = (0, Vec::new());
        for path in files {
            match self.verify_file(&path) {
                Ok(()) => whole += 1,
                Err(what) => problems.push(format!("`{}`: {what}", path.display())),
            }
        }
        Ok((whole, problems))
    }

    fn verify_file(&self, path: &Path) -> Result<(), String> {
        let bytes = std::fs::read(path).map_err(|e| format!("can't be read: {e}"))?;
        let key = key_of(&bytes)?;
        parse(&bytes, &key)?;
        match self.path(&key) {
            Ok(expected) if expected == path => Ok(()),
            _ => Err("it is not where its key belongs".to_owned()),
        }
    }

    /// Everything that is kept about the model with digest `target`, in the order of the files' names. Files
    /// that can't be understood are left out.
    ///
    /// # Errors
    /// If a folder or file can't be read.
    pub fn about(&self, target: &str) -> Result<Vec<(Key, Record)>, EvalError> {
        let mut found = Vec::new();
        for folder in entries(&self.root)? {
            for path in entries(&folder)? {
                if path.extension().is_none_or(|extension| extension != "safetensors") {
                    continue;
                }
                let bytes = std::fs::read(&path)
                    .map_err(|reason| EvalError::Read { path: path.clone(), reason })?;
                let Ok(key) = key_of(&bytes) else { continue };
                if key.target == target
                    && let Ok(record) = parse(&bytes, &key)
                {
                    found.push((key, record));
                }
            }
        }
        Ok(found)
    }

    /// As [`Self::load`], but a damaged file counts as none, with a warning in the log: it will be
    /// computed again and replaced.
    ///
    /// # Errors
    /// If the file can't be read.
    pub fn load_intact(&self, key: &Key) -> Result<Option<Record>, EvalError> {
        match self.load(key) {
            Err(EvalError::Damaged { path, what }) if !self.strict => {
                tracing::warn!(
                    "`{}` is damaged and will be computed again: {what}",
                    path.display()
                );
                Ok(None)
            }
            other => other,
        }
    }

    /// Keeps `record` under `key`, in place of what was there.
    ///
    /// # Errors
    /// If the record has another number of examples than the key says, or the file can't be written.
    pub fn save(&self, key: &Key, record: &Record) -> Result<(), EvalError> {
        let n = record.outcome.len();
        if n != key.count || n != record.outcome.margin.len() {
            let what = format!("{n} outcomes under a key of {} examples", key.count);
            return Err(EvalError::Argument(what));
        }
        let invalid = |e: &dyn std::fmt::Display| EvalError::Argument(format!("no outcome: {e}"));
        let right: Vec<u8> = record.outcome.right.iter().map(|right| u8::from(*right)).collect();
        let margin: Vec<u8> = record.outcome.margin.iter().flat_map(|m| m.to_le_bytes()).collect();
        let tensors = [
            ("margin", TensorView::new(Dtype::F32, vec![n], &margin).map_err(|e| invalid(&e))?),
            ("right", TensorView::new(Dtype::BOOL, vec![n], &right).map_err(|e| invalid(&e))?),
        ];
        let sha256 = Some(checksum(&margin, &right));
        let metadata = Metadata { key: key.clone(), audit: record.audit, sha256 };
        let metadata = serde_json::to_string(&metadata).map_err(|e| invalid(&e))?;
        let metadata = HashMap::from([(METADATA.to_owned(), metadata)]);
        let bytes = safetensors::serialize(tensors, Some(metadata)).map_err(|e| invalid(&e))?;
        write_atomically(&self.path(key)?, &bytes).map_err(EvalError::Write)
    }
}

fn checksum(margin: &[u8], right: &[u8]) -> String {
    sha256(&[margin, right].concat())
}

/// What is in `folder`, sorted; nothing if it is no folder.
fn entries(folder: &Path) -> Result<Vec<PathBuf>, EvalError> {
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let read = || std::fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect();
    let paths: io::Result<Vec<PathBuf>> = read();
    let mut paths = paths.map_err(|reason| EvalError::Read { path: folder.to_owned(), reason })?;
    paths.sort();
    Ok(paths)
}

fn metadata_of(bytes: &[u8]) -> Result<Metadata, String> {
    let (_, header) =
        SafeTensors::read_metadata(bytes).map_err(|e| format!("no safetensors file: {e}"))?;
    let metadata = header.metadata().as_ref().and_then(|metadata| metadata.get(METADATA));
    serde_json::from_str(metadata.ok_or("it has no key")?)
        .map_err(|e| format!("its key can't be read: {e}"))
}

/// The key that the bytes of a file say they are the outcomes of.
///
/// # Errors
/// What is wrong with the file.
#[doc(hidden)]
pub fn key_of(bytes: &[u8]) -> Result<Key, String> {
    metadata_of(bytes).map(|metadata| metadata.key)
}

/// The record in the bytes of a file of `key`, or what is wrong with the file.
///
/// # Errors
/// What is wrong with the file.
#[doc(hidden)]
pub fn parse(bytes: &[u8], key: &Key) -> Result<Record, String> {
    let tensors =
        SafeTensors::deserialize(bytes).map_err(|e| format!("no safetensors file: {e}"))?;
    let metadata = metadata_of(bytes)?;
    if metadata.key != *key {
        return Err("it holds the outcomes of another key".to_owned());
    }
    let tensor = |name: &str, dtype: Dtype| {
        let tensor = tensors.tensor(name).map_err(|_| format!("it has no `{name}`"))?;
        if tensor.dtype() != dtype || tensor.shape() != [key.count] {
            let (dtype, shape) = (tensor.dtype(), tensor.shape());
            return Err(format!("`{name}` is {dtype:?} {shape:?}, expected [{}]", key.count));
        }
        Ok(tensor)
    };
    let (right, margin) = (tensor("right", Dtype::BOOL)?, tensor("margin", Dtype::F32)?);
    if metadata.sha256.is_some_and(|expected| checksum(margin.data(), right.data()) != expected) {
        return Err("its outcomes do not have their checksum".to_owned());
    }
    let right = right.data().iter().map(|byte| *byte != 0).collect();
    let margin: Vec<f32> = margin
        .data()
        .chunks_exact(4)
        .map(|bytes| f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
        .collect();
    Ok(Record { outcome: Outcome { right, margin }, audit: metadata.audit })
}

#[cfg(test)]
mod tests {
    use cldl_attacks::{AttackKind, AttackLoss, Audit};

    use super::{Record, Store};
    use crate::{AttackSpec, EvalError, Key, Outcome};

    fn example() -> (Key, Record) {
        let attack = AttackSpec::new(AttackKind::Pgd, 0.15, AttackLoss::Cw, 10, 2).unwrap();
        let key = Key::clean("target", "examples", 3).attacked("surrogate", attack);
        let outcome =
            Outcome { right: vec![true, false, true], margin: vec![0.5, -1.25, f32::INFINITY] };
        let audit = Audit { examples: 3, moved: 2, loss_after: 1.5, ..Audit::default() };
        (key, Record { outcome, audit: Some(audit) })
    }

    #[test]
    fn what_is_saved_is_loaded() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::new(folder.path());
        let (key, record) = example();
        assert_eq!(store.load(&key).unwrap(), None);
        store.save(&key, &record).unwrap();
        assert_eq!(store.load(&key).unwrap(), Some(record.clone()));
        let bytes = std::fs::read(store.path(&key).unwrap()).unwrap();
        store.save(&key, &record).unwrap();
        assert_eq!(std::fs::read(store.path(&key).unwrap()).unwrap(), bytes);
    }

    #[test]
    fn records_of_another_length_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let (key, record) = example();
        let key = Key { count: 4, ..key };
        assert!(Store::new(folder.path()).save(&key, &record).is_err());
    }

    #[test]
    fn damage_is_one_line_and_counts_as_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::new(folder.path());
        let (key, record) = example();
        store.save(&key, &record).unwrap();
        let path = store.path(&key).unwrap();
        let good = std::fs::read(&path).unwrap();
        let mut cut: Vec<Vec<u8>> = (0..good.len()).map(|n| good[..n].to_vec()).collect();
        cut.push(b"not at all".to_vec());
        cut.push([&[0xff; 8][..], &good[8..]].concat());
        let mut flipped = good.clone();
        flipped[good.len() - 1] ^= 1;
        cut.push(flipped);
        for bytes in cut {
            std::fs::write(&path, &bytes).unwrap();
            let error = store.load(&key).unwrap_err();
            assert!(matches!(error, EvalError::Damaged { .. }), "{error}");
            assert!(!error.to_string().contains('\n'), "{error}");
            assert_eq!(store.load_intact(&key).unwrap(), None);
        }
    }

    #[test]
    fn a_store_is_checked_from_its_files() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::new(folder.path());
        let (key, record) = example();
        store.save(&key, &record).unwrap();
        assert_eq!(store.verify().unwrap(), (1, vec![]));
        let path = store.path(&key).unwrap();
        std::fs::rename(&path, path.with_file_name("other.safetensors")).unwrap();
        let (whole, problems) = store.verify().unwrap();
        assert!(whole == 0 && problems[0].contains("where its key belongs"), "{problems:?}");
    }

    #[test]
    fn a_file_of_another_key_is_no_answer() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::new(folder.path());
        let (key, record) = example();
        store.save(&key, &record).unwrap();
        let other = Key { target: "other".to_owned(), ..key.clone() };
        let path = store.path(&other).unwrap();
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::copy(store.path(&key).unwrap(), path).unwrap();
        let error = store.load(&other).unwrap_err().to_string();
        assert!(error.contains("another key"), "{error}");
    }

    #[test]
    fn an_unwritable_store_names_the_file() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("file"), b"").unwrap();
        let (key, record) = example();
        let error = Store::new(&folder.path().join("file")).save(&key, &record).unwrap_err();
        assert!(error.to_string().starts_with("can't write `"), "{error}");
    }
}
