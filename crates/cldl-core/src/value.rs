//! What a layer or a loss is evaluated on: a tensor, or a dual number.
//!
//! Layers and losses are written once, in the ops of [`Value`]. Evaluated on a [`Tensor`] they give
//! the function; evaluated on a [`Dual`](crate::Dual) they give the function and its derivative along
//! a direction, both differentiable again in the parameters.
//!
//! The first dimension is always the batch. Images are `[B, H, W, Ch]` inside a model.

use candle::{D, Result, Tensor};

use crate::layers::{Finish, Layers, Network};
use crate::ops::conv::{Geometry, conv2d};
use crate::ops::norm::{Moments, batch_norm, channel_affine};
use crate::ops::{activation::leaky_relu, linear::linear, path::takes_kernels, pool::max_pool2};
use crate::tape::stretch;

/// A batch of numbers on which layers and losses are evaluated.
pub trait Value: Layers {
    /// The numbers themselves, without a derivative.
    fn primal(&self) -> Result<Tensor>;

    /// What `network` makes of it: on the CPU in one piece, elsewhere layer by layer.
    fn through<N: Network>(&self, network: &N) -> Result<Self>;

    /// A linear map that acts on each example by itself: reshape, permute, mean over positions.
    fn map_linear(&self, map: impl Fn(&Tensor) -> Result<Tensor>) -> Result<Self>;

    /// x - y (shapes may broadcast, but for the batch).
    fn sub(&self, other: &Self) -> Result<Self> {
        self.add(&other.map_linear(Tensor::neg)?)
    }

    /// x · y (shapes may broadcast, but for the batch).
    fn mul(&self, other: &Self) -> Result<Self>;

    /// x + c for a constant tensor that broadcasts to x.
    fn add_constant(&self, constant: &Tensor) -> Result<Self>;

    /// x · c for a constant tensor that broadcasts to x.
    fn mul_constant(&self, constant: &Tensor) -> Result<Self>;

    /// Natural logarithm.
    fn log(&self) -> Result<Self>;

    /// Softmax over the last dimension.
    fn softmax(&self) -> Result<Self>;

    /// Logarithm of the softmax over the last dimension.
    fn log_softmax(&self) -> Result<Self>;

    /// Sum over the last dimension: `[B, C]` gives `[B]`.
    fn sum_last(&self) -> Result<Self> {
        self.map_linear(|x| x.sum(D::Minus1))
    }
}

impl Layers for Tensor {
    fn conv2d_then(
        &self,
        weight: &Tensor,
        bias: Option<&Tensor>,
        geometry: Geometry,
        finish: Finish<'_, Self>,
    ) -> Result<Self> {
        finish.apply(conv2d(self, weight, bias, geometry, 1)?)
    }

    fn batch_norm_then(
        &self,
        weight: &Tensor,
        bias: &Tensor,
        eps: f64,
        finish: Finish<'_, Self>,
    ) -> Result<(Self, Moments)> {
        let (y, moments) = batch_norm(self, weight, bias, eps, 1)?;
        Ok((finish.apply(y)?, moments))
    }

    fn linear(&self, weight: &Tensor, bias: Option<&Tensor>) -> Result<Self> {
        linear(self, weight, bias, 1)
    }

    fn channel_affine(&self, scale: &Tensor, shift: &Tensor) -> Result<Self> {
        channel_affine(self, scale, shift, 1)
    }

    fn leaky_relu(&self, slope: f64) -> Result<Self> {
        leaky_relu(self, slope, 1)
    }

    fn max_pool2(&self) -> Result<Self> {
        max_pool2(self, 1)
    }

    fn add(&self, other: &Self) -> Result<Self> {
        self.broadcast_add(other)
    }

    fn channels_last(&self) -> Result<Self> {
        self.permute((0, 2, 3, 1))?.contiguous()
    }

    fn flatten(&self) -> Result<Self> {
        self.permute((0, 3, 1, 2))?.flatten_from(1)
    }

    fn mean_positions(&self) -> Result<Self> {
        self.mean((1, 2))
    }
}

impl Value for Tensor {
    fn primal(&self) -> Result<Tensor> {
        Ok(self.clone())
    }

    fn through<N: Network>(&self, network: &N) -> Result<Self> {
        if takes_kernels(self) { stretch(self, 1, |x| network.run(x)) } else { network.run(self) }
    }

    fn map_linear(&self, map: impl Fn(&Tensor) -> Result<Tensor>) -> Result<Self> {
        map(self)
    }

    fn mul(&self, other: &Self) -> Result<Self> {
        self.broadcast_mul(other)
    }

    fn add_constant(&self, constant: &Tensor) -> Result<Self> {
        self.broadcast_add(constant)
    }

    fn mul_constant(&self, constant: &Tensor) -> Result<Self> {
        self.broadcast_mul(constant)
    }

    fn log(&self) -> Result<Self> {
        Tensor::log(self)
    }

    fn softmax(&self) -> Result<Self> {
        let exp = shifted(self)?.exp()?;
        exp.broadcast_div(&exp.sum_keepdim(D::Minus1)?)
    }

    fn log_softmax(&self) -> Result<Self> {
        let shifted = shifted(self)?;
        shifted.broadcast_sub(&shifted.exp()?.sum_keepdim(D::Minus1)?.log()?)
    }
}

/// x minus its maximum: the softmax is the same and its exponentials can't overflow. The maximum is a
/// constant here: its gradient would cancel.
fn shifted(x: &Tensor) -> Result<Tensor> {
    x.broadcast_sub(&x.detach().max_keepdim(D::Minus1)?)
}
