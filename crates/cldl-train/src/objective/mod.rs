//! What a method minimizes, as one differentiable number for each batch.

mod baseline;
mod cldl;
mod second_order;

use candle::{Result, Tensor};
use cldl_models::Ensemble;

use crate::{Method, Variant};

/// What an objective says of a batch.
#[derive(Debug)]
pub struct Terms {
    /// A scalar whose gradient in the parameters is the objective's. With terms of input gradients its
    /// *value* is another (see the module `second_order`); [`Terms::loss`] has the objective's own.
    pub surrogate: Tensor,
    /// The objective's value.
    pub loss: f64,
    /// Named terms of the objective, as in the paper: `ce`, or `kl`, `ld` and `gd`.
    pub parts: Vec<(&'static str, f64)>,
}

/// What a method minimizes.
pub trait Objective {
    /// The objective of a training batch: `images` `[B, Ch, H, W]` in [0, 1], `labels` `[B]` u32.
    /// Makes one pass in training mode through each member, so running statistics move once.
    ///
    /// # Errors
    /// If the batch does not fit the ensemble.
    fn terms(&self, ensemble: &Ensemble, images: &Tensor, labels: &Tensor) -> Result<Terms>;
}

impl Method {
    /// The method's objective.
    pub fn objective(self, variant: Variant) -> Box<dyn Objective> {
        match self {
            Self::Baseline => Box::new(baseline::Baseline),
            Self::Cldl { gamma, alpha, beta } => {
                Box::new(cldl::Cldl { gamma, alpha, beta, variant })
            }
        }
    }
}

fn scalar(x: &Tensor) -> Result<f64> {
    x.detach().to_dtype(candle::DType::F64)?.to_scalar()
}
