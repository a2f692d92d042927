//! One training step: objective, backward pass, Adam.

use candle::Device;
use cldl_core::Params;
use cldl_models::Ensemble;

use crate::finite::{broken_term, is_finite, owner};
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
    /// a gradient or a weight is no number: then nothing of this trainer should be kept.
    pub fn step(&mut self, step: &Step<'_>, lr: f64) -> Result<Terms, TrainError> {
        let number = self.adam.steps() + 1;
        let not_finite =
            |what: String| Err(TrainError::NotFinite { what, step: number, epoch: step.epoch + 1 });
        if !is_finite(step.images)? {
            return not_finite("a pixel of the batch is no number".to_owned());
        }
        let terms = self.objective.terms(&self.ensemble, step)?;
        if let Some(what) = broken_term(&terms, &self.ensemble, step)? {
            return not_finite(what);
        }
        match self.adam.step(&terms.surrogate.backward()?, lr)? {
            None => Ok(terms),
            Some(Overflow { what, parameter }) => {
                not_finite(format!("a {what} of {} is no number", owner(&parameter)))
            }
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
