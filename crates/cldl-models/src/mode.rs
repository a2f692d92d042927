//! What a forward pass is for.

use candle::{Tensor, Var};

/// What a forward pass is for: which statistics normalize, and whether weights take gradients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Training: the batch's statistics, which also enter the running ones; weights take gradients.
    Train,
    /// A look at the training function from outside (input gradients): the batch's statistics, running
    /// ones untouched; weights are constants.
    Probe,
    /// Evaluation and attacks: running statistics; weights are constants.
    Eval,
}

impl Mode {
    /// `var` as this pass sees it.
    pub(crate) fn weight(self, var: &Var) -> Tensor {
        match self {
            Self::Train => var.as_tensor().clone(),
            Self::Probe | Self::Eval => var.as_detached_tensor(),
        }
    }
}
