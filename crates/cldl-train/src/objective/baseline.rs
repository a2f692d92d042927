//! Baseline: the members' cross-entropies, summed, so that each learns on its own.

use candle::{Result, Tensor};
use cldl_losses::{cross_entropy, one_hot};
use cldl_models::Ensemble;

use super::{Objective, Step, Terms, scalar, sum, train_logits};

/// `Σᵢ CE(fᵢ(x), y)`, each averaged over the batch.
pub(super) struct Baseline {
    /// Share of the label that is spread evenly over all classes.
    pub(super) smoothing: f64,
}

impl Objective for Baseline {
    fn terms(&self, ensemble: &Ensemble, step: &Step<'_>) -> Result<Terms> {
        let n_classes = ensemble.config.n_classes;
        let one_hot = one_hot(step.labels, n_classes, step.images.dtype())?;
        let target = one_hot.affine(1.0 - self.smoothing, self.smoothing / n_classes as f64)?;
        let losses = train_logits(ensemble, step.images)?
            .iter()
            .map(|logits| cross_entropy(logits, &target)?.mean_all())
            .collect::<Result<Vec<Tensor>>>()?;
        let surrogate = sum(&losses)?;
        let loss = scalar(&surrogate)?;
        Ok(Terms { surrogate, loss, parts: vec![("ce", loss / losses.len() as f64)] })
    }
}
