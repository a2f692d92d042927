//! ADP (Pang et al. 2019): members together unsure, and diverse in what else an image might be.

use candle::{Result, Tensor};
use cldl_core::Value;
use cldl_losses::{cross_entropy, ensemble_diversity, ensemble_entropy, one_hot};
use cldl_models::Ensemble;

use super::{Objective, Step, Terms, scalar, sum, train_logits};

/// `Σᵢ CE(fᵢ(x), y) - α H(p̄) - β log det(M̃ᵀM̃)`, averaged over the batch.
pub(super) struct Adp {
    pub(super) alpha: f64,
    pub(super) beta: f64,
}

impl Objective for Adp {
    fn terms(&self, ensemble: &Ensemble, step: &Step<'_>) -> Result<Terms> {
        let one_hot = one_hot(step.labels, ensemble.config.n_classes, step.images.dtype())?;
        let logits = train_logits(ensemble, step.images)?;
        let losses = logits
            .iter()
            .map(|logits| cross_entropy(logits, &one_hot)?.mean_all())
            .collect::<Result<Vec<Tensor>>>()?;
        let probabilities = logits.iter().map(Value::softmax).collect::<Result<Vec<_>>>()?;
        let ce = sum(&losses)?;
        let entropy = ensemble_entropy(&probabilities)?.mean_all()?;
        let log_det = ensemble_diversity(&probabilities, step.labels)?.mean_all()?;
        let regularizer = ((&entropy * self.alpha)? + (&log_det * self.beta)?)?;
        let surrogate = (&ce - regularizer)?;
        let parts = vec![
            ("ce", scalar(&ce)? / losses.len() as f64),
            ("entropy", scalar(&entropy)?),
            ("log_det", scalar(&log_det)?),
        ];
        Ok(Terms { loss: scalar(&surrogate)?, surrogate, parts })
    }
}
