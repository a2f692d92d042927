//! The config that a training's options resolve to: everything that its result depends on.

use cldl_core::sums::sha256;
use cldl_data::{Augmentation, DatasetSpec};
use cldl_models::EnsembleConfig;
use serde::{Deserialize, Serialize};

use crate::schedule::StepSchedule;
use crate::{AdamConfig, Adversarial, Method, Variant};

/// Everything that a training's result depends on. Equal configs give equal bytes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainConfig {
    /// The equations as printed, or the published code.
    pub variant: Variant,
    /// Passes over the training images.
    pub epochs: usize,
    /// Images of a step.
    pub batch_size: usize,
    /// Initial learning rate.
    pub lr: f64,
    /// Names every random stream: initial weights, order, augmentation.
    pub seed: u64,
    /// SHA-256 of the model file whose weights the training starts from; fresh ones if there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub init: Option<String>,
    /// Method and hyper-parameters.
    pub method: Method,
    /// Adversarial training on top of the method.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plus_adv: Option<Adversarial>,
    /// The training images.
    pub data: TrainData,
    /// Shape of the ensemble.
    pub ensemble: EnsembleConfig,
    /// Learning rate over epochs.
    pub schedule: StepSchedule,
    /// The optimizer.
    pub adam: AdamConfig,
    /// Random changes of the training images.
    pub augmentation: Augmentation,
}

/// Which images a training sees.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainData {
    /// The dataset.
    pub dataset: DatasetSpec,
    /// Number of training images: the first ones of the training split.
    pub examples: usize,
    /// SHA-256 of the training split's files, as far as they hold these images.
    pub sha256: String,
}

impl TrainConfig {
    /// SHA-256 of the config, in hexadecimal: names a run.
    pub fn digest(&self) -> String {
        // A struct of plain data always has a JSON form.
        let json = serde_json::to_string(self).unwrap_or_default();
        sha256(json.as_bytes())
    }

    /// Name of a run's directory: `<method key>-<first 12 digits of the digest>`.
    pub fn run_name(&self) -> String {
        format!("{}-{}", self.method, &self.digest()[..12])
    }

    /// Steps of one epoch.
    pub fn steps_per_epoch(&self) -> usize {
        self.data.examples.div_ceil(self.batch_size)
    }
}
