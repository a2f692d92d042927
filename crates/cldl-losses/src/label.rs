//! Soft labels from the label confusion model (Eq. 6) and a member's distance to them (Eq. 7).

use candle::{Result, Tensor};
use cldl_core::Value;

use crate::TINY;

/// The simulated label distribution `s = softmax(γ·y + c)`: Eq. 6.
///
/// # Shapes
/// - `lcv`: `[B, C]`, the label confusion vector c; rows sum to 1
/// - `one_hot`: `[B, C]`, the labels y
/// - returns `[B, C]`; rows sum to 1, and tend to `one_hot` as `gamma` grows
///
/// # Errors
/// If the shapes differ.
pub fn simulated_label_distribution<V: Value>(lcv: &V, one_hot: &Tensor, gamma: f64) -> Result<V> {
    sld_logits(lcv, one_hot, gamma)?.softmax()
}

fn sld_logits<V: Value>(lcv: &V, one_hot: &Tensor, gamma: f64) -> Result<V> {
    lcv.add_constant(&(one_hot * gamma)?)
}

/// A member's loss `ℓᵢ = KL(sᵢ, pᵢ) = Σₖ sₖ (log sₖ - log pₖ)`: Eq. 7 with the SLD of Eq. 6.
///
/// Nothing is detached: the label confusion model learns from it too.
///
/// # Shapes
/// - `lcv`, `logits`, `one_hot`: `[B, C]`
/// - returns `[B]`, nats, at least 0
///
/// # Errors
/// If the shapes differ.
pub fn member_kl<V: Value>(lcv: &V, logits: &V, one_hot: &Tensor, gamma: f64) -> Result<V> {
    let soft = sld_logits(lcv, one_hot, gamma)?;
    soft.softmax()?.mul(&soft.log_softmax()?.sub(&logits.log_softmax()?)?)?.sum_last()
}

/// [`member_kl`] as published: `Σₖ sₖ (log(sₖ + 1e-6) - log(pₖ + 1e-6))`. The guards cap the loss at
/// 13.8 nats and bound its gradient.
///
/// # Shapes
/// - `lcv`, `logits`, `one_hot`: `[B, C]`
/// - returns `[B]`, nats
///
/// # Errors
/// If the shapes differ.
pub fn member_kl_official<V: Value>(
    lcv: &V,
    logits: &V,
    one_hot: &Tensor,
    gamma: f64,
) -> Result<V> {
    let guard = (one_hot.zeros_like()? + TINY)?;
    let soft = simulated_label_distribution(lcv, one_hot, gamma)?;
    let log_soft = soft.add_constant(&guard)?.log()?;
    let log_probs = logits.softmax()?.add_constant(&guard)?.log()?;
    soft.mul(&log_soft.sub(&log_probs)?)?.sum_last()
}
