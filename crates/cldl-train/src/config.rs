//! What a training is asked to do: options as users give them, and the config they resolve to.

use std::fmt::Write as _;

use cldl_data::{Augmentation, Dataset, DatasetName, Noise};
use cldl_models::{Arch, EnsembleConfig};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::schedule::StepSchedule;
use crate::{AdamConfig, Method, TrainError, Variant};

/// Options of a training as flags or a TOML file give them; what is left out has a default.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
#[expect(missing_docs, reason = "each option is a flag of `cldl train`, documented there")]
pub struct TrainOptions {
    pub method: Option<String>,
    pub dataset: Option<DatasetName>,
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
    pub limit_train: Option<usize>,
}

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
    /// Method and hyper-parameters.
    pub method: Method,
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
    pub dataset: DatasetName,
    /// Number of training images: the first ones of the training split.
    pub examples: usize,
    /// SHA-256 of the training split's files.
    pub sha256: String,
}

impl TrainOptions {
    /// These options, and `other`'s where these are silent.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self {
            method: self.method.or(other.method),
            dataset: self.dataset.or(other.dataset),
            arch: self.arch.or(other.arch),
            members: self.members.or(other.members),
            epochs: self.epochs.or(other.epochs),
            batch_size: self.batch_size.or(other.batch_size),
            lr: self.lr.or(other.lr),
            seed: self.seed.or(other.seed),
            variant: self.variant.or(other.variant),
            gamma: self.gamma.or(other.gamma),
            alpha: self.alpha.or(other.alpha),
            beta: self.beta.or(other.beta),
            limit_train: self.limit_train.or(other.limit_train),
        }
    }

    /// The dataset to train on.
    pub fn dataset(&self) -> DatasetName {
        self.dataset.unwrap_or(DatasetName::Mnist)
    }

    /// Checks the options as far as that needs no data, and returns the method.
    ///
    /// # Errors
    /// An unknown method, or an option outside its range.
    pub fn method(&self) -> Result<Method, TrainError> {
        let invalid = |message: String| Err(TrainError::Config(message));
        let dataset = self.dataset();
        let method = match self.method.as_deref().unwrap_or("cldl") {
            "baseline" => Method::Baseline,
            "cldl" => {
                // The setting that did best in the paper's tables of this dataset.
                let (gamma, alpha, beta) = match dataset {
                    DatasetName::Mnist => (3.0, 4.0, 4.0),
                    DatasetName::FashionMnist => (3.0, 2.0, 4.0),
                    DatasetName::Cifar10 => (4.0, 2.0, 4.0),
                };
                Method::Cldl {
                    gamma: self.gamma.unwrap_or(gamma),
                    alpha: self.alpha.unwrap_or(alpha),
                    beta: self.beta.unwrap_or(beta),
                }
            }
            name @ ("adp" | "gal" | "dverge" | "trs" | "adversarial") => {
                return invalid(format!(
                    "method `{name}` is not built yet: use `baseline` or `cldl`"
                ));
            }
            name => return invalid(format!("unknown method `{name}`: use `baseline` or `cldl`")),
        };
        let members = self.members.unwrap_or(3);
        for (name, value) in [
            ("members", members),
            ("epochs", self.epochs(dataset)),
            ("batch-size", self.batch_size()),
        ] {
            if value == 0 {
                return invalid(format!("--{name} is 0, expected at least 1"));
            }
        }
        if !(self.lr().is_finite() && self.lr() > 0.0) {
            return invalid(format!("--lr {} is not a number above 0", self.lr()));
        }
        if self.limit_train == Some(0) {
            return invalid("--limit-train is 0, expected at least 1".to_owned());
        }
        let arch = self.arch(dataset);
        if arch.image_shape() != dataset.image_shape() {
            let ([c, h, w], [dc, dh, dw]) = (arch.image_shape(), dataset.image_shape());
            return invalid(format!(
                "`{arch}` takes {c}x{h}x{w} images, `{dataset}` has {dc}x{dh}x{dw}"
            ));
        }
        method.validate(members).map_err(TrainError::Config)?;
        Ok(method)
    }

    /// The config of a training on `data`, the whole training split.
    ///
    /// # Errors
    /// As [`Self::method`].
    pub fn resolve(&self, data: &Dataset) -> Result<TrainConfig, TrainError> {
        let method = self.method()?;
        let dataset = self.dataset();
        let arch = self.arch(dataset);
        let variant = self.variant.unwrap_or_default();
        let numbers = |values: &[f32]| values.iter().map(|v| shortest(*v)).collect();
        let config = TrainConfig {
            variant,
            epochs: self.epochs(dataset),
            batch_size: self.batch_size(),
            lr: self.lr(),
            seed: self.seed.unwrap_or(0),
            method,
            data: TrainData {
                dataset,
                examples: self.limit_train.map_or(data.len(), |limit| limit.min(data.len())),
                sha256: data.sha256.clone(),
            },
            ensemble: EnsembleConfig {
                arch,
                members: self.members.unwrap_or(3),
                n_classes: dataset.n_classes(),
                leaky_slope: leaky_slope(arch, method, variant),
                mean: numbers(dataset.mean()),
                std: numbers(dataset.std()),
                lcm: method.has_lcm(),
            },
            schedule: StepSchedule::default(),
            adam: AdamConfig::default(),
            augmentation: augmentation(dataset, method, variant),
        };
        Ok(config)
    }

    /// Passes over the data: what the authors' scripts ask for (20, 30, 200); their loop makes one more.
    fn epochs(&self, dataset: DatasetName) -> usize {
        let scripts = match dataset {
            DatasetName::Mnist => 20,
            DatasetName::FashionMnist => 30,
            DatasetName::Cifar10 => 200,
        };
        let extra = usize::from(self.variant == Some(Variant::Official));
        self.epochs.unwrap_or(scripts + extra)
    }

    fn arch(&self, dataset: DatasetName) -> Arch {
        self.arch.unwrap_or(match dataset {
            DatasetName::Mnist | DatasetName::FashionMnist => Arch::LeNet5,
            DatasetName::Cifar10 => Arch::ResNet20,
        })
    }

    fn batch_size(&self) -> usize {
        self.batch_size.unwrap_or(128)
    }

    fn lr(&self) -> f64 {
        self.lr.unwrap_or(1e-3)
    }
}

/// The published code has leaky ReLU (0.1) in the ResNets of CLDL; the paper does not mention it.
fn leaky_slope(arch: Arch, method: Method, variant: Variant) -> f64 {
    match (variant, arch, method) {
        (Variant::Official, Arch::ResNet20, Method::Cldl { .. }) => 0.1,
        _ => 0.0,
    }
}

/// Crops and flips for CIFAR-10. The published code also flips digits and clothes, and adds noise to
/// CIFAR-10's images under CLDL.
fn augmentation(dataset: DatasetName, method: Method, variant: Variant) -> Augmentation {
    let cifar = dataset == DatasetName::Cifar10;
    let official = variant == Variant::Official;
    let noisy = official && cifar && matches!(method, Method::Cldl { .. });
    Augmentation {
        flip: cifar || official,
        crop_padding: if cifar { 4 } else { 0 },
        noise: noisy.then_some(Noise { std: 0.045, probability: 0.5 }),
    }
}

/// An f32 as the f64 with the same shortest decimal form: 0.1307, not 0.13070000708.
fn shortest(value: f32) -> f64 {
    value.to_string().parse().unwrap_or(f64::from(value))
}

impl TrainConfig {
    /// SHA-256 of the config, in hexadecimal: names a run.
    pub fn digest(&self) -> String {
        // A struct of plain data always has a JSON form.
        let json = serde_json::to_string(self).unwrap_or_default();
        hex(&Sha256::digest(json.as_bytes()))
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

/// Bytes in hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string can't fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
