//! Gradients of a function of input gradients, by forward over reverse.
//!
//! Let `gᵢ = ∇ₓ ℓᵢ(x; θᵢ)` and Φ(g₁ .. g_N) be a term such as Eq. 10. Its gradient in θᵢ is that of
//! `⟨vᵢ, ∇ₓ ℓᵢ(x; θᵢ)⟩` with `vᵢ = ∂Φ/∂gᵢ` held constant, and this inner product is the tangent of ℓᵢ
//! evaluated on the dual number `x + r·vᵢ`. So an objective
//!
//! 1. calls [`directions`] for the vᵢ (weights frozen: no gradient is taken for any of them),
//! 2. evaluates each member's loss on [`Dual::new`]`(x, vᵢ)` instead of x,
//! 3. adds the tangents to what it minimizes.

use candle::{Result, Tensor, Var};
use cldl_core::{Dual, input_gradient};

use super::scalar;

/// A batch of images with the direction for each member.
pub(super) struct Directions {
    /// For each member i, the dual number `x + r·∂Φ/∂gᵢ`.
    pub(super) images: Vec<Dual>,
    /// Φ itself.
    pub(super) value: f64,
}

/// Evaluates Φ on the members' input gradients and differentiates it with respect to them.
///
/// `member_loss(i, x)` is the scalar ℓᵢ, `phi` the scalar Φ of the gradients `[B, D]`.
pub(super) fn directions(
    n_members: usize,
    images: &Tensor,
    member_loss: impl Fn(usize, &Tensor) -> Result<Tensor>,
    phi: impl Fn(&[Tensor]) -> Result<Tensor>,
) -> Result<Directions> {
    let mut gradients = Vec::with_capacity(n_members);
    for i in 0..n_members {
        let x = Var::from_tensor(images)?;
        let gradient = input_gradient(&member_loss(i, &x)?, &x)?;
        gradients.push(Var::from_tensor(&gradient.flatten_from(1)?)?);
    }
    let leaves: Vec<Tensor> = gradients.iter().map(|g| g.as_tensor().clone()).collect();
    let value = phi(&leaves)?;
    let by_gradient = value.backward()?;
    let duals = gradients.iter().map(|g| {
        let direction = match by_gradient.get(g) {
            Some(direction) => direction.reshape(images.shape())?,
            None => images.zeros_like()?,
        };
        Dual::new(images, &direction)
    });
    Ok(Directions { images: duals.collect::<Result<_>>()?, value: scalar(&value)? })
}
