//! What users ask of a training, and how it resolves to a config.

use std::path::PathBuf;

use cldl_data::{Augmentation, Dataset, DatasetName};
use cldl_models::{Arch, EnsembleConfig};
use serde::{Deserialize, Serialize};

use crate::defaults::{self, Defaults};
use crate::schedule::StepSchedule;
use crate::{
    AdamConfig, Adversarial, LoadedEnsemble, Method, TrainConfig, TrainData, TrainError, Variant,
};

/// Options of a training as flags or a TOML file give them; what is left out has a default.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "snake_case")]
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
    /// The dataset to train on.
    pub fn dataset(&self) -> DatasetName {
        self.dataset.unwrap_or(DatasetName::Mnist)
    }

    /// Checks the options as far as that needs no data, and returns the method.
    ///
    /// # Errors
    /// An unknown method, an option outside its range, or one that the method does not have.
    pub fn method(&self) -> Result<Method, TrainError> {
        let method = self.chosen_method()?;
        self.check_use(method.name())?;
        for (name, value) in [
            ("members", self.members()),
            ("epochs", self.epochs()),
            ("batch-size", self.batch_size()),
            ("limit-train", self.limit_train.unwrap_or(1)),
        ] {
            if value == 0 {
                return invalid(format!("--{name} is 0, expected at least 1"));
            }
        }
        if !(self.lr().is_finite() && self.lr() > 0.0) {
            return invalid(format!("--lr {} is not a number above 0", self.lr()));
        }
        let slope = self.leaky_slope.unwrap_or(0.0);
        if !(0.0..=1.0).contains(&slope) {
            return invalid(format!("--leaky-slope {slope} is outside [0, 1]"));
        }
        self.augmentation(method).validate().map_err(|e| TrainError::Config(e.to_string()))?;
        let (dataset, arch) = (self.dataset(), self.arch());
        if arch.image_shape() != dataset.image_shape() {
            let ([c, h, w], [dc, dh, dw]) = (arch.image_shape(), dataset.image_shape());
            return invalid(format!(
                "`{arch}` takes {c}x{h}x{w} images, `{dataset}` has {dc}x{dh}x{dw}"
            ));
        }
        if arch == Arch::LeNet5 && slope > 0.0 {
            return invalid("--leaky-slope is for `resnet20`: `lenet5` has ReLU".to_owned());
        }
        method.validate(self.members(), arch.n_layers()).map_err(TrainError::Config)?;
        if let Some(adversarial) = self.plus_adv(method) {
            adversarial.validate().map_err(TrainError::Config)?;
        }
        Ok(method)
    }

    /// The config of a training on `data`, the whole training split, from the weights of `init` or
    /// from fresh ones.
    ///
    /// # Errors
    /// As [`Self::method`], or if `init` has another architecture or number of members.
    pub fn resolve(
        &self,
        data: &Dataset,
        init: Option<&LoadedEnsemble>,
    ) -> Result<TrainConfig, TrainError> {
        let method = self.method()?;
        let dataset = self.dataset();
        let numbers = |values: &[f32]| values.iter().map(|v| shortest(*v)).collect();
        let config = TrainConfig {
            variant: self.variant(),
            epochs: self.epochs(),
            batch_size: self.batch_size(),
            lr: self.lr(),
            seed: self.seed.unwrap_or(0),
            init: init.map(|init| init.digest.clone()),
            method,
            plus_adv: self.plus_adv(method),
            data: TrainData {
                dataset,
                examples: self.limit_train.map_or(data.len(), |limit| limit.min(data.len())),
                sha256: data.sha256.clone(),
            },
            ensemble: EnsembleConfig {
                arch: self.arch(),
                members: self.members(),
                n_classes: dataset.n_classes(),
                leaky_slope: self.leaky_slope.unwrap_or(self.defaults().leaky_slope(method)),
                mean: numbers(dataset.mean()),
                std: numbers(dataset.std()),
                lcm: method.has_lcm(),
            },
            schedule: StepSchedule::default(),
            adam: AdamConfig::default(),
            augmentation: self.augmentation(method),
        };
        if let Some(init) = init {
            let (from, to) = (&init.ensemble.config, &config.ensemble);
            if (from.arch, from.members, from.n_classes) != (to.arch, to.members, to.n_classes) {
                return invalid(format!(
                    "`{}` holds {} {} of {} classes, the training has {} {} of {}",
                    init.path.display(),
                    from.members,
                    from.arch,
                    from.n_classes,
                    to.members,
                    to.arch,
                    to.n_classes
                ));
            }
        }
        Ok(config)
    }

    fn chosen_method(&self) -> Result<Method, TrainError> {
        let defaults = self.defaults();
        let (alpha, beta) = (self.alpha, self.beta);
        Ok(match self.method.as_deref().unwrap_or("cldl") {
            "baseline" => Method::Baseline { smoothing: self.label_smoothing.unwrap_or(0.0) },
            "adp" => Method::Adp { alpha: alpha.unwrap_or(2.0), beta: beta.unwrap_or(0.5) },
            "gal" => Method::Gal { alpha: alpha.unwrap_or(0.5) },
            "dverge" => Method::Dverge {
                layer: self.layer,
                distillation: defaults.distillation(self.distill_eps, self.distill_steps),
            },
            "trs" => {
                let usual = defaults.trs_weights();
                Method::Trs {
                    alpha: alpha.unwrap_or(usual.0),
                    beta: beta.unwrap_or(usual.1),
                    inner: defaults.trs_inner(),
                }
            }
            "cldl" => {
                let usual = defaults.cldl();
                Method::Cldl {
                    gamma: self.gamma.unwrap_or(usual.0),
                    alpha: alpha.unwrap_or(usual.1),
                    beta: beta.unwrap_or(usual.2),
                }
            }
            "adversarial" => {
                Method::Adversarial(defaults.adversarial(self.adv_eps, self.adv_steps))
            }
            name => {
                let names = Method::NAMES.join("`, `");
                return invalid(format!("unknown method `{name}`: use one of `{names}`"));
            }
        })
    }

    /// Refuses options that `method` would ignore.
    fn check_use(&self, method: &str) -> Result<(), TrainError> {
        let adversarial = if self.plus_adv { &Method::NAMES[..] } else { &["adversarial"] };
        let uses: [(&str, bool, &[&str]); 9] = [
            ("gamma", self.gamma.is_some(), &["cldl"]),
            ("alpha", self.alpha.is_some(), &["adp", "gal", "trs", "cldl"]),
            ("beta", self.beta.is_some(), &["adp", "trs", "cldl"]),
            ("label-smoothing", self.label_smoothing.is_some(), &["baseline"]),
            ("layer", self.layer.is_some(), &["dverge"]),
            ("distill-eps", self.distill_eps.is_some(), &["dverge"]),
            ("distill-steps", self.distill_steps.is_some(), &["dverge"]),
            ("adv-eps", self.adv_eps.is_some(), adversarial),
            ("adv-steps", self.adv_steps.is_some(), adversarial),
        ];
        match uses.iter().find(|(_, given, methods)| *given && !methods.contains(&method)) {
            None => Ok(()),
            Some((name, _, methods)) => {
                let methods = methods.join("`, `");
                invalid(format!("method `{method}` has no --{name}: it is for `{methods}`"))
            }
        }
    }

    fn plus_adv(&self, method: Method) -> Option<Adversarial> {
        let already = matches!(method, Method::Adversarial(_));
        let adversarial = self.defaults().adversarial(self.adv_eps, self.adv_steps);
        (self.plus_adv && !already).then_some(adversarial)
    }

    fn augmentation(&self, method: Method) -> Augmentation {
        let usual = self.defaults().augmentation(method);
        match self.noise_std {
            None => usual,
            Some(std) => {
                Augmentation { noise: (std != 0.0).then(|| defaults::noise(std)), ..usual }
            }
        }
    }

    fn defaults(&self) -> Defaults {
        Defaults { dataset: self.dataset(), arch: self.arch(), variant: self.variant() }
    }

    fn variant(&self) -> Variant {
        self.variant.unwrap_or_default()
    }

    fn arch(&self) -> Arch {
        self.arch.unwrap_or(defaults::arch(self.dataset()))
    }

    fn members(&self) -> usize {
        self.members.unwrap_or(3)
    }

    fn epochs(&self) -> usize {
        self.epochs.unwrap_or(self.defaults().epochs())
    }

    fn batch_size(&self) -> usize {
        self.batch_size.unwrap_or(128)
    }

    fn lr(&self) -> f64 {
        self.lr.unwrap_or(1e-3)
    }
}

fn invalid<T>(message: String) -> Result<T, TrainError> {
    Err(TrainError::Config(message))
}

/// An f32 as the f64 with the same shortest decimal form: 0.1307, not 0.13070000708.
fn shortest(value: f32) -> f64 {
    value.to_string().parse().unwrap_or(f64::from(value))
}

#[cfg(test)]
mod tests {
    use super::{TrainOptions, Variant};
    use crate::Method;

    fn options(method: &str) -> TrainOptions {
        TrainOptions { method: Some(method.to_owned()), ..TrainOptions::default() }
    }

    #[test]
    fn every_name_is_a_method() {
        for name in Method::NAMES {
            assert_eq!(options(name).method().unwrap().name(), name);
        }
        let error = options("ghost").method().unwrap_err().to_string();
        assert!(error.contains("unknown method `ghost`") && error.contains("`dverge`"), "{error}");
    }

    #[test]
    fn an_option_that_the_method_ignores_is_refused() {
        let error = |options: TrainOptions| options.method().unwrap_err().to_string();
        let given = TrainOptions { gamma: Some(3.0), ..options("baseline") };
        assert_eq!(error(given), "method `baseline` has no --gamma: it is for `cldl`");
        let given = TrainOptions { adv_eps: Some(0.1), ..options("gal") };
        assert!(error(given.clone()).contains("no --adv-eps"));
        assert!(TrainOptions { plus_adv: true, ..given }.method().is_ok());
    }

    #[test]
    fn the_variant_sets_what_paper_and_code_disagree_on() {
        let trs = |variant| TrainOptions { variant: Some(variant), ..options("trs") }.method();
        let Method::Trs { alpha, beta, inner } = trs(Variant::Official).unwrap() else { panic!() };
        assert!((alpha, beta) == (10.0, 10.0) && inner.is_none());
        let Method::Trs { inner, .. } = trs(Variant::Paper).unwrap() else { panic!() };
        assert!(inner.is_some());
    }

    #[test]
    fn switches_are_checked() {
        let error = |options: TrainOptions| options.method().unwrap_err().to_string();
        let given = TrainOptions { leaky_slope: Some(0.1), ..options("baseline") };
        assert!(error(given).contains("`lenet5` has ReLU"));
        let given = TrainOptions { noise_std: Some(-1.0), ..options("baseline") };
        assert!(error(given).contains("-1"));
    }
}
