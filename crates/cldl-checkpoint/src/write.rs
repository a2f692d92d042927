//! Writes a published checkpoint.

use std::collections::HashMap;
use std::path::Path;

use cldl_core::{FileDigest, files, folders};
use cldl_models::Ensemble;

use crate::config::{CONFIG, MODEL, README};
use crate::error::first_line;
use crate::{CheckpointError, Config, model_card};

/// Writes `ensemble` with what `config` says of it (its `files` are filled in) as the directory `out`,
/// which appears whole or not at all. Returns the config as it was written.
///
/// # Errors
/// If something is at `out` and is not to be replaced, or it can't be written.
pub fn write(
    out: &Path,
    ensemble: &Ensemble,
    mut config: Config,
    replace: bool,
) -> Result<Config, CheckpointError> {
    let model = state_dict(ensemble)?;
    let card = model_card(&config);
    config.files = [(MODEL, FileDigest::of(&model)), (README, FileDigest::of(card.as_bytes()))]
        .map(|(name, digest)| (name.to_owned(), digest))
        .into();
    folders::create_folder(out, replace, |draft| {
        files::write_atomically(&draft.join(MODEL), &model)?;
        files::write_atomically(&draft.join(README), card.as_bytes())?;
        files::write_atomically(&draft.join(CONFIG), config.to_json().as_bytes())?;
        Ok::<_, CheckpointError>(())
    })?;
    Ok(config)
}

/// The ensemble's tensors as a safetensors file: a state_dict for PyTorch, float32, `model_0.` and so on in
/// front of the published names. Equal ensembles give equal bytes.
///
/// # Errors
/// If a tensor can't be read.
pub fn state_dict(ensemble: &Ensemble) -> Result<Vec<u8>, CheckpointError> {
    // Loaders in Python expect this key. Safetensors writes its metadata in hash order: a second key
    // would make the bytes depend on chance.
    let metadata = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    safetensors::serialize(ensemble.params.tensors(), Some(metadata))
        .map_err(|e| CheckpointError::Argument(format!("can't write tensors: {}", first_line(&e))))
}
