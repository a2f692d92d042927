//! GAL (Kariyappa and Qureshi 2019): members' input gradients pushed apart.

use candle::Result;
use cldl_losses::{CosineFloor, one_hot};
use cldl_models::Ensemble;

use super::second_order::{Part, cross_entropies};
use super::{Objective, Step, Terms};
use crate::Variant;

/// Guard of the logarithm in the published code.
const GUARD: f64 = 1e-6;

/// `1/N Σᵢ CE(fᵢ(x), y) + α log Σ_{i<j} exp cos(∇ₓCEᵢ, ∇ₓCEⱼ)`, averaged over the batch.
pub(super) struct Gal {
    pub(super) alpha: f64,
    pub(super) variant: Variant,
}

impl Objective for Gal {
    fn terms(&self, ensemble: &Ensemble, step: &Step<'_>) -> Result<Terms> {
        let one_hot = one_hot(step.labels, ensemble.config.n_classes, step.images.dtype())?;
        let (floor, guard) = match self.variant {
            Variant::Paper => (CosineFloor::EachNorm, 0.0),
            Variant::Official => (CosineFloor::Product, GUARD),
        };
        let losses =
            cross_entropies(&ensemble.members, step.images, &one_hot, self.variant, |products| {
                let coherence = products.coherence(floor, guard)?.mean_all()?;
                Ok(vec![Part { name: "coherence", weight: self.alpha, value: coherence }])
            })?;
        losses.averaged()
    }
}
