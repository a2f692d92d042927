//! Baseline: the members' cross-entropies, summed, so that each learns on its own.

use candle::{Result, Tensor};
use cldl_losses::{cross_entropy, one_hot};
use cldl_models::{Ensemble, Mode};

use super::{Objective, Terms, scalar};

/// `Σᵢ CE(fᵢ(x), y)`, each averaged over the batch.
pub(super) struct Baseline;

impl Objective for Baseline {
    fn terms(&self, ensemble: &Ensemble, images: &Tensor, labels: &Tensor) -> Result<Terms> {
        let one_hot = one_hot(labels, ensemble.config.n_classes, images.dtype())?;
        let losses = ensemble
            .members
            .iter()
            .map(|member| {
                let logits = member.forward(images, Mode::Train)?.logits;
                cross_entropy(&logits, &one_hot)?.mean_all()
            })
            .collect::<Result<Vec<_>>>()?;
        let surrogate = Tensor::stack(&losses, 0)?.sum_all()?;
        let loss = scalar(&surrogate)?;
        Ok(Terms { surrogate, loss, parts: vec![("ce", loss / losses.len() as f64)] })
    }
}
