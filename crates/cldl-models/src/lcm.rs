//! The label confusion model (LCM): Eq. 6 up to the label confusion vector.

use candle::{Result, Tensor, Var};
use cldl_core::{Init, ParamBuilder, Value};

use crate::Mode;
use crate::layers::Linear;

/// Learns which labels are alike, given an image's representation. One LCM serves all members.
pub struct Lcm {
    embedding: Var,
    encoder: Linear,
    similarity: Linear,
}

impl Lcm {
    /// Length of the representation and of a label's embedding.
    pub const WIDTH: usize = 64;

    /// An LCM over `n_classes` labels.
    ///
    /// # Errors
    /// If the source of `p` lacks a tensor.
    pub fn new(p: &mut ParamBuilder<'_>, n_classes: usize) -> Result<Self> {
        Ok(Self {
            embedding: p.part("emb").trainable(
                "weight",
                &[n_classes, Self::WIDTH],
                Init::Normal(1.0),
            )?,
            encoder: Linear::new(p.part("fc1"), Self::WIDTH, Self::WIDTH)?,
            similarity: Linear::new(p.part("fc2"), n_classes, n_classes)?,
        })
    }

    /// The label confusion vectors c = softmax(W (v · R) + b), with R = tanh(label encoder): Eq. 6.
    ///
    /// # Shapes
    /// - `representation`: `[B, 64]`, before the classifier's activation
    /// - returns `[B, C]`, rows sum to 1
    ///
    /// # Errors
    /// If `representation` is not 64 wide.
    pub fn forward<V: Value>(&self, representation: &V, mode: Mode) -> Result<V> {
        let labels: Tensor = self.encoder.forward(&mode.weight(&self.embedding), mode)?.tanh()?;
        let alike = representation.linear(&labels, None)?;
        self.similarity.forward(&alike, mode)?.softmax()
    }
}
