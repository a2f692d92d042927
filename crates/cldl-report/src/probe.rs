//! A quick look at an ensemble in training, on images that no table reports on.
//!
//! It changes nothing: members are evaluated with their running statistics, weights are constants, and
//! its one attack (FGSM) draws no random number.

use candle::{Device, Result};
use cldl_attacks::{AttackKind, Start};
use cldl_core::Classifier as _;
use cldl_data::{Batch, Dataset};
use cldl_eval::{EvalError, Examples, Outcome, Score};
use cldl_models::Ensemble;
use serde::Serialize;

use crate::analysis::{PairMeasures, pair_measures};

/// Images that an ensemble is looked at with after each epoch.
pub struct Probe {
    batch: Batch,
    eps: f64,
    gamma: Option<f64>,
}

/// What a look gives; percentages in [0, 100].
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Look {
    /// Images looked at.
    pub examples: usize,
    /// Accuracy on them.
    pub clean: f64,
    /// Radius of the attack, in pixels of [0, 1].
    pub eps: f64,
    /// Accuracy under FGSM on the whole ensemble.
    pub fgsm: f64,
    /// Gradient alignment and divergence of the members' pairs.
    #[serde(flatten)]
    pub pairs: PairMeasures,
}

impl Probe {
    /// The first `n` of the images of `test` that are for tuning. `gamma` as in Eq. 6, for CLDL.
    ///
    /// # Errors
    /// If `test` is a part of a published test split.
    pub fn new(
        test: &Dataset,
        n: usize,
        eps: f64,
        gamma: Option<f64>,
        device: &Device,
    ) -> std::result::Result<Self, EvalError> {
        let n = n.min(test.len() / 10).max(1);
        let examples = Examples::tuning(test, n)?;
        Ok(Self { batch: examples.batch(0..n, device)?, eps, gamma })
    }

    /// Looks at `ensemble`.
    ///
    /// # Errors
    /// If the images do not fit it.
    pub fn look(&self, ensemble: &Ensemble) -> Result<Look> {
        let Batch { images, labels, .. } = &self.batch;
        let percent = |images| {
            let mut outcome = Outcome::default();
            outcome.extend(&ensemble.logits(images)?, labels)?;
            Ok::<_, candle::Error>(Score::of(&outcome).percent().unwrap_or_default())
        };
        let fgsm = AttackKind::Fgsm.attack(self.eps, 1);
        let attacked = fgsm.perturb(ensemble, images, labels, Start::Seed(0))?;
        Ok(Look {
            examples: self.batch.len(),
            clean: percent(images)?,
            eps: self.eps,
            fgsm: percent(&attacked)?,
            pairs: pair_measures(ensemble, self.gamma, images, labels)?,
        })
    }
}

impl Look {
    /// Means over the pairs: gradient alignment and divergence; none for a member alone.
    pub fn means(&self) -> Option<(f64, f64)> {
        let pairs = &self.pairs.pairs;
        let n = pairs.len() as f64;
        let mean = |of: fn(&crate::analysis::Pair) -> f64| pairs.iter().map(of).sum::<f64>() / n;
        (!pairs.is_empty()).then(|| (mean(|p| p.gradient_cosine), mean(|p| p.divergence)))
    }
}
