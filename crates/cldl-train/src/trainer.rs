//! One training step: objective, backward pass, Adam.

use candle::Device;
use cldl_core::Params;
use cldl_models::Ensemble;

use crate::finite::{broken_image, broken_statistic, broken_term, listed, owner};
use crate::{Adam, LoadedEnsemble, Objective, Overflow, Step, Terms, TrainConfig, TrainError};

/// An ensemble in training, one step at a time: what [`train`](crate::train) repeats.
pub struct Trainer {
    /// The ensemble.
    pub ensemble: Ensemble,
    pub(crate) adam: Adam,
    pub(crate) objective: Box<dyn Objective>,
    pub(crate) device: Device,
}

impl Trainer {
    /// A fresh ensemble as `config` says, or one with the weights of `init`.
    ///
    /// # Errors
    /// If the ensemble can't be built on `device`.
    pub fn new(
        config: &TrainConfig,
        init: Option<&LoadedEnsemble>,
        device: &Device,
    ) -> Result<Self, TrainError> {
        let mut source = Params::fresh(config.seed, device);
        let ensemble = Ensemble::new(config.ensemble.clone(), &mut source, device)?;
        if let Some(init) = init {
            take_weights(&ensemble.params, &init.ensemble.params)?;
        }
        let adam = Adam::new(&ensemble.params.trainable, config.adam)?;
        let objective = config.method.objective(config.variant, config.plus_adv);
        Ok(Self { ensemble, adam, objective, device: device.clone() })
    }

    /// One step of the config's objective and of Adam with learning rate `lr`.
    ///
    /// # Errors
    /// If the batch does not fit the ensemble. [`TrainError::NotFinite`] if an image, a term of the loss,
    /// a gradient, a weight or a running statistic is no number: then nothing of this trainer should be
    /// kept.
    pub fn step(&mut self, step: &Step<'_>, lr: f64) -> Result<Terms, TrainError> {
        let number = self.adam.steps() + 1;
        let not_finite = |what: String, remedy| {
            let epoch = step.epoch + 1;
            Err(TrainError::NotFinite { what, step: number, epoch, kept: None, remedy })
        };
        if let Some(what) = broken_image(step)? {
            return not_finite(what, "look at the data and its augmentation");
        }
        let smaller_steps = |what: String| not_finite(what, "try a smaller `--lr`");
        let terms = self.objective.terms(&self.ensemble, step)?;
        if let Some(what) = broken_term(&terms, &self.ensemble, step)? {
            return smaller_steps(what);
        }
        if let Some(Overflow { what, parameter }) =
            self.adam.step(&terms.surrogate.backward()?, lr)?
        {
            let (of, terms) = (owner(&parameter), listed(&terms));
            return smaller_steps(format!("a {what} of {of} is no number, of the terms {terms}"));
        }
        match broken_statistic(&self.ensemble)? {
            None => Ok(terms),
            Some(what) => smaller_steps(what),
        }
    }
}

/// Sets every tensor of `params` that `from` has too; a label confusion model may be new.
fn take_weights(params: &Params, from: &Params) -> Result<(), TrainError> {
    let from = from.tensors();
    for (name, var) in params.trainable.iter().chain(&params.buffers) {
        if let Some(tensor) = from.get(name) {
            var.set(tensor)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use candle::{Device, Tensor};
    use cldl_data::{DatasetName, Split};

    use super::Trainer;
    use crate::{Step, TrainOptions};

    /// What a trainer of `dataset` says of a step with learning rate `lr`, after `spoil` has been at its
    /// weights and its images.
    fn complaint(dataset: DatasetName, lr: f64, spoil: fn(&Trainer, &mut [f32])) -> String {
        let shape = dataset.image_shape();
        let pixels: usize = shape.iter().product();
        let data = cldl_data::Dataset {
            spec: dataset.into(),
            split: Split::Train,
            images: vec![0; 4 * pixels],
            labels: vec![0, 1, 2, 3],
            image_shape: shape,
            n_classes: dataset.n_classes(),
            sha256: String::new(),
        };
        let options = TrainOptions {
            method: Some("baseline".to_owned()),
            members: Some(2),
            ..TrainOptions::default()
        };
        let config = options.on(&dataset.into()).config(&data, None).unwrap();
        let mut trainer = Trainer::new(&config, None, &Device::Cpu).unwrap();
        let mut images: Vec<f32> = (0..4 * pixels).map(|i| (i % 7) as f32 / 7.0).collect();
        spoil(&trainer, &mut images);
        let images = Tensor::from_vec(images, (4, shape[0], shape[1], shape[2]), &Device::Cpu);
        let (images, labels) =
            (images.unwrap(), Tensor::new(&[0u32, 1, 2, 3], &Device::Cpu).unwrap());
        let step = Step { examples: &[40, 41, 42, 43], ..Step::of(&images, &labels) };
        match trainer.step(&step, lr) {
            Ok(terms) => format!("no complaint, but {terms:?}"),
            Err(error) => error.to_string(),
        }
    }

    fn scale(trainer: &Trainer, parameter: &str, by: f64) {
        let var = &trainer.ensemble.params.trainable[parameter];
        var.set(&(var.as_detached_tensor() * by).unwrap()).unwrap();
    }

    #[test]
    fn whatever_is_no_number_stops_the_step_and_is_named() {
        const MNIST: DatasetName = DatasetName::Mnist;
        let said = complaint(MNIST, 1e-3, |_, images| images[2 * 784 + 5] = f32::NAN);
        assert!(said.starts_with("a pixel of image 42 is no number: epoch 1, step 1"), "{said}");
        assert!(!said.contains("--lr"), "{said}");
        let said = complaint(MNIST, 1e-3, |t, _| scale(t, "model_1.Linear.weight", f64::NAN));
        assert!(said.starts_with("the term `ce` is NaN (member 1's scores"), "{said}");
        let said = complaint(MNIST, 1e-3, |t, _| scale(t, "model_1.Linear.weight", 1e25));
        assert!(said.starts_with("a gradient of `model_1."), "{said}");
        assert!(said.contains("of member 1") && said.contains("of the terms ce "), "{said}");
        let said = complaint(MNIST, 1e39, |_, _| ());
        assert!(said.starts_with("a weight of `model_0."), "{said}");
        // Normalization hides from the loss that its statistics have overflown.
        let said =
            complaint(DatasetName::Cifar10, 1e-3, |t, _| scale(t, "model_1.conv1.weight", 1e25));
        assert!(said.starts_with("the statistic `model_1."), "{said}");
        for part in ["of member 1 is no number", "epoch 1, step 1", "no checkpoint yet"] {
            assert!(said.contains(part), "{said}");
        }
    }
}
