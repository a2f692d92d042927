//! The label dependencies that a label confusion model learned: which labels it finds alike.

use std::ops::ControlFlow;

use candle::{DType, Device};
use cldl_eval::{EvalError, Examples, Observe, Progress};
use cldl_models::{Ensemble, Mode};

/// Mean label confusion vectors by true class.
#[derive(Debug, Clone, PartialEq)]
pub struct LabelDependencies {
    /// `[member][class][label]`: the mean LCV (Eq. 6) of a class's images; rows sum to 1, and are 0
    /// where there was no image.
    pub members: Vec<Vec<Vec<f64>>>,
    /// Images of each class.
    pub counts: Vec<usize>,
}

/// Mean label confusion vectors on `examples`; none if the ensemble has no label confusion model.
///
/// # Errors
/// [`EvalError::Stopped`] if `observe` says so; if the images do not fit the ensemble.
pub fn label_dependencies(
    ensemble: &Ensemble,
    examples: &Examples<'_>,
    device: &Device,
    observe: &mut Observe<'_>,
) -> Result<Option<LabelDependencies>, EvalError> {
    let Some(lcm) = &ensemble.lcm else { return Ok(None) };
    let classes = ensemble.config.n_classes;
    let mut counts = vec![0; classes];
    let mut members = vec![vec![vec![0.0; classes]; classes]; ensemble.members.len()];
    let label = "label dependencies".to_owned();
    let mut progress = Progress { done: 0, total: examples.len() as u64, label };
    for range in examples.batches(200) {
        if let ControlFlow::Break(()) = observe(&progress) {
            return Err(EvalError::Stopped);
        }
        progress.done += range.len() as u64;
        let batch = examples.batch(range, device)?;
        let labels = batch.labels.to_vec1::<u32>()?;
        for label in &labels {
            counts[*label as usize] += 1;
        }
        for (member, sums) in ensemble.members.iter().zip(&mut members) {
            let representation = member.forward(&batch.images, Mode::Eval)?.representation;
            let lcv = lcm.forward(&representation, Mode::Eval)?.to_dtype(DType::F64)?;
            for (row, label) in lcv.to_vec2::<f64>()?.iter().zip(&labels) {
                let sum = &mut sums[*label as usize];
                sum.iter_mut().zip(row).for_each(|(sum, value)| *sum += value);
            }
        }
    }
    for rows in &mut members {
        for (row, count) in rows.iter_mut().zip(&counts) {
            for value in row {
                *value /= (*count).max(1) as f64;
            }
        }
    }
    Ok(Some(LabelDependencies { members, counts }))
}

impl LabelDependencies {
    /// The mean over members, `[class][label]`.
    pub fn mean(&self) -> Vec<Vec<f64>> {
        let n = self.members.len().max(1) as f64;
        let classes = self.counts.len();
        let entry = |class: usize, label: usize| {
            self.members.iter().map(|rows| rows[class][label]).sum::<f64>() / n
        };
        (0..classes).map(|c| (0..classes).map(|l| entry(c, l)).collect()).collect()
    }

    /// The label that a member names whatever the class, if it does: its mean LCV is above one half at
    /// that label for nine classes of ten. Such an LCV says nothing of the image any more.
    pub fn constant(rows: &[Vec<f64>]) -> Option<usize> {
        let named = |label: &usize| rows.iter().filter(|row| 0.5 < row[*label]).count();
        (0..rows.len()).find(|label| 9 * rows.len() <= 10 * named(label))
    }

    /// The labels that `rows` (a member's, or [the mean](Self::mean)) find nearest to `class`, the
    /// nearest first, without the class itself.
    pub fn nearest(rows: &[Vec<f64>], class: usize) -> Vec<(usize, f64)> {
        let mut others: Vec<(usize, f64)> =
            rows[class].iter().copied().enumerate().filter(|(label, _)| *label != class).collect();
        others.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        others
    }
}

#[cfg(test)]
mod tests {
    use super::LabelDependencies;

    #[test]
    fn the_nearest_label_is_another_one() {
        let rows = vec![vec![0.9, 0.02, 0.08], vec![0.3, 0.3, 0.4], vec![0.5, 0.5, 0.0]];
        let labels = LabelDependencies { members: vec![rows.clone(), rows], counts: vec![1, 1, 1] };
        let mean = labels.mean();
        assert_eq!(LabelDependencies::nearest(&mean, 0), [(2, 0.08), (1, 0.02)]);
        assert_eq!(LabelDependencies::constant(&mean), None);
        let collapsed: Vec<Vec<f64>> = vec![vec![0.0, 0.99, 0.01]; 3];
        assert_eq!(LabelDependencies::constant(&collapsed), Some(1));
        // Ties come in the order of the labels.
        assert_eq!(LabelDependencies::nearest(&mean, 2)[0].0, 0);
    }
}
