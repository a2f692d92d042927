//! The interface between models and attacks.

use candle::{Result, Tensor, Var, bail};

/// A model as an attacker or an evaluation sees it: images in, logits out, in evaluation mode.
///
/// Implementations freeze their weights: a gradient taken through `logits` is for the images alone.
pub trait Classifier: Send + Sync {
    /// Logits `[B, C]` of images `[B, Ch, H, W]` with pixels in [0, 1]: any scores of which softmax
    /// gives the probabilities (an ensemble returns the logarithm of its mean probability).
    fn logits(&self, images: &Tensor) -> Result<Tensor>;
}

/// Gradient of the scalar `loss` with respect to `images`, of the same shape, outside any graph.
///
/// # Errors
/// If `loss` does not depend on `images`.
pub fn input_gradient(loss: &Tensor, images: &Var) -> Result<Tensor> {
    match loss.backward()?.remove(images) {
        Some(gradient) => Ok(gradient.detach()),
        None => bail!("the loss does not depend on the images: no gradient to take"),
    }
}
