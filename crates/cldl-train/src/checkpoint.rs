//! Checkpoints: what a training needs to go on, and what an evaluation loads.
//!
//! A checkpoint is a directory with `model.safetensors` (parameters and running statistics under their
//! published names, the config in the metadata), `optimizer.safetensors` (Adam's moments; in the metadata
//! where in the epoch the training stands) and their `SHA256SUMS`. It is written beside its place and
//! renamed into it, so whatever has the final name is whole; the one before is removed afterwards.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

use candle::{Device, Tensor};
use cldl_core::sums::{SUMS, sha256};
use cldl_core::{Params, files, sums};
use cldl_data::DatasetSpec;
use cldl_models::Ensemble;
use safetensors::{SafeTensorError, SafeTensors};
use serde::{Deserialize, Serialize};

use crate::agree::difference;
use crate::finite::{is_finite, owner};
use crate::position::Means;
use crate::{Adam, Position, TrainConfig, TrainError};

pub(crate) const MODEL: &str = "model.safetensors";
pub(crate) const OPTIMIZER: &str = "optimizer.safetensors";
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
    /// Adam's steps since the training began.
    steps: usize,
    /// Steps of the epoch after `epochs_done`, and what it has come to so far.
    #[serde(default)]
    step_in_epoch: usize,
    #[serde(default)]
    means: Means,
    #[serde(default)]
    seconds: f64,
}

const FORMAT: u32 = 1;

/// What a checkpoint holds beside weights and moments.
#[derive(Debug, Clone, Default)]
pub(crate) struct Saved {
    pub(crate) position: Position,
    /// Of the epoch that has begun.
    pub(crate) means: Means,
    /// Spent on it.
    pub(crate) seconds: f64,
}

impl Saved {
    /// Between two epochs.
    pub(crate) fn at(position: Position) -> Self {
        Self { position, ..Self::default() }
    }
}

/// An ensemble from a checkpoint, and where it comes from.
#[derive(Debug)]
pub struct LoadedEnsemble {
    /// The ensemble.
    pub ensemble: Ensemble,
    /// The images that it classifies.
    pub dataset: DatasetSpec,
    /// How it was trained; unknown for one that was imported.
    pub config: Option<TrainConfig>,
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
/// If there is none, it is not what its config or the run's `config.toml` says, its checksum is another
/// than the one beside it, or a weight is no number: one line that names the file.
pub fn load_ensemble(path: &Path, device: &Device) -> Result<LoadedEnsemble, TrainError> {
    let (file, bytes) = read_model(path)?;
    let broken = |problem: String| TrainError::checkpoint(&file, problem);
    let digest = sha256(&bytes);
    let (ensemble, metadata) = parse_model(&bytes, device).map_err(broken)?;
    if path.join("config.toml").is_file() {
        agrees(&file, &metadata.config, path)?;
    }
    let listed = file.parent().map(|folder| folder.join(SUMS)).filter(|list| list.is_file());
    if let Some(list) = listed {
        let text = fs::read_to_string(&list)?;
        let sums = sums::parse(&text).map_err(|what| TrainError::checkpoint(&list, what))?;
        let name = file.file_name().unwrap_or_default();
        if let Some((_, expected)) = sums.iter().find(|(listed, _)| name == *listed)
            && digest != *expected
        {
            return Err(broken(format!(
                "is damaged: SHA-256 is {digest}, its `{SUMS}` says {expected}"
            )));
        }
    }
    Ok(LoadedEnsemble {
        ensemble,
        dataset: metadata.config.data.dataset.clone(),
        config: Some(metadata.config),
        epochs_done: metadata.epochs_done,
        digest,
        path: file,
    })
}

/// The ensemble in the bytes of a model file, and how it was trained: what [`load_ensemble`] makes of a
/// file that may come from a stranger.
///
/// # Errors
/// What is wrong with it.
#[doc(hidden)]
pub fn ensemble_of(bytes: &[u8]) -> Result<(Ensemble, TrainConfig), String> {
    parse_model(bytes, &Device::Cpu).map(|(ensemble, metadata)| (ensemble, metadata.config))
}

fn parse_model(bytes: &[u8], device: &Device) -> Result<(Ensemble, ModelMetadata), String> {
    let (mut tensors, metadata): (_, ModelMetadata) = read_tensors(bytes, device)?;
    let config = &metadata.config;
    let mut source = Params::stored(&mut tensors);
    let ensemble = Ensemble::new(config.ensemble.clone(), &mut source, device);
    drop(source);
    let unfit = |what: String| format!("does not fit its own config: {what}");
    let ensemble = ensemble.map_err(|e| unfit(first_line(&e)))?;
    config.check().map_err(unfit)?;
    if let Some(name) = tensors.keys().next() {
        return Err(format!("has a tensor `{name}` that `{}` lacks", config.ensemble.arch));
    }
    check_finite(&ensemble)?;
    Ok((ensemble, metadata))
}

/// Checks that every number of an ensemble is one.
///
/// # Errors
/// Which tensor has one that is not.
pub fn check_finite(ensemble: &Ensemble) -> Result<(), String> {
    for (name, tensor) in ensemble.params.tensors() {
        if !is_finite(&tensor).map_err(|e| first_line(&e))? {
            return Err(format!("has a number in {} that is not finite", owner(&name)));
        }
    }
    Ok(())
}

/// The model file at `path` and its bytes. A training that goes on meanwhile replaces its checkpoint: then
/// the next one is there.
fn read_model(path: &Path) -> Result<(PathBuf, Vec<u8>), TrainError> {
    let mut attempts = 3;
    loop {
        let file = model_file(path)?;
        attempts -= 1;
        match fs::read(&file) {
            Ok(bytes) => return Ok((file, bytes)),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound && 0 < attempts => {}
            Err(e) => return Err(TrainError::checkpoint(&file, format!("can't be read: {e}"))),
        }
    }
}

/// Checks that a checkpoint was written by the training that `run` holds.
fn agrees(file: &Path, config: &TrainConfig, run: &Path) -> Result<(), TrainError> {
    let path = run.join("config.toml");
    let text = fs::read_to_string(&path)
        .map_err(|e| TrainError::checkpoint(&path, format!("can't be read: {e}")))?;
    let there: TrainConfig = toml::from_str(&text)
        .map_err(|e| TrainError::checkpoint(&path, format!("is damaged: {}", e.message())))?;
    match config.difference(&there) {
        None => Ok(()),
        Some((name, ours, theirs)) => Err(TrainError::checkpoint(
            file,
            format!("has `{name}` {ours}, but `{}` has {theirs}", path.display()),
        )),
    }
}

impl TrainConfig {
    /// The first setting in which two configs differ, and its values here and there.
    pub(crate) fn difference(&self, other: &Self) -> Option<(String, String, String)> {
        let json = |config: &Self| serde_json::to_value(config).unwrap_or_default();
        difference(&json(self), &json(other))
    }
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

/// The newest checkpoint below `folder` and its directory.
pub(crate) fn latest(folder: &Path) -> Result<Option<(Position, PathBuf)>, TrainError> {
    if !folder.is_dir() {
        return Ok(None);
    }
    let mut newest = None;
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if let Some(position) = Position::of_folder(&name) {
            newest = newest.max(Some((position, path)));
        }
    }
    Ok(newest)
}

/// Writes a checkpoint below `folder`, then removes older ones.
pub(crate) fn save(
    folder: &Path,
    config: &TrainConfig,
    saved: &Saved,
    ensemble: &Ensemble,
    adam: &Adam,
) -> Result<(), TrainError> {
    let unwritable =
        |e: std::io::Error| TrainError::checkpoint(folder, format!("can't take a checkpoint: {e}"));
    fs::create_dir_all(folder).map_err(unwritable)?;
    let name = saved.position.folder();
    let (place, draft) = (folder.join(&name), folder.join(format!(".{name}.tmp")));
    remove(&draft).map_err(unwritable)?;
    if let Err(error) = write(&draft, config, saved, ensemble, adam) {
        // A full disk must not keep half a checkpoint.
        let _ = remove(&draft);
        return Err(error);
    }
    remove(&place).map_err(unwritable)?;
    fs::rename(&draft, &place).map_err(unwritable)?;
    files::sync_folder(folder).map_err(unwritable)?;
    keep_only(&place).map_err(unwritable)
}

/// Removes what lies beside the checkpoint `place`: older ones, and what a killed process was writing.
pub(crate) fn keep_only(place: &Path) -> std::io::Result<()> {
    for entry in fs::read_dir(place.parent().unwrap_or(place))? {
        let path = entry?.path();
        if path != place {
            remove(&path)?;
        }
    }
    Ok(())
}

/// Writes the files of a checkpoint into `draft`.
fn write(
    draft: &Path,
    config: &TrainConfig,
    saved: &Saved,
    ensemble: &Ensemble,
    adam: &Adam,
) -> Result<(), TrainError> {
    let epochs_done = saved.position.epochs;
    let model = ModelMetadata { format: FORMAT, epochs_done, config: config.clone() };
    write_tensors(&draft.join(MODEL), &ensemble.params.tensors(), &model)?;
    let optimizer = OptimizerMetadata {
        format: FORMAT,
        epochs_done,
        steps: adam.steps(),
        step_in_epoch: saved.position.step,
        means: saved.means.clone(),
        seconds: saved.seconds,
    };
    write_tensors(&draft.join(OPTIMIZER), &adam.moments()?, &optimizer)?;
    Ok(sums::write(draft, SUMS, &[MODEL.to_owned(), OPTIMIZER.to_owned()])?)
}

/// Removes a file or folder that may not be there.
fn remove(path: &Path) -> std::io::Result<()> {
    let removed = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    match removed {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(e),
        _ => Ok(()),
    }
}

/// Puts the state of the checkpoint `place` of a training by `config` into `ensemble` and `adam`; returns
/// where it stands.
pub(crate) fn restore(
    place: &Path,
    config: &TrainConfig,
    ensemble: &Ensemble,
    adam: &mut Adam,
    device: &Device,
) -> Result<Saved, TrainError> {
    if place.join(SUMS).is_file() {
        sums::check(place, SUMS)
            .map_err(|what| TrainError::checkpoint(place, format!("is of no use: {what}")))?;
    }
    let loaded = load_ensemble(place, device)?;
    let stored = loaded.config.as_ref();
    if let Some((name, there, here)) = stored.and_then(|stored| stored.difference(config)) {
        let problem = format!("has `{name}` {there}, the training has {here}");
        return Err(TrainError::checkpoint(&loaded.path, problem));
    }
    let file = place.join(OPTIMIZER);
    let broken = |problem: String| TrainError::checkpoint(&file, problem);
    let bytes = fs::read(&file).map_err(|e| broken(format!("can't be read: {e}")))?;
    let (moments, metadata): (_, OptimizerMetadata) =
        read_tensors(&bytes, device).map_err(broken)?;
    let position = Position { epochs: metadata.epochs_done, step: metadata.step_in_epoch };
    if Position::of_folder(&place.file_name().unwrap_or_default().to_string_lossy())
        != Some(position)
    {
        return Err(broken(format!("is of a checkpoint {position}, its folder says another")));
    }
    adam.restore(metadata.steps, &moments).map_err(|e| broken(first_line(&e)))?;
    let vars = ensemble.params.trainable.iter().chain(&ensemble.params.buffers);
    for ((_, var), tensor) in vars.zip(loaded_tensors(&loaded.ensemble)) {
        var.set(&tensor)?;
    }
    Ok(Saved { position, means: metadata.means, seconds: metadata.seconds })
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
    // Tensor by tensor: the whole file in memory would be as much again as all of them.
    Ok(files::write_atomically_with(path, |file| {
        safetensors::serialize_to_file(tensors, Some(metadata), file.path()).map_err(|error| {
            match error {
                SafeTensorError::IoError(error) => error,
                other => std::io::Error::other(other),
            }
        })
    })?)
}

/// The tensors and the metadata in the bytes of a file, or what is wrong with it.
fn read_tensors<M: for<'a> Deserialize<'a>>(
    bytes: &[u8],
    device: &Device,
) -> Result<(BTreeMap<String, Tensor>, M), String> {
    let broken =
        |e: &dyn std::fmt::Display| format!("is damaged or no checkpoint: {e}").replace('\n', " ");
    let (_, header) = SafeTensors::read_metadata(bytes).map_err(|e| broken(&e))?;
    let json = header.metadata().as_ref().and_then(|metadata| metadata.get(METADATA_KEY));
    let Some(json) = json else {
        return Err("has no `cldl` metadata: not written by `cldl train`".to_owned());
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
