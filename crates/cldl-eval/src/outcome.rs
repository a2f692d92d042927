//! What a model made of each example: right or wrong, and by how much.

use candle::{D, DType, Result, Tensor, bail};

/// One bit and a margin for each example, in the examples' order.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Outcome {
    /// Whether the predicted class (the first of the largest scores) is the label.
    pub right: Vec<bool>,
    /// Score of the label minus the best other score: in nats where scores are log-probabilities.
    pub margin: Vec<f32>,
}

impl Outcome {
    /// Adds the outcomes of a batch.
    ///
    /// # Shapes
    /// - `scores`: `[B, C]`, C ≥ 2
    /// - `labels`: `[B]`, u32, below C
    ///
    /// # Errors
    /// If shapes do not fit, a label is C or more, or a score is not a number.
    pub fn extend(&mut self, scores: &Tensor, labels: &Tensor) -> Result<()> {
        let predicted = scores.argmax(D::Minus1)?.to_vec1::<u32>()?;
        let labels = labels.to_vec1::<u32>()?;
        let scores = scores.to_dtype(DType::F32)?.to_vec2::<f32>()?;
        if predicted.len() != labels.len() {
            bail!("{} rows of scores for {} labels", predicted.len(), labels.len());
        }
        for ((row, label), predicted) in scores.iter().zip(&labels).zip(predicted) {
            let label = *label as usize;
            if row.len() <= label || row.len() < 2 {
                bail!("label {label} with scores of {} classes", row.len());
            }
            if row.iter().any(|score| score.is_nan()) {
                bail!("example {}: a score is not a number", self.right.len());
            }
            let others = row.iter().enumerate().filter(|(class, _)| *class != label);
            let best = others.map(|(_, score)| *score).fold(f32::NEG_INFINITY, f32::max);
            self.right.push(predicted as usize == label);
            self.margin.push(row[label] - best);
        }
        Ok(())
    }

    /// The number of examples.
    pub fn len(&self) -> usize {
        self.right.len()
    }

    /// Whether there is no example.
    pub fn is_empty(&self) -> bool {
        self.right.is_empty()
    }

    /// The number of examples that are right.
    pub fn count_right(&self) -> usize {
        self.right.iter().filter(|right| **right).count()
    }
}

#[cfg(test)]
mod tests {
    use candle::{Device, Tensor};

    use super::Outcome;

    fn extend(scores: &[[f32; 3]; 2], labels: [u32; 2]) -> candle::Result<Outcome> {
        let mut outcome = Outcome::default();
        let labels = Tensor::new(&labels, &Device::Cpu)?;
        outcome.extend(&Tensor::new(scores, &Device::Cpu)?, &labels)?;
        Ok(outcome)
    }

    #[test]
    fn margins_lead_from_the_best_other_class() {
        let outcome = extend(&[[0.5, 2.0, 1.0], [0.5, 2.0, 1.0]], [1, 0]).unwrap();
        assert_eq!(outcome.right, [true, false]);
        assert_eq!(outcome.margin, [1.0, -1.5]);
        assert_eq!((outcome.len(), outcome.count_right()), (2, 1));
    }

    #[test]
    fn of_equal_scores_the_first_is_predicted() {
        let outcome = extend(&[[1.0, 1.0, 0.0], [1.0, 1.0, 0.0]], [0, 1]).unwrap();
        assert_eq!(outcome.right, [true, false]);
        assert_eq!(outcome.margin, [0.0, 0.0]);
    }

    #[test]
    fn broken_scores_are_an_error() {
        let error = extend(&[[1.0, f32::NAN, 0.0], [0.0; 3]], [0, 1]).unwrap_err();
        assert!(error.to_string().contains("not a number"), "{error}");
        assert!(extend(&[[0.0; 3]; 2], [0, 3]).is_err());
    }
}
