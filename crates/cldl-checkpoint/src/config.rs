//! `config.json`: all that a published checkpoint says of itself.

use std::collections::BTreeMap;
use std::path::Path;

use cldl_core::FileDigest;
use cldl_data::DatasetSpec;
use cldl_models::EnsembleConfig;
use cldl_train::{TrainConfig, difference, fits};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::{Accuracy, CheckpointError};

/// The config's file name.
pub const CONFIG: &str = "config.json";
/// The weights' file name.
pub const MODEL: &str = "model.safetensors";
/// The model card's file name.
pub const README: &str = "README.md";

/// What [`Config::format`] says.
const FORMAT: &str = "cldl-checkpoint";
/// What [`Config::format_version`] says; grows when older readers would misread.
const VERSION: u32 = 1;

/// All that a published checkpoint says of itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// `cldl-checkpoint`.
    pub format: String,
    /// Version of the format.
    pub format_version: u32,
    /// Architecture, members, classes, normalization.
    pub ensemble: EnsembleConfig,
    /// The images that it classifies.
    pub dataset: DatasetSpec,
    /// What the classes are called; a label is a position in this list.
    pub classes: Vec<String>,
    /// Epochs that it was trained for, where that is known.
    pub epochs_done: usize,
    /// How it was trained, with the checksum of the training images; unknown for what was imported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub training: Option<TrainConfig>,
    /// What it was imported from.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub imported_from: Vec<Origin>,
    /// Licence of the weights, by its id on the Hub.
    pub license: String,
    /// What was measured.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub results: Vec<Accuracy>,
    /// Size and SHA-256 of the other files.
    pub files: BTreeMap<String, FileDigest>,
}

/// A file that a checkpoint was imported from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Origin {
    /// Its name, without folders.
    pub name: String,
    /// Its size and SHA-256.
    pub digest: FileDigest,
}

impl Config {
    /// A config without measurements and files.
    pub fn new(
        ensemble: EnsembleConfig,
        dataset: DatasetSpec,
        training: Option<TrainConfig>,
        epochs_done: usize,
    ) -> Self {
        Self {
            format: FORMAT.to_owned(),
            format_version: VERSION,
            ensemble,
            classes: dataset.class_names().into_iter().map(str::to_owned).collect(),
            dataset,
            epochs_done,
            training,
            imported_from: Vec::new(),
            license: "mit".to_owned(),
            results: Vec::new(),
            files: BTreeMap::new(),
        }
    }

    /// The config as the bytes of `config.json`: equal configs give equal bytes.
    pub fn to_json(&self) -> String {
        // A struct of plain data always has a JSON form.
        serde_json::to_string_pretty(self).unwrap_or_default() + "\n"
    }

    /// Reads the bytes of `path`, a `config.json`.
    ///
    /// # Errors
    /// If they are something else, or of a newer version.
    pub fn parse(path: &Path, bytes: &[u8]) -> Result<Self, CheckpointError> {
        #[derive(Deserialize)]
        struct Head {
            format: String,
            format_version: u32,
        }
        let foreign = "is no config of a cldl checkpoint";
        let head: Head = serde_json::from_slice(bytes)
            .map_err(|e| CheckpointError::invalid(path, format!("{foreign}: {e}")))?;
        if head.format != FORMAT {
            let problem = format!("{foreign}: its format is {:?}", head.format);
            return Err(CheckpointError::invalid(path, problem));
        }
        if head.format_version != VERSION {
            let problem = format!(
                "has version {}, this program reads version {VERSION}: update one of them",
                head.format_version
            );
            return Err(CheckpointError::invalid(path, problem));
        }
        let config: Self = serde_json::from_slice(bytes)
            .map_err(|e| CheckpointError::invalid(path, format!("is damaged: {e}")))?;
        config.check().map_err(|problem| CheckpointError::invalid(path, problem))?;
        Ok(config)
    }

    /// Checks that its parts are of one model.
    fn check(&self) -> Result<(), String> {
        let contradicts = |what: String| Err(format!("contradicts itself: {what}"));
        let (classes, n_classes) = (self.classes.len(), self.ensemble.n_classes);
        if classes != n_classes {
            return contradicts(format!("a model of {n_classes} classes, {classes} names"));
        }
        if let Err(what) = fits(&self.ensemble, &self.dataset) {
            return contradicts(what);
        }
        let Some(training) = &self.training else { return Ok(()) };
        if let Err(what) = training.check() {
            return contradicts(format!("`training`: {what}"));
        }
        let own = json!({"ensemble": self.ensemble, "dataset": self.dataset});
        let trained = json!({"ensemble": training.ensemble, "dataset": training.data.dataset});
        match difference(&own, &trained) {
            None => Ok(()),
            Some((name, here, there)) => {
                contradicts(format!("`{name}` is {here}, and {there} in `training`"))
            }
        }
    }

    /// What it is, for people: `3 LeNet-5 on mnist (cldl-3-4-4)`.
    pub fn title(&self) -> String {
        let arch = match self.ensemble.arch {
            cldl_models::Arch::LeNet5 => "LeNet-5",
            cldl_models::Arch::ResNet20 => "ResNet-20",
        };
        let method = match &self.training {
            Some(training) => training.method.to_string(),
            None => "imported".to_owned(),
        };
        format!("{} {arch} on {} ({method})", self.ensemble.members, self.dataset)
    }
}
