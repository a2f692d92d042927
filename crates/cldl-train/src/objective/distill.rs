//! DVERGE's distillation: an image that a member's layer takes for another image.

use candle::{Result, Tensor};
use cldl_attacks::{Linf, Start};
use cldl_core::{input_gradient, mean_squared_error};
use cldl_models::{Member, Mode};
use serde::{Deserialize, Serialize};

/// How far, and in what steps, an image is moved.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Distillation {
    /// Radius of the L∞ ball around the image, in pixels of [0, 1].
    pub eps: f64,
    /// How far a pixel moves in one step.
    pub step_size: f64,
    /// Number of sign steps, each along the accumulated direction (momentum 1).
    pub steps: usize,
}

/// The image x' near `source` whose features in `layer` come close to those of `target`:
/// `argmin ‖fˡ(x') - fˡ(target)‖²` over `‖x' - source‖∞ ≤ eps`.
///
/// # Shapes
/// - `source`, `target`: `[B, Ch, H, W]`, pixels in [0, 1]
/// - returns the same shape, in [0, 1]; not part of any graph
///
/// # Errors
/// If the member has no such layer, or the settings are out of range.
///
/// Source: Yang et al. 2020 (DVERGE), the momentum form of their code.
pub fn distill(
    member: &Member,
    source: &Tensor,
    target: &Tensor,
    layer: usize,
    how: &Distillation,
    mode: Mode,
) -> Result<Tensor> {
    let goal = member.features(target, layer, mode)?.detach();
    let Distillation { eps, step_size, steps } = *how;
    let descent = Linf { step_size, momentum: Some(1.0), floor: 1e-12, ..Linf::bim(eps, steps) };
    descent.ascend(source, Start::Seed(0), |x| {
        let features = member.features(x.as_tensor(), layer, mode)?;
        let distance = mean_squared_error(&features, &goal)?;
        input_gradient(&distance.neg()?, x)
    })
}
