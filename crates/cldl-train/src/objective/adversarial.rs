//! Adversarial training (Madry et al. 2018): members learn from PGD examples of their own, instead of
//! clean images or on top of another method.

use candle::{Result, Tensor};
use cldl_attacks::{Linf, Start};
use cldl_core::{Classifier as _, input_gradient};
use cldl_losses::{cross_entropy, one_hot};
use cldl_models::{Ensemble, Mode};
use serde::{Deserialize, Serialize};

use super::second_order::member_cross_entropy;
use super::{Objective, Step, Terms, scalar, sum};

/// `Σᵢ CE(fᵢ(x'ᵢ), y)` with x'ᵢ the PGD example of member i: steps of eps/4 from a random start, in
/// evaluation mode.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Adversarial {
    /// Radius of the L∞ ball, in pixels of [0, 1].
    pub eps: f64,
    /// Steps of the attack.
    pub steps: usize,
}

impl Objective for Adversarial {
    fn terms(&self, ensemble: &Ensemble, step: &Step<'_>) -> Result<Terms> {
        let one_hot = one_hot(step.labels, ensemble.config.n_classes, step.images.dtype())?;
        let attack = Linf { step_size: self.eps / 4.0, ..Linf::pgd(self.eps, self.steps) };
        let start = step.noise("adversarial start")?;
        let losses = ensemble.members.iter().map(|member| {
            let attacked = attack.ascend(step.images, Start::Noise(&start), |x| {
                let loss = cross_entropy(&member.logits(x)?, &one_hot)?.sum_all()?;
                input_gradient(&loss, x)
            })?;
            member_cross_entropy(member, &attacked, &one_hot, Mode::Train)?.mean_all()
        });
        let losses = losses.collect::<Result<Vec<Tensor>>>()?;
        let surrogate = sum(&losses)?;
        let loss = scalar(&surrogate)?;
        Ok(Terms { surrogate, loss, parts: vec![("ce", loss / losses.len() as f64)] })
    }
}

/// Another method's objective plus the adversarial cross-entropies.
pub(super) struct PlusAdversarial {
    pub(super) objective: Box<dyn Objective>,
    pub(super) adversarial: Adversarial,
    /// Whether the method averages its members' losses; the adversarial ones follow it.
    pub(super) averages: bool,
}

impl Objective for PlusAdversarial {
    fn terms(&self, ensemble: &Ensemble, step: &Step<'_>) -> Result<Terms> {
        let terms = self.objective.terms(ensemble, step)?;
        let adversarial = self.adversarial.terms(ensemble, step)?;
        let weight = if self.averages { 1.0 / ensemble.members.len() as f64 } else { 1.0 };
        let ce = adversarial.parts.iter().map(|&(_, value)| ("adv", value));
        Ok(Terms {
            surrogate: (terms.surrogate + (adversarial.surrogate * weight)?)?,
            loss: terms.loss + weight * adversarial.loss,
            parts: terms.parts.into_iter().chain(ce).collect(),
        })
    }

    fn wants_partner(&self) -> bool {
        self.objective.wants_partner()
    }
}
