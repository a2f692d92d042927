//! A state_dict as names and tensors, from whatever file holds it.

use std::collections::BTreeMap;
use std::path::Path;

use candle::{DType, Device, Tensor};
use cldl_core::FileDigest;

use super::archive::Archive;
use super::legacy::Legacy;
use super::pickle::{Id, Pickle, Value};
use super::tensor::{Storage, View, view};
use crate::error::{first_line, read};
use crate::{CheckpointError, Origin};

/// How deep dictionaries may be nested: `{"state_dict": {"model_0": {"conv1.weight": ..}}}`.
const DEEPEST: usize = 4;
/// How many entries all dictionaries may have.
const MOST_ENTRIES: usize = 100_000;
/// How long a tensor's name may be. A key may stand in many places, so that the pickle's length does not bound
/// what all names take.
const LONGEST_NAME: usize = 256;

/// Tensors by their names; those of a dictionary in a dictionary have a dot between the names.
#[derive(Debug)]
pub struct StateDict {
    /// The tensors, float32. Integers (a batch normalization's `num_batches_tracked`) are left out.
    pub tensors: BTreeMap<String, Tensor>,
    /// The file.
    pub origin: Origin,
}

/// Reads a file that `torch.save` wrote of a state_dict (or of a dictionary of them), or a safetensors file.
///
/// # Errors
/// If it is neither, is damaged, or wants to run code: one line that names the file.
pub fn read_state_dict(path: &Path) -> Result<StateDict, CheckpointError> {
    let bytes = read(path)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let tensors = tensors_of(&bytes).map_err(|problem| CheckpointError::invalid(path, problem))?;
    Ok(StateDict { tensors, origin: Origin { name, digest: FileDigest::of(&bytes) } })
}

pub(super) fn tensors_of(bytes: &[u8]) -> Result<BTreeMap<String, Tensor>, String> {
    if bytes.starts_with(b"PK\x03\x04") {
        let mut archive = Archive::open(bytes)?;
        let pickle = archive.pickle()?;
        let views = views(&pickle)?;
        let storages = archive.storages(storages_of(&views))?;
        return read_all(&views, &storages, bytes.len());
    }
    if Legacy::is(bytes) {
        let legacy = Legacy::open(bytes)?;
        let views = views(&legacy.pickle)?;
        let storages = legacy.storages()?;
        return read_all(&views, &storages, bytes.len());
    }
    let tensors = candle::safetensors::load_buffer(bytes, &Device::Cpu)
        .map_err(|_| "is neither a file of `torch.save` nor a safetensors file".to_owned())?;
    let weights = tensors.into_iter().filter(|(_, tensor)| tensor.dtype().is_float());
    weights.map(|(name, tensor)| Ok((name.clone(), exact(&name, &tensor)?))).collect()
}

/// `tensor` as float32, if that loses nothing.
fn exact(name: &str, tensor: &Tensor) -> Result<Tensor, String> {
    match tensor.dtype() {
        DType::F32 | DType::F16 | DType::BF16 => {
            tensor.to_dtype(DType::F32).map_err(|e| first_line(&e))
        }
        other => Err(format!("has a tensor `{name}` of {other:?}: save it as float32")),
    }
}

fn storages_of<'a>(views: &'a BTreeMap<String, View<'a>>) -> impl Iterator<Item = Storage<'a>> {
    views.values().map(|view| view.storage)
}

/// The tensors of a file of `length` bytes.
fn read_all(
    views: &BTreeMap<String, View<'_>>,
    storages: &BTreeMap<String, Vec<u8>>,
    length: usize,
) -> Result<BTreeMap<String, Tensor>, String> {
    let weights = views.values().try_fold(0usize, |sum, view| sum.checked_add(view.count()?));
    // Many tensors may look at one storage: tied weights do, but not by the hundred. A weight takes two bytes
    // or four, so that this leaves room for some.
    if weights.is_none_or(|weights| weights > length) {
        return Err("has tensors that are larger than the file itself".to_owned());
    }
    let mut tensors = BTreeMap::new();
    for (name, view) in views {
        if let Some(tensor) = view.tensor(storages, name)? {
            tensors.insert(name.clone(), exact(name, &tensor)?);
        }
    }
    Ok(tensors)
}

/// Every tensor of the dictionary that a pickle holds.
fn views(pickle: &Pickle) -> Result<BTreeMap<String, View<'_>>, String> {
    let Value::Dict(pairs) = pickle.root() else {
        return Err("holds no dictionary of tensors: save `model.state_dict()`".to_owned());
    };
    // Training scripts keep the optimizer beside the weights.
    let weights = pairs.iter().find(|(key, _)| {
        pickle.text(*key).is_some_and(|key| key == "state_dict" || key == "model_state_dict")
    });
    let pairs = match weights.map(|(_, value)| pickle.get(*value)) {
        Some(Value::Dict(inner)) => inner,
        _ => pairs,
    };
    let mut walk = Walk { pickle, entries: 0, found: BTreeMap::new() };
    walk.collect(pairs, "", DEEPEST)?;
    Ok(walk.found)
}

/// A walk through dictionaries. One dictionary may stand in many places, so that the pickle's length does not
/// bound it.
struct Walk<'a> {
    pickle: &'a Pickle,
    entries: usize,
    found: BTreeMap<String, View<'a>>,
}

impl Walk<'_> {
    fn collect(&mut self, pairs: &[(Id, Id)], prefix: &str, depth: usize) -> Result<(), String> {
        for (key, value) in pairs {
            self.entries += 1;
            if self.entries > MOST_ENTRIES {
                return Err(format!("has more than {MOST_ENTRIES} entries"));
            }
            // Whatever has no name, or is neither a tensor nor a dictionary, is no weight.
            let pickle = self.pickle;
            let Some(key) = pickle.text(*key) else { continue };
            if prefix.len() + key.len() > LONGEST_NAME {
                return Err(format!("has a name of more than {LONGEST_NAME} bytes"));
            }
            let name = format!("{prefix}{key}");
            if let Value::Dict(inner) = pickle.get(*value) {
                let deeper =
                    depth.checked_sub(1).ok_or("has dictionaries that are nested too deep")?;
                self.collect(inner, &format!("{name}."), deeper)?;
            } else if let Some(view) = view(pickle, *value)? {
                self.found.insert(name, view);
            }
        }
        Ok(())
    }
}
