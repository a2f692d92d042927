//! Pairs of members: how parallel their input gradients are, and how far apart their soft labels.

use candle::{D, DType, Result, Tensor, Var};
use cldl_core::{Value, input_gradient};
use cldl_losses::{
    CosineFloor, absolute_cosine, cross_entropy, label_diversity, one_hot,
    simulated_label_distribution,
};
use cldl_models::{Ensemble, Mode};
use serde::Serialize;

/// One pair of members, i < j, from 0.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Pair {
    /// The members.
    pub members: [usize; 2],
    /// Mean absolute cosine of their input gradients of the cross-entropy, in [0, 1]: Eq. 10's terms.
    pub gradient_cosine: f64,
    /// Mean Jensen-Shannon divergence of their soft labels without the largest entry, in nats, in
    /// [0, ln 2]: Eq. 8.
    pub divergence: f64,
}

/// Measures of every pair of an ensemble's members on some images.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PairMeasures {
    /// The pairs; none for a member alone.
    pub pairs: Vec<Pair>,
    /// What the divergence compares: `sld` (simulated label distributions) where there is a label
    /// confusion model, else `probs` (predicted probabilities).
    pub of: &'static str,
}

/// Measures each pair of members, in evaluation mode: nothing of the ensemble changes.
///
/// `gamma` is the weight of the hard label in Eq. 6, for ensembles with a label confusion model.
///
/// # Shapes
/// - `images`: `[B, Ch, H, W]`, pixels in [0, 1]
/// - `labels`: `[B]`, u32
///
/// # Errors
/// If the images do not fit the ensemble.
pub fn pair_measures(
    ensemble: &Ensemble,
    gamma: Option<f64>,
    images: &Tensor,
    labels: &Tensor,
) -> Result<PairMeasures> {
    let one_hot = one_hot(labels, ensemble.config.n_classes, images.dtype())?;
    let (mut gradients, mut soft) = (Vec::new(), Vec::new());
    for member in &ensemble.members {
        let x = Var::from_tensor(&images.detach())?;
        let out = member.forward(x.as_tensor(), Mode::Eval)?;
        let loss = cross_entropy(&out.logits, &one_hot)?.sum_all()?;
        gradients.push(input_gradient(&loss, &x)?.flatten_from(1)?);
        soft.push(if let (Some(lcm), Some(gamma)) = (&ensemble.lcm, gamma) {
            let lcv = lcm.forward(&out.representation.detach(), Mode::Eval)?;
            simulated_label_distribution(&lcv, &one_hot, gamma)?
        } else {
            // A probability that is 0 has no logarithm.
            let probs = Value::softmax(&out.logits.detach())?;
            probs.maximum(&(probs.ones_like()? * 1e-30)?)?
        });
    }
    let mut pairs = Vec::new();
    for j in 0..gradients.len() {
        for i in 0..j {
            let cosine = absolute_cosine(&gradients[i], &gradients[j], CosineFloor::EachNorm)?;
            let divergence = label_diversity(&[soft[i].clone(), soft[j].clone()])?;
            pairs.push(Pair {
                members: [i, j],
                gradient_cosine: mean(&cosine)?,
                divergence: mean(&divergence)?,
            });
        }
    }
    let of = if ensemble.lcm.is_some() && gamma.is_some() { "sld" } else { "probs" };
    Ok(PairMeasures { pairs, of })
}

fn mean(x: &Tensor) -> Result<f64> {
    x.to_dtype(DType::F64)?.mean(D::Minus1)?.to_scalar()
}
