//! What users ask of a training.

use std::path::PathBuf;

use cldl_data::DatasetSpec;
use cldl_models::Arch;
use serde::{Deserialize, Serialize};

use crate::Variant;
use crate::resolve::OptionsOn;

/// Options of a training as flags or a TOML file give them; what is left out has a default.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "snake_case")]
#[expect(missing_docs, reason = "each option is a flag of `cldl train`, documented there")]
pub struct TrainOptions {
    pub method: Option<String>,
    pub dataset: Option<String>,
    pub arch: Option<Arch>,
    pub members: Option<usize>,
    pub epochs: Option<usize>,
    pub batch_size: Option<usize>,
    pub lr: Option<f64>,
    pub seed: Option<u64>,
    pub variant: Option<Variant>,
    pub gamma: Option<f64>,
    pub alpha: Option<f64>,
    pub beta: Option<f64>,
    pub label_smoothing: Option<f64>,
    pub layer: Option<usize>,
    pub distill_eps: Option<f64>,
    pub distill_steps: Option<usize>,
    pub plus_adv: bool,
    pub adv_eps: Option<f64>,
    pub adv_steps: Option<usize>,
    pub leaky_slope: Option<f64>,
    pub noise_std: Option<f32>,
    pub init: Option<PathBuf>,
    pub limit_train: Option<usize>,
}

impl TrainOptions {
    /// The dataset to train on, as [`DataDirs::dataset`](cldl_data::DataDirs::dataset) takes it.
    pub fn dataset(&self) -> &str {
        self.dataset.as_deref().unwrap_or("mnist")
    }

    /// These options where training is on `dataset`, on which their defaults depend.
    pub fn on<'a>(&'a self, dataset: &'a DatasetSpec) -> OptionsOn<'a> {
        OptionsOn { options: self, dataset }
    }
}
