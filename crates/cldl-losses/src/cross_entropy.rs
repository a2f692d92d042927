//! Cross-entropy, and labels as one-hot rows.

use candle::{DType, Result, Tensor};
use cldl_core::Value;

/// Labels `[B]` (u32) as rows of a unit matrix, `[B, n_classes]`.
///
/// # Errors
/// If `labels` is not a vector of u32.
pub fn one_hot(labels: &Tensor, n_classes: usize, dtype: DType) -> Result<Tensor> {
    let classes = Tensor::arange(0u32, n_classes as u32, labels.device())?;
    labels.unsqueeze(1)?.broadcast_eq(&classes.unsqueeze(0)?)?.to_dtype(dtype)
}

/// Cross-entropy of each example: `-log pᵧ` with `p = softmax(logits)`.
///
/// # Shapes
/// - `logits`: `[B, C]`
/// - `one_hot`: `[B, C]`, the labels; any distribution will do
/// - returns `[B]`, nats, at least 0
///
/// # Errors
/// If the shapes differ.
///
/// # Example
/// ```
/// use candle::{DType, Device, Tensor};
/// let logits = Tensor::zeros((1, 4), DType::F32, &Device::Cpu)?;
/// let labels = cldl_losses::one_hot(&Tensor::new(&[2u32], &Device::Cpu)?, 4, DType::F32)?;
/// let loss = cldl_losses::cross_entropy(&logits, &labels)?.to_vec1::<f32>()?[0];
/// assert!((loss - 4f32.ln()).abs() < 1e-6);
/// # Ok::<(), candle::Error>(())
/// ```
pub fn cross_entropy<V: Value>(logits: &V, one_hot: &Tensor) -> Result<V> {
    logits.log_softmax()?.mul_constant(one_hot)?.sum_last()?.map_linear(Tensor::neg)
}
