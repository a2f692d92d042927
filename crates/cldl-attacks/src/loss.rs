//! What an attack maximizes: cross-entropy, or a margin between scores (Carlini and Wagner).
//!
//! With scores z `[B, C]` (logits, or the logarithm of probabilities) and labels y, per example:
//!
//! - `ce`: -log softmax(z)_y
//! - `cw`: -relu(z_y - max_{j≠y} z_j + κ), κ = 0.1
//! - `cw-official`: -relu(z_y - max_j (1 - Y_j) z_j + κ), Y the one-hot label
//!
//! The third is what the code published with the paper computes. It multiplies the label's entry by 0
//! instead of leaving it out. An ensemble's scores are log p ≤ 0, so that 0 is always the maximum:
//! the loss becomes -relu(log p_y + κ), whose gradient vanishes as soon as p_y < e^-0.1 = 0.905.

use std::fmt;
use std::str::FromStr;

use candle::{D, DType, Result, Tensor, bail};
use cldl_core::Value;
use serde::{Deserialize, Serialize};

use crate::Goal;

/// κ: by how much the margin losses want a wrong class to lead.
pub const CONFIDENCE: f64 = 0.1;

/// The loss whose ascent is the attack.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum AttackLoss {
    /// Cross-entropy.
    #[default]
    Ce,
    /// The margin loss as it is meant: the label is left out of the maximum.
    Cw,
    /// The margin loss as published: the label's score counts as 0 in the maximum.
    CwOfficial,
}

impl AttackLoss {
    /// Every loss.
    pub const ALL: [Self; 3] = [Self::Ce, Self::Cw, Self::CwOfficial];

    /// The name in flags, files and JSON, as in `cw-official`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ce => "ce",
            Self::Cw => "cw",
            Self::CwOfficial => "cw-official",
        }
    }

    /// What the attack maximizes for each example: the loss of `labels` if they are to be left, its
    /// mirror image if they are to be reached.
    ///
    /// | loss | away from y | towards t |
    /// | --- | --- | --- |
    /// | `ce` | -log softmax(z)_y | log softmax(z)_t |
    /// | `cw` | -relu(z_y - max_{j≠y} z_j + κ) | -relu(max_{j≠t} z_j - z_t + κ) |
    /// | `cw-official` | -relu(z_y - max_j (1 - Y_j) z_j + κ) | none |
    ///
    /// relu'(0) = 0; the gradient of a maximum belongs to the first.
    ///
    /// # Shapes
    /// - `scores`: `[B, C]`, C ≥ 2
    /// - `labels`: `[B]`, u32, below C
    /// - returns `[B]`; `ce` in nats, ≥ 0 (≤ 0 towards a label); the margin losses ≤ 0
    ///
    /// # Errors
    /// If shapes do not fit, a label is C or more, or `cw-official` is asked for a targeted form.
    ///
    /// # Source
    /// Carlini and Wagner 2017, f_6 of their list, with κ on the other side; the table's third row is
    /// the evaluation code published with the paper.
    pub fn objective(self, scores: &Tensor, labels: &Tensor, goal: Goal) -> Result<Tensor> {
        let (_, classes) = scores.dims2()?;
        if classes < 2 {
            bail!("an attack needs at least 2 classes, the scores have {classes}");
        }
        let index = labels.to_dtype(DType::U32)?.unsqueeze(1)?;
        let of_label = |z: &Tensor| z.gather(&index, 1)?.squeeze(1);
        if self == Self::Ce {
            let log_prob = of_label(&Value::log_softmax(scores)?)?;
            return if goal == Goal::Leave { log_prob.neg() } else { Ok(log_prob) };
        }
        let is_label = index.broadcast_eq(&Tensor::arange(0, classes as u32, scores.device())?)?;
        let (competitors, left_out) = match self {
            Self::CwOfficial => (is_label.where_cond(&scores.zeros_like()?, scores)?, 0.0),
            _ => (scores.clone(), f64::NEG_INFINITY),
        };
        let ranked = is_label.where_cond(&fill(scores, left_out)?, &scores.detach())?;
        let best = ranked.argmax_keepdim(D::Minus1)?;
        let lead = (of_label(scores)? - competitors.gather(&best, 1)?.squeeze(1)?)?;
        match (self, goal) {
            (_, Goal::Leave) => relu(&(lead + CONFIDENCE)?)?.neg(),
            (Self::CwOfficial, Goal::Reach) => {
                bail!("`cw-official` has no targeted form: use `cw`")
            }
            (_, Goal::Reach) => relu(&(lead.neg()? + CONFIDENCE)?)?.neg(),
        }
    }
}

/// max(x, 0) with derivative 0 at 0.
fn relu(x: &Tensor) -> Result<Tensor> {
    let at = x.detach();
    x * at.gt(&at.zeros_like()?)?.to_dtype(x.dtype())?
}

/// A constant of the shape, type and device of `like`.
fn fill(like: &Tensor, value: f64) -> Result<Tensor> {
    Tensor::full(value, like.shape(), like.device())?.to_dtype(like.dtype())
}

impl fmt::Display for AttackLoss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for AttackLoss {
    type Err = String;

    fn from_str(name: &str) -> std::result::Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|loss| loss.as_str() == name)
            .ok_or_else(|| format!("unknown loss `{name}`: use `ce`, `cw` or `cw-official`"))
    }
}

#[cfg(test)]
mod tests {
    use candle::{Device, Tensor, Var};
    use cldl_core::{gradcheck::gradient_error, input_gradient};

    use super::AttackLoss;
    use crate::Goal;

    /// Loss of label 0 and gradient for the probability `p` of label 0, the rest on label 1 and 2.
    fn at(loss: AttackLoss, p: f64) -> (f64, Vec<f64>) {
        let scores = [p.ln(), ((1.0 - p) * 0.75).ln(), ((1.0 - p) * 0.25).ln()];
        let scores = Var::new(&[scores], &Device::Cpu).unwrap();
        let labels = Tensor::new(&[0u32], &Device::Cpu).unwrap();
        let value = loss.objective(&scores, &labels, Goal::Leave).unwrap().sum_all().unwrap();
        let gradient = input_gradient(&value, &scores).unwrap();
        (value.to_scalar().unwrap(), gradient.flatten_all().unwrap().to_vec1().unwrap())
    }

    #[test]
    fn the_published_margin_vanishes_below_a_probability_of_0_905() {
        for p in [0.27, 0.65, 0.9] {
            let (value, gradient) = at(AttackLoss::CwOfficial, p);
            assert!(
                value == 0.0 && gradient.iter().all(|g| *g == 0.0),
                "{p}: {value} {gradient:?}"
            );
        }
        let (value, gradient) = at(AttackLoss::CwOfficial, 0.95);
        assert!((value - -0.048_706_7).abs() < 1e-6, "{value}");
        assert_eq!(gradient, [-1.0, 0.0, 0.0]);
    }

    #[test]
    fn the_margin_as_meant_pulls_until_another_class_leads() {
        let (value, gradient) = at(AttackLoss::Cw, 0.65);
        assert!((value - -(0.65f64 / 0.2625).ln() - -0.1).abs() < 1e-12, "{value}");
        assert_eq!(gradient, [-1.0, 1.0, 0.0]);
        let (value, gradient) = at(AttackLoss::Cw, 0.27);
        assert!(value == 0.0 && gradient == [0.0; 3], "{value} {gradient:?}");
    }

    #[test]
    fn positive_scores_make_both_margins_equal() {
        let scores = Tensor::new(&[[1.0f64, 3.0, 2.0], [5.0, 0.5, 1.5]], &Device::Cpu).unwrap();
        let labels = Tensor::new(&[1u32, 0], &Device::Cpu).unwrap();
        for loss in [AttackLoss::Cw, AttackLoss::CwOfficial] {
            let values = loss.objective(&scores, &labels, Goal::Leave).unwrap();
            assert_eq!(values.to_vec1::<f64>().unwrap(), [-1.1, -3.6]);
        }
    }

    #[test]
    fn gradients_agree_with_finite_differences() {
        let scores = Tensor::new(&[[0.3f64, -1.2, 0.7], [2.0, 0.1, 1.4]], &Device::Cpu).unwrap();
        let labels = Tensor::new(&[2u32, 0], &Device::Cpu).unwrap();
        for loss in AttackLoss::ALL {
            for goal in [Goal::Leave, Goal::Reach] {
                if (loss, goal) == (AttackLoss::CwOfficial, Goal::Reach) {
                    continue;
                }
                let f = |z: &Tensor| loss.objective(z, &labels, goal)?.sum_all();
                assert!(gradient_error(f, &scores).unwrap() < 1e-8, "{loss} {goal:?}");
            }
        }
    }

    #[test]
    fn bad_input_is_refused() {
        let scores = Tensor::new(&[[0.3f64, -1.2]], &Device::Cpu).unwrap();
        let label = |y: u32| Tensor::new(&[y], &Device::Cpu).unwrap();
        for loss in AttackLoss::ALL {
            assert!(loss.objective(&scores, &label(2), Goal::Leave).is_err(), "{loss}");
        }
        let targeted = AttackLoss::CwOfficial.objective(&scores, &label(1), Goal::Reach);
        assert!(targeted.unwrap_err().to_string().contains("no targeted form"));
    }

    #[test]
    fn names_round_trip() {
        for loss in AttackLoss::ALL {
            assert_eq!(loss.to_string().parse::<AttackLoss>().unwrap(), loss);
            assert_eq!(serde_json::to_string(&loss).unwrap(), format!("\"{loss}\""));
        }
        assert!("dlr".parse::<AttackLoss>().unwrap_err().contains("unknown loss `dlr`"));
    }
}
