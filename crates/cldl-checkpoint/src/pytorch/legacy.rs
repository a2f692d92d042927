//! PyTorch's format before 1.6: five pickles (magic number, version, system, the object, the storages' keys), then
//! each storage: how many numbers, and the numbers.

use std::collections::BTreeMap;

use super::pickle::{Pickle, Value};
use super::tensor::{Storage, all_storages};

/// A file in the old format; the storages follow its pickles.
pub(super) struct Legacy<'a> {
    pub(super) pickle: Pickle,
    keys: Vec<String>,
    rest: &'a [u8],
}

/// `torch.serialization.MAGIC_NUMBER` as a pickle of protocol 2.
const MAGIC: &[u8] = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.";

impl<'a> Legacy<'a> {
    /// Whether a file starts as the old format does.
    pub(super) fn is(bytes: &[u8]) -> bool {
        bytes.starts_with(MAGIC)
    }

    pub(super) fn open(bytes: &'a [u8]) -> Result<Self, String> {
        let mut rest = bytes;
        let mut next = || -> Result<Pickle, String> {
            let pickle = Pickle::read(rest)?;
            rest = &rest[pickle.length..];
            Ok(pickle)
        };
        let (_magic, _version, system) = (next()?, next()?, next()?);
        if is_big_endian(&system) {
            return Err("has big-endian numbers".to_owned());
        }
        let (pickle, keys) = (next()?, next()?);
        let Value::List(ids) = keys.root() else { return Err("is damaged".to_owned()) };
        let keys: Option<Vec<_>> = ids.iter().map(|id| keys.text(*id).map(str::to_owned)).collect();
        Ok(Self { pickle, keys: keys.ok_or("is damaged")?, rest })
    }

    /// The bytes of all storages by key: they lie one behind the other, those of an optimizer too.
    pub(super) fn storages(&self) -> Result<BTreeMap<String, Vec<u8>>, String> {
        let known = all_storages(&self.pickle)?.into_iter().map(|storage| (storage.key, storage));
        let known: BTreeMap<&str, Storage<'_>> = known.collect();
        let (mut rest, mut contents) = (self.rest, BTreeMap::new());
        for key in &self.keys {
            let size = known.get(key.as_str()).and_then(Storage::bytes);
            let size = size.ok_or_else(|| format!("has a storage `{key}` without a tensor"))?;
            // The count in front is the one that the pickle told.
            let end = size.checked_add(8).filter(|end| *end <= rest.len());
            let end = end.ok_or("ends in the middle of its numbers")?;
            contents.insert(key.clone(), rest[8..end].to_vec());
            rest = &rest[end..];
        }
        Ok(contents)
    }
}

fn is_big_endian(system: &Pickle) -> bool {
    let Value::Dict(pairs) = system.root() else { return false };
    pairs.iter().any(|(key, value)| {
        system.text(*key) == Some("little_endian") && *system.get(*value) == Value::Bool(false)
    })
}
