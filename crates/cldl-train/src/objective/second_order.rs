//! Gradients of a function of input gradients, by forward over reverse.
//!
//! Let `gᵢ = ∇ₓ ℓᵢ(x; θᵢ)` and Φ(g₁ .. g_N) be a term such as Eq. 10. Its gradient in θᵢ is that of
//! `⟨vᵢ, ∇ₓ ℓᵢ(x; θᵢ)⟩` with `vᵢ = ∂Φ/∂gᵢ` held constant, and this inner product is the tangent of ℓᵢ
//! evaluated on the dual number `x + r·vᵢ`.
//!
//! Φ depends on the gradients through their inner products alone, and is differentiated in these: with
//! `cᵢⱼ = ∂Φ/∂⟨gᵢ, gⱼ⟩ + ∂Φ/∂⟨gⱼ, gᵢ⟩` it is `vᵢ = Σⱼ cᵢⱼ gⱼ`. So an objective
//!
//! 1. calls [`directions`] for the vᵢ (weights frozen: no gradient is taken for any of them),
//! 2. evaluates each member's loss on [`Dual::new`]`(x, vᵢ)` instead of x,
//! 3. adds the tangents to what it minimizes.
//!
//! The second pass computes nothing that the first has computed: see [`rehearse`].

use candle::{Result, Tensor, Var};
use cldl_core::{Dual, Rehearsal, Value, combine_rows, input_gradient, rehearse, row_products};
use cldl_losses::{GradientProducts, cross_entropy};
use cldl_models::{Member, Mode};

use super::{Terms, scalar, sum};
use crate::Variant;

/// A named summand of Φ: `weight · value`.
pub(super) struct Part {
    pub(super) name: &'static str,
    pub(super) weight: f64,
    pub(super) value: Tensor,
}

/// A batch of images with the direction for each member.
pub(super) struct Directions {
    /// For each member i, `x + r·∂Φ/∂gᵢ`.
    pub(super) of_members: Vec<Direction>,
    /// Φ itself.
    pub(super) value: f64,
    /// Its summands, unweighted.
    pub(super) parts: Vec<(&'static str, f64)>,
}

/// A batch of images with a direction, and what the look at them left.
pub(super) struct Direction {
    images: Dual,
    rehearsal: Rehearsal,
}

impl Direction {
    /// The look's loss on the dual numbers; see [`Rehearsal::perform`].
    pub(super) fn pass<T>(self, loss: impl FnOnce(&Dual) -> Result<T>) -> Result<T> {
        self.rehearsal.perform(|| loss(&self.images))
    }
}

/// Evaluates Φ on the members' input gradients and differentiates it with respect to them.
///
/// `member_loss(i, x)` is the scalar ℓᵢ, `phi` the summands of Φ.
pub(super) fn directions(
    n_members: usize,
    images: &Tensor,
    member_loss: impl Fn(usize, &Tensor) -> Result<Tensor>,
    phi: impl Fn(&GradientProducts) -> Result<Vec<Part>>,
) -> Result<Directions> {
    let (mut gradients, mut rehearsals) = (Vec::new(), Vec::new());
    for i in 0..n_members {
        let x = Var::from_tensor(images)?;
        let (gradient, rehearsal) = rehearse(|| input_gradient(&member_loss(i, &x)?, &x))?;
        gradients.push(gradient.flatten_from(1)?);
        rehearsals.push(rehearsal);
    }
    let products = Var::from_tensor(&row_products(&gradients)?)?;
    let (mut weighted, mut parts) = (Vec::new(), Vec::new());
    for part in phi(&GradientProducts::from_tensor(&products)?)? {
        parts.push((part.name, scalar(&part.value)?));
        weighted.push((part.value * part.weight)?);
    }
    let value = sum(&weighted)?;
    let by_product = match value.backward()?.get(&products) {
        Some(by_product) => (by_product + by_product.t()?)?,
        None => products.zeros_like()?,
    };
    let directions = combine_rows(&by_product, &gradients)?;
    let directions = directions.iter().zip(rehearsals).map(|(direction, rehearsal)| {
        let direction = direction.reshape(images.shape())?;
        Ok(Direction { images: Dual::new(images, &direction)?, rehearsal })
    });
    Ok(Directions { of_members: directions.collect::<Result<_>>()?, value: scalar(&value)?, parts })
}

/// The members' cross-entropies together with a term of their input gradients.
pub(super) struct CrossEntropies {
    /// Each member's, averaged over the batch.
    pub(super) losses: Vec<Tensor>,
    /// The scalar whose parameter gradient is Φ's.
    pub(super) tangent: Tensor,
    /// Φ itself.
    pub(super) value: f64,
    /// Its summands, unweighted.
    pub(super) parts: Vec<(&'static str, f64)>,
}

/// Cross-entropies of a batch and Φ of their input gradients; one pass in training mode a member.
pub(super) fn cross_entropies(
    members: &[Member],
    images: &Tensor,
    one_hot: &Tensor,
    variant: Variant,
    phi: impl Fn(&GradientProducts) -> Result<Vec<Part>>,
) -> Result<CrossEntropies> {
    let probe = |i: usize, x: &Tensor| {
        variant.reduce(&member_cross_entropy(&members[i], x, one_hot, Mode::Probe)?)
    };
    let directions = directions(members.len(), images, probe, phi)?;
    let (mut losses, mut tangents) = (Vec::new(), Vec::new());
    for (member, direction) in members.iter().zip(directions.of_members) {
        let loss =
            direction.pass(|images| member_cross_entropy(member, images, one_hot, Mode::Train))?;
        losses.push(loss.primal()?.mean_all()?);
        tangents.push(variant.reduce(&loss.tangent()?)?);
    }
    let tangent = sum(&tangents)?;
    Ok(CrossEntropies { losses, tangent, value: directions.value, parts: directions.parts })
}

/// Cross-entropy of each example.
pub(super) fn member_cross_entropy<V: Value>(
    member: &Member,
    images: &V,
    one_hot: &Tensor,
    mode: Mode,
) -> Result<V> {
    cross_entropy(&member.forward(images, mode)?.logits, one_hot)
}

impl CrossEntropies {
    /// The objective `1/N Σᵢ CEᵢ + Φ`.
    pub(super) fn averaged(self) -> Result<Terms> {
        let ce = (sum(&self.losses)? / self.losses.len() as f64)?;
        let mean = scalar(&ce)?;
        let parts = [vec![("ce", mean)], self.parts].concat();
        Ok(Terms { surrogate: (ce + self.tangent)?, loss: mean + self.value, parts })
    }
}
