//! PyTorch's zip format: `NAME/data.pkl` and one file for each storage, `NAME/data/KEY`.

use std::collections::BTreeMap;
use std::io::{Cursor, Read as _};

use zip::ZipArchive;

use super::pickle::{LARGEST, Pickle};
use super::tensor::Storage;

/// A zip file that `torch.save` wrote.
pub(super) struct Archive<'a> {
    zip: ZipArchive<Cursor<&'a [u8]>>,
    /// Length of the file.
    length: u64,
    /// The folder that holds everything.
    prefix: String,
}

impl<'a> Archive<'a> {
    pub(super) fn open(bytes: &'a [u8]) -> Result<Self, String> {
        let zip = ZipArchive::new(Cursor::new(bytes)).map_err(|e| format!("is damaged: {e}"))?;
        let mut names = zip.file_names().filter_map(Result::ok);
        let prefix = names.find_map(|name| Some(name.strip_suffix("/data.pkl")?.to_owned()));
        drop(names);
        let Some(prefix) = prefix else {
            return Err("is a zip file, but not one of `torch.save`".to_owned());
        };
        Ok(Self { zip, length: bytes.len() as u64, prefix })
    }

    pub(super) fn pickle(&mut self) -> Result<Pickle, String> {
        if self.read("byteorder", 16).is_ok_and(|order| order != b"little") {
            return Err("has big-endian numbers".to_owned());
        }
        Pickle::read(&self.read("data.pkl", LARGEST as u64)?)
    }

    /// The bytes of `storages` by key.
    pub(super) fn storages<'b>(
        &mut self,
        storages: impl Iterator<Item = Storage<'b>>,
    ) -> Result<BTreeMap<String, Vec<u8>>, String> {
        let mut contents = BTreeMap::new();
        let mut room = self.length;
        for storage in storages {
            if contents.contains_key(storage.key) {
                continue;
            }
            let size = storage.bytes().ok_or("is damaged")? as u64;
            // Entries of a zip file may share their bytes; those of `torch.save` never do.
            room = room.checked_sub(size).ok_or("claims more numbers than the file can hold")?;
            let bytes = self.read(&format!("data/{}", storage.key), size)?;
            if bytes.len() as u64 != size {
                return Err(format!("is damaged: storage `{}` is too short", storage.key));
            }
            contents.insert(storage.key.to_owned(), bytes);
        }
        Ok(contents)
    }

    /// At most `limit` bytes of a file: memory follows what is there, not what a header promises.
    fn read(&mut self, name: &str, limit: u64) -> Result<Vec<u8>, String> {
        let path = format!("{}/{name}", self.prefix);
        let damaged = |e: &dyn std::fmt::Display| format!("is damaged: `{path}`: {e}");
        let file = self.zip.by_name(&path).map_err(|e| damaged(&e))?;
        let mut bytes = Vec::new();
        file.take(limit + 1).read_to_end(&mut bytes).map_err(|e| damaged(&e))?;
        if bytes.len() as u64 > limit { Err(damaged(&"is too long")) } else { Ok(bytes) }
    }
}
