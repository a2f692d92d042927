//! Opens checkpoints, published ones and those of run directories.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use candle::{DType, Device, Tensor};
use cldl_core::Params;
use cldl_models::Ensemble;
use cldl_train::LoadedEnsemble;

use crate::config::{CONFIG, MODEL};
use crate::error::{first_line, read};
use crate::{CheckpointError, Config};

/// Loads an ensemble from a published checkpoint (its directory or model file) or from what `cldl train`
/// wrote: a run directory (its last checkpoint), a checkpoint directory or a model file.
///
/// # Errors
/// If there is none, or it is not what its config says: one line that names the file.
pub fn load(path: &Path, device: &Device) -> Result<LoadedEnsemble, CheckpointError> {
    match published(path) {
        Some(folder) => load_published(&folder, device),
        None => Ok(cldl_train::load_ensemble(path, device)?),
    }
}

/// The config of a published checkpoint; none if `path` is something else.
///
/// # Errors
/// If the config can't be read, or makes no sense.
pub fn read_config(path: &Path) -> Result<Option<Config>, CheckpointError> {
    published(path).map(|folder| config_of(&folder)).transpose()
}

/// The directory of a published checkpoint that `path` is or is the model file of.
fn published(path: &Path) -> Option<PathBuf> {
    let is_model = path.file_name().is_some_and(|name| name == MODEL);
    let folder = if is_model { path.parent()? } else { path };
    folder.join(CONFIG).is_file().then(|| folder.to_owned())
}

fn config_of(folder: &Path) -> Result<Config, CheckpointError> {
    let path = folder.join(CONFIG);
    Config::parse(&path, &read(&path)?)
}

fn load_published(folder: &Path, device: &Device) -> Result<LoadedEnsemble, CheckpointError> {
    let config = config_of(folder)?;
    let path = folder.join(MODEL);
    let bytes = read(&path)?;
    let Some(digest) = config.files.get(MODEL) else {
        let problem = format!("does not list `{MODEL}`");
        return Err(CheckpointError::invalid(&folder.join(CONFIG), problem));
    };
    digest.check(&bytes).map_err(|problem| CheckpointError::invalid(&path, problem))?;
    let tensors = candle::safetensors::load_buffer(&bytes, device)
        .map_err(|e| CheckpointError::invalid(&path, format!("is damaged: {}", first_line(&e))))?;
    let mut tensors: BTreeMap<String, Tensor> = tensors.into_iter().collect();
    let ensemble = build(&config, &mut tensors, device)
        .map_err(|problem| CheckpointError::invalid(&path, problem))?;
    Ok(LoadedEnsemble {
        ensemble,
        dataset: config.dataset,
        config: config.training,
        epochs_done: config.epochs_done,
        digest: digest.sha256.clone(),
        path,
    })
}

/// The ensemble that `config` describes, of exactly these `tensors`.
fn build(
    config: &Config,
    tensors: &mut BTreeMap<String, Tensor>,
    device: &Device,
) -> Result<Ensemble, String> {
    if let Some((name, tensor)) = tensors.iter().find(|(_, tensor)| tensor.dtype() != DType::F32) {
        return Err(format!("has a tensor `{name}` of {:?}, expected F32", tensor.dtype()));
    }
    let mut source = Params::stored(tensors);
    let ensemble = Ensemble::new(config.ensemble.clone(), &mut source, device);
    drop(source);
    let ensemble = ensemble.map_err(|e| format!("does not fit its config: {}", first_line(&e)))?;
    match tensors.keys().next() {
        None => cldl_train::check_finite(&ensemble).map(|()| ensemble),
        Some(name) => Err(format!("has a tensor `{name}` that `{}` lacks", config.ensemble.arch)),
    }
}
