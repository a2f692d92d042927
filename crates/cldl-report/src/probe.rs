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

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;

    use candle::{Device, Tensor};
    use cldl_core::Params;
    use cldl_data::{Dataset, DatasetName, Split};
    use cldl_eval::Examples;
    use cldl_models::{Arch, Ensemble, EnsembleConfig};

    use super::Probe;
    use crate::analysis::label_dependencies;

    /// Ten thousand images, each of a level of its own.
    fn test_images() -> Dataset {
        let images =
            (0..10_000usize).flat_map(|i| (0..784usize).map(move |p| ((i * p) % 251) as u8));
        let labels = (0..10_000usize).map(|i| (i % 10) as u8);
        Dataset::new(DatasetName::Mnist, Split::Test, images.collect(), labels.collect()).unwrap()
    }

    fn ensemble(members: usize) -> Ensemble {
        let (mean, std) = (vec![0.13], vec![0.31]);
        let arch = Arch::LeNet5;
        let config =
            EnsembleConfig { arch, members, n_classes: 10, leaky_slope: 0.0, mean, std, lcm: true };
        Ensemble::new(config, &mut Params::fresh(3, &Device::Cpu), &Device::Cpu).unwrap()
    }

    #[test]
    fn a_look_changes_nothing_and_is_the_same_twice() {
        let test = test_images();
        let ensemble = ensemble(3);
        let numbers = || -> Vec<(String, Vec<f32>)> {
            let tensors = ensemble.params.tensors();
            let flat = |t: &Tensor| t.flatten_all().unwrap().to_vec1::<f32>().unwrap();
            tensors.iter().map(|(name, tensor)| (name.clone(), flat(tensor))).collect()
        };
        let before = numbers();
        let probe = Probe::new(&test, 20, 0.1, Some(3.0), &Device::Cpu).unwrap();
        let (one, two) = (probe.look(&ensemble).unwrap(), probe.look(&ensemble).unwrap());
        assert_eq!(one, two);
        assert_eq!(before, numbers());
        assert_eq!((one.examples, one.pairs.pairs.len(), one.pairs.of), (20, 3, "sld"));
        for pair in &one.pairs.pairs {
            assert!((0.0..=1.0).contains(&pair.gradient_cosine), "{pair:?}");
            assert!((0.0..=std::f64::consts::LN_2).contains(&pair.divergence), "{pair:?}");
        }
        let (cosine, _) = one.means().unwrap();
        assert!(0.0 < cosine);
    }

    #[test]
    fn a_member_alone_has_no_pairs() {
        let probe = Probe::new(&test_images(), 5, 0.1, None, &Device::Cpu).unwrap();
        let look = probe.look(&ensemble(1)).unwrap();
        assert_eq!((look.pairs.of, look.means()), ("probs", None));
    }

    #[test]
    fn mean_confusion_vectors_sum_to_one() {
        let test = test_images();
        let examples = Examples::evaluation(&test, 50).unwrap();
        let go_on = &mut |_: &_| ControlFlow::Continue(());
        let found = label_dependencies(&ensemble(2), &examples, &Device::Cpu, go_on);
        let found = found.unwrap().unwrap();
        assert_eq!(found.counts.iter().sum::<usize>(), 50);
        for (row, count) in found.members.iter().flat_map(|rows| rows.iter().zip(&found.counts)) {
            let sum: f64 = row.iter().sum();
            assert!((sum - if *count == 0 { 0.0 } else { 1.0 }).abs() < 1e-5, "{sum}");
        }
    }
}
