//! Examples to look at: an image, what an attack changes, and what every member makes of the result.

use std::ops::ControlFlow;

use candle::{D, DType, Device, Result, Tensor};
use cldl_attacks::Start;
use cldl_core::Classifier as _;
use cldl_eval::{AttackSpec, EvalError, Examples, Observe, Progress};
use cldl_models::Ensemble;

use super::plane::one;

/// An example before and after an attack on the whole ensemble.
#[derive(Debug, Clone, PartialEq)]
pub struct Specimen {
    /// Its position in the data set.
    pub index: usize,
    /// Its class.
    pub label: u32,
    /// The pixels, `[Ch, H, W]` laid end to end, in [0, 1].
    pub image: Vec<f32>,
    /// The same after the attack.
    pub adversarial: Vec<f32>,
    /// What each member predicts before and after.
    pub members: Vec<(u32, u32)>,
    /// What the ensemble predicts before and after.
    pub ensemble: (u32, u32),
}

/// The first `n` of `examples` that the ensemble gets right, one of each class before a second of any,
/// under `attack`.
///
/// # Errors
/// [`EvalError::Stopped`] if `observe` says so; if the attack fails.
pub fn specimens(
    ensemble: &Ensemble,
    examples: &Examples<'_>,
    attack: &AttackSpec,
    n: usize,
    device: &Device,
    observe: &mut Observe<'_>,
) -> std::result::Result<Vec<Specimen>, EvalError> {
    let label = format!("examples under {attack}");
    let total = n as u64;
    if let ControlFlow::Break(()) = observe(&Progress { done: 0, total, label: label.clone() }) {
        return Err(EvalError::Stopped);
    }
    let batch = examples.batch(0..examples.len().min(200), device)?;
    let labels = batch.labels.to_vec1::<u32>()?;
    let before = predictions(&ensemble.logits(&batch.images)?)?;
    let chosen = choose(&labels, &before, n);
    if chosen.is_empty() {
        return Ok(Vec::new());
    }
    let images = chosen.iter().map(|i| one(&batch.images, *i)).collect::<Result<Vec<_>>>()?;
    let images = Tensor::cat(&images, 0)?;
    let chosen_labels: Vec<u32> = chosen.iter().map(|i| labels[*i]).collect();
    let chosen_labels = Tensor::from_vec(chosen_labels, chosen.len(), device)?;
    let numbers: Vec<u64> = chosen.iter().map(|i| batch.indices[*i] as u64).collect();
    let start = Start::Examples { seed: attack.seed, numbers: &numbers };
    let attacked = attack.linf().perturb(ensemble, &images, &chosen_labels, start)?;
    let of_members = |x: &Tensor| -> Result<Vec<Vec<u32>>> {
        ensemble.member_logits(x)?.iter().map(predictions).collect()
    };
    let (clean, fooled) = (of_members(&images)?, of_members(&attacked)?);
    let after = predictions(&ensemble.logits(&attacked)?)?;
    let (pixels, changed) = (rows(&images)?, rows(&attacked)?);
    let specimen = |(k, i): (usize, &usize)| Specimen {
        index: batch.indices[*i],
        label: labels[*i],
        image: pixels[k].clone(),
        adversarial: changed[k].clone(),
        members: clean.iter().zip(&fooled).map(|(a, b)| (a[k], b[k])).collect(),
        ensemble: (before[*i], after[k]),
    };
    let found = chosen.iter().enumerate().map(specimen).collect();
    let _ = observe(&Progress { done: total, total, label });
    Ok(found)
}

/// Positions of right examples, in the order of the data, classes not yet seen first.
fn choose(labels: &[u32], predicted: &[u32], n: usize) -> Vec<usize> {
    let right: Vec<usize> = (0..labels.len()).filter(|i| labels[*i] == predicted[*i]).collect();
    let is_first = |i: &&usize| right.iter().find(|j| labels[**j] == labels[**i]) == Some(*i);
    let (first, rest): (Vec<&usize>, Vec<&usize>) = right.iter().partition(is_first);
    let mut chosen: Vec<usize> = first.into_iter().chain(rest).copied().take(n).collect();
    chosen.sort_unstable();
    chosen
}

fn predictions(logits: &Tensor) -> Result<Vec<u32>> {
    logits.argmax(D::Minus1)?.to_vec1()
}

fn rows(images: &Tensor) -> Result<Vec<Vec<f32>>> {
    images.to_device(&Device::Cpu)?.to_dtype(DType::F32)?.flatten_from(1)?.to_vec2()
}

#[cfg(test)]
mod tests {
    use super::choose;

    #[test]
    fn right_examples_of_many_classes_come_first() {
        let labels = [3, 3, 1, 3, 2, 1];
        assert_eq!(choose(&labels, &[3, 3, 1, 3, 0, 1], 2), [0, 2]);
        assert_eq!(choose(&labels, &labels, 4), [0, 1, 2, 4]);
        assert!(choose(&labels, &[9; 6], 4).is_empty());
    }
}
