//! How the options of a training resolve to its config, on a given dataset.

use std::path::Path;

use cldl_data::{Augmentation, Dataset, DatasetSpec};
use cldl_models::{Arch, EnsembleConfig};

use crate::defaults::{self, Defaults};
use crate::schedule::StepSchedule;
use crate::{
    AdamConfig, Adversarial, LoadedEnsemble, Method, TrainConfig, TrainData, TrainError,
    TrainOptions, Variant,
};

/// Options of a training and the dataset it is on; see [`TrainOptions::on`].
#[derive(Debug, Clone, Copy)]
pub struct OptionsOn<'a> {
    pub(crate) options: &'a TrainOptions,
    pub(crate) dataset: &'a DatasetSpec,
}

impl OptionsOn<'_> {
    /// Images of the training split to load: the first so many.
    pub fn examples(&self) -> usize {
        self.options.limit_train.unwrap_or(usize::MAX)
    }

    /// The run whose weights the training starts from.
    pub fn init(&self) -> Option<&Path> {
        self.options.init.as_deref()
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
            ("limit-train", self.options.limit_train.unwrap_or(1)),
        ] {
            if value == 0 {
                return invalid(format!("--{name} is 0, expected at least 1"));
            }
        }
        if !(self.lr().is_finite() && self.lr() > 0.0) {
            return invalid(format!("--lr {} is not a number above 0", self.lr()));
        }
        let slope = self.options.leaky_slope.unwrap_or(0.0);
        if !(0.0..=1.0).contains(&slope) {
            return invalid(format!("--leaky-slope {slope} is outside [0, 1]"));
        }
        self.augmentation(method).validate().map_err(|e| TrainError::Config(e.to_string()))?;
        let (dataset, arch) = (self.dataset, self.arch());
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

    /// The config of a training on `data`, the first [`Self::examples`] of the training split, from the
    /// weights of `init` or from fresh ones.
    ///
    /// # Errors
    /// As [`Self::method`], or if `init` has another architecture or number of members.
    pub fn config(
        &self,
        data: &Dataset,
        init: Option<&LoadedEnsemble>,
    ) -> Result<TrainConfig, TrainError> {
        let method = self.method()?;
        let dataset = self.dataset;
        let numbers = |values: &[f32]| values.iter().map(|v| shortest(*v)).collect();
        let config = TrainConfig {
            variant: self.variant(),
            epochs: self.epochs(),
            batch_size: self.batch_size(),
            lr: self.lr(),
            seed: self.options.seed.unwrap_or(0),
            init: init.map(|init| init.digest.clone()),
            method,
            plus_adv: self.plus_adv(method),
            data: TrainData {
                dataset: dataset.clone(),
                examples: self.examples().min(data.len()),
                sha256: data.sha256.clone(),
            },
            ensemble: EnsembleConfig {
                arch: self.arch(),
                members: self.members(),
                n_classes: dataset.n_classes(),
                leaky_slope: self
                    .options
                    .leaky_slope
                    .unwrap_or(self.defaults().leaky_slope(method)),
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
        let (alpha, beta) = (self.options.alpha, self.options.beta);
        Ok(match self.options.method.as_deref().unwrap_or("cldl") {
            "baseline" => {
                Method::Baseline { smoothing: self.options.label_smoothing.unwrap_or(0.0) }
            }
            "adp" => Method::Adp { alpha: alpha.unwrap_or(2.0), beta: beta.unwrap_or(0.5) },
            "gal" => Method::Gal { alpha: alpha.unwrap_or(0.5) },
            "dverge" => Method::Dverge {
                layer: self.options.layer,
                distillation: defaults
                    .distillation(self.options.distill_eps, self.options.distill_steps),
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
                    gamma: self.options.gamma.unwrap_or(usual.0),
                    alpha: alpha.unwrap_or(usual.1),
                    beta: beta.unwrap_or(usual.2),
                }
            }
            "adversarial" => Method::Adversarial(
                defaults.adversarial(self.options.adv_eps, self.options.adv_steps),
            ),
            name => {
                let names = Method::NAMES.join("`, `");
                return invalid(format!("unknown method `{name}`: use one of `{names}`"));
            }
        })
    }

    /// Refuses options that `method` would ignore.
    fn check_use(&self, method: &str) -> Result<(), TrainError> {
        let adversarial = if self.options.plus_adv { &Method::NAMES[..] } else { &["adversarial"] };
        let uses: [(&str, bool, &[&str]); 9] = [
            ("gamma", self.options.gamma.is_some(), &["cldl"]),
            ("alpha", self.options.alpha.is_some(), &["adp", "gal", "trs", "cldl"]),
            ("beta", self.options.beta.is_some(), &["adp", "trs", "cldl"]),
            ("label-smoothing", self.options.label_smoothing.is_some(), &["baseline"]),
            ("layer", self.options.layer.is_some(), &["dverge"]),
            ("distill-eps", self.options.distill_eps.is_some(), &["dverge"]),
            ("distill-steps", self.options.distill_steps.is_some(), &["dverge"]),
            ("adv-eps", self.options.adv_eps.is_some(), adversarial),
            ("adv-steps", self.options.adv_steps.is_some(), adversarial),
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
        let adversarial = self.defaults().adversarial(self.options.adv_eps, self.options.adv_steps);
        (self.options.plus_adv && !already).then_some(adversarial)
    }

    fn augmentation(&self, method: Method) -> Augmentation {
        let usual = self.defaults().augmentation(method);
        match self.options.noise_std {
            None => usual,
            Some(std) => {
                Augmentation { noise: (std != 0.0).then(|| defaults::noise(std)), ..usual }
            }
        }
    }

    fn defaults(&self) -> Defaults {
        Defaults { dataset: self.dataset.like(), arch: self.arch(), variant: self.variant() }
    }

    fn variant(&self) -> Variant {
        self.options.variant.unwrap_or_default()
    }

    fn arch(&self) -> Arch {
        self.options.arch.unwrap_or(defaults::arch(self.dataset.like()))
    }

    fn members(&self) -> usize {
        self.options.members.unwrap_or(3)
    }

    fn epochs(&self) -> usize {
        self.options.epochs.unwrap_or(self.defaults().epochs())
    }

    fn batch_size(&self) -> usize {
        self.options.batch_size.unwrap_or(128)
    }

    fn lr(&self) -> f64 {
        self.options.lr.unwrap_or(1e-3)
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
    use cldl_data::DatasetName;

    use crate::{Method, TrainError, TrainOptions, Variant};

    fn options(method: &str) -> TrainOptions {
        TrainOptions { method: Some(method.to_owned()), ..TrainOptions::default() }
    }

    fn method(options: &TrainOptions) -> Result<Method, TrainError> {
        options.on(&DatasetName::Mnist.into()).method()
    }

    #[test]
    fn every_name_is_a_method() {
        for name in Method::NAMES {
            assert_eq!(method(&options(name)).unwrap().name(), name);
        }
        let error = method(&options("ghost")).unwrap_err().to_string();
        assert!(error.contains("unknown method `ghost`") && error.contains("`dverge`"), "{error}");
    }

    #[test]
    fn an_option_that_the_method_ignores_is_refused() {
        let error = |options: TrainOptions| method(&options).unwrap_err().to_string();
        let given = TrainOptions { gamma: Some(3.0), ..options("baseline") };
        assert_eq!(error(given), "method `baseline` has no --gamma: it is for `cldl`");
        let given = TrainOptions { adv_eps: Some(0.1), ..options("gal") };
        assert!(error(given.clone()).contains("no --adv-eps"));
        assert!(method(&TrainOptions { plus_adv: true, ..given }).is_ok());
    }

    #[test]
    fn the_variant_sets_what_paper_and_code_disagree_on() {
        let trs = |variant| method(&TrainOptions { variant: Some(variant), ..options("trs") });
        let Method::Trs { alpha, beta, inner } = trs(Variant::Official).unwrap() else { panic!() };
        assert!((alpha, beta) == (10.0, 10.0) && inner.is_none());
        let Method::Trs { inner, .. } = trs(Variant::Paper).unwrap() else { panic!() };
        assert!(inner.is_some());
    }

    #[test]
    fn switches_are_checked() {
        let error = |options: TrainOptions| method(&options).unwrap_err().to_string();
        let given = TrainOptions { leaky_slope: Some(0.1), ..options("baseline") };
        assert!(error(given).contains("`lenet5` has ReLU"));
        let given = TrainOptions { noise_std: Some(-1.0), ..options("baseline") };
        assert!(error(given).contains("-1"));
    }
}
