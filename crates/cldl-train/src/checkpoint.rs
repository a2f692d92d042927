//! Checkpoints: what a training needs to go on, and what an evaluation loads.
//!
//! A checkpoint is a directory with `model.safetensors` (parameters and running statistics under their
//! published names, the config in the metadata) and `optimizer.safetensors` (Adam's moments). It is
//! written beside its place and renamed into it, so whatever has the final name is whole.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

use candle::{Device, Tensor};
use cldl_core::{Params, files};
use cldl_models::Ensemble;
use safetensors::SafeTensors;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::config::hex;
use crate::{Adam, TrainConfig, TrainError};

const MODEL: &str = "model.safetensors";
const OPTIMIZER: &str = "optimizer.safetensors";
/// Safetensors writes its metadata in hash order: one key, which holds one JSON object, has one order.
const METADATA_KEY: &str = "cldl";

/// Metadata of a model file.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct ModelMetadata {
    format: u32,
    epochs_done: usize,
    config: TrainConfig,
}

/// Metadata of an optimizer file.
#[derive(Debug, Serialize, Deserialize)]
struct OptimizerMetadata {
    format: u32,
    epochs_done: usize,
    steps: usize,
}

const FORMAT: u32 = 1;

/// An ensemble from a checkpoint, and where it comes from.
#[derive(Debug)]
pub struct LoadedEnsemble {
    /// The ensemble.
    pub ensemble: Ensemble,
    /// How it was trained.
    pub config: TrainConfig,
    /// Epochs that it was trained for.
    pub epochs_done: usize,
    /// SHA-256 of the model file, in hexadecimal.
    pub digest: String,
    /// The model file.
    pub path: PathBuf,
}

/// Loads an ensemble from a run directory (its last checkpoint), a checkpoint directory or a model
/// file.
///
/// # Errors
/// If there is none, or it is not what its config says: one line that names the file.
pub fn load_ensemble(path: &Path, device: &Device) -> Result<LoadedEnsemble, TrainError> {
    let file = model_file(path)?;
    let bytes = fs::read(&file)
        .map_err(|e| TrainError::checkpoint(&file, format!("can't be read: {e}")))?;
    let (mut tensors, metadata): (_, ModelMetadata) = read_tensors(&file, &bytes, device)?;
    let mut source = Params::stored(&mut tensors);
    let ensemble = Ensemble::new(metadata.config.ensemble.clone(), &mut source, device);
    drop(source);
    let ensemble = ensemble.map_err(|e| {
        TrainError::checkpoint(&file, format!("does not fit its own config: {}", first_line(&e)))
    })?;
    if let Some(name) = tensors.keys().next() {
        let problem =
            format!("has a tensor `{name}` that `{}` lacks", metadata.config.ensemble.arch);
        return Err(TrainError::checkpoint(&file, problem));
    }
    Ok(LoadedEnsemble {
        ensemble,
        config: metadata.config,
        epochs_done: metadata.epochs_done,
        digest: hex(&Sha256::digest(&bytes)),
        path: file,
    })
}

fn model_file(path: &Path) -> Result<PathBuf, TrainError> {
    if path.is_file() {
        return Ok(path.to_owned());
    }
    if path.join(MODEL).is_file() {
        return Ok(path.join(MODEL));
    }
    match latest(&path.join("checkpoint"))? {
        Some((_, checkpoint)) => Ok(checkpoint.join(MODEL)),
        None => Err(TrainError::checkpoint(
            path,
            "holds no checkpoint: expected a run directory of `cldl train`",
        )),
    }
}

/// The newest checkpoint below `folder`: epochs done and its directory.
pub(crate) fn latest(folder: &Path) -> Result<Option<(usize, PathBuf)>, TrainError> {
    if !folder.is_dir() {
        return Ok(None);
    }
    let mut newest = None;
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if let Some(epochs) = name.strip_prefix("epoch-").and_then(|n| n.parse::<usize>().ok()) {
            newest = newest.max(Some((epochs, path)));
        }
    }
    Ok(newest)
}

/// Writes the checkpoint after `epochs_done` epochs below `folder`, then removes older ones.
pub(crate) fn save(
    folder: &Path,
    config: &TrainConfig,
    epochs_done: usize,
    ensemble: &Ensemble,
    adam: &Adam,
) -> Result<(), TrainError> {
    fs::create_dir_all(folder)?;
    let place = folder.join(format!("epoch-{epochs_done:04}"));
    let draft = folder.join(format!(".epoch-{epochs_done:04}.tmp"));
    if draft.exists() {
        fs::remove_dir_all(&draft)?;
    }
    let model = ModelMetadata { format: FORMAT, epochs_done, config: config.clone() };
    write_tensors(&draft.join(MODEL), &ensemble.params.tensors(), &model)?;
    let optimizer = OptimizerMetadata { format: FORMAT, epochs_done, steps: adam.steps() };
    write_tensors(&draft.join(OPTIMIZER), &adam.moments()?, &optimizer)?;
    fs::rename(&draft, &place)?;
    files::sync_folder(folder)?;
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path != place {
            fs::remove_dir_all(&path)?;
        }
    }
    Ok(())
}

/// Puts the state of the checkpoint `place` into `ensemble` and `adam`.
pub(crate) fn restore(
    place: &Path,
    ensemble: &Ensemble,
    adam: &mut Adam,
    device: &Device,
) -> Result<(), TrainError> {
    let file = place.join(OPTIMIZER);
    let bytes = fs::read(&file)
        .map_err(|e| TrainError::checkpoint(&file, format!("can't be read: {e}")))?;
    let (moments, metadata): (_, OptimizerMetadata) = read_tensors(&file, &bytes, device)?;
    let loaded = load_ensemble(place, device)?;
    let misfit = |e: candle::Error| TrainError::checkpoint(&file, first_line(&e));
    adam.restore(metadata.steps, &moments).map_err(misfit)?;
    let vars = ensemble.params.trainable.iter().chain(&ensemble.params.buffers);
    for ((_, var), tensor) in vars.zip(loaded_tensors(&loaded.ensemble)) {
        var.set(&tensor)?;
    }
    Ok(())
}

/// Tensors in the order in which `restore` walks the variables.
fn loaded_tensors(ensemble: &Ensemble) -> impl Iterator<Item = Tensor> {
    let params = &ensemble.params;
    params.trainable.values().chain(params.buffers.values()).map(candle::Var::as_detached_tensor)
}

fn write_tensors(
    path: &Path,
    tensors: &BTreeMap<String, Tensor>,
    metadata: &impl Serialize,
) -> Result<(), TrainError> {
    let unwritable = |e: String| TrainError::checkpoint(path, format!("can't be written: {e}"));
    let json = serde_json::to_string(metadata).map_err(|e| unwritable(e.to_string()))?;
    let metadata = HashMap::from([(METADATA_KEY.to_owned(), json)]);
    let bytes =
        safetensors::serialize(tensors, Some(metadata)).map_err(|e| unwritable(e.to_string()))?;
    Ok(files::write_atomically(path, &bytes)?)
}

fn read_tensors<M: for<'a> Deserialize<'a>>(
    path: &Path,
    bytes: &[u8],
    device: &Device,
) -> Result<(BTreeMap<String, Tensor>, M), TrainError> {
    let broken = |e: &dyn std::fmt::Display| {
        TrainError::checkpoint(path, format!("is damaged or no checkpoint: {e}"))
    };
    let (_, header) = SafeTensors::read_metadata(bytes).map_err(|e| broken(&e))?;
    let json = header.metadata().as_ref().and_then(|metadata| metadata.get(METADATA_KEY));
    let Some(json) = json else {
        return Err(TrainError::checkpoint(
            path,
            "has no `cldl` metadata: not written by `cldl train`",
        ));
    };
    let metadata = serde_json::from_str(json).map_err(|e| broken(&e))?;
    let tensors =
        candle::safetensors::load_buffer(bytes, device).map_err(|e| broken(&first_line(&e)))?;
    Ok((tensors.into_iter().collect(), metadata))
}

/// candle's errors may carry a backtrace below their first line.
fn first_line(error: &candle::Error) -> String {
    error.to_string().lines().next().unwrap_or_default().to_owned()
}
