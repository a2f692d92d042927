//! What a layer or a loss is evaluated on: a tensor, or a dual number.
//!
//! Layers and losses are written once, in the ops of [`Value`]. Evaluated on a [`Tensor`] they give
//! the function; evaluated on a [`Dual`](crate::Dual) they give the function and its derivative along
//! a direction, both differentiable again in the parameters.
//!
//! The first dimension is always the batch. Images are `[B, H, W, Ch]` inside a model.

use candle::{D, Result, Tensor};

use crate::ops::conv::{Geometry, conv2d};
use crate::ops::norm::{Moments, batch_norm, channel_affine};
use crate::ops::{activation::leaky_relu, linear::linear, pool::max_pool2};

/// A batch of numbers on which layers and losses are evaluated.
pub trait Value: Clone + Sized {
    /// The numbers themselves, without a derivative.
    fn primal(&self) -> Result<Tensor>;

    /// Convolution of `[B, H, W, Ch]` with `weight` `[O, Ch, K, K]`, plus `bias` `[O]`.
    fn conv2d(&self, weight: &Tensor, bias: Option<&Tensor>, geometry: Geometry) -> Result<Self>;

    /// x Wᵀ + b for x `[B, In]`, `weight` `[Out, In]`, `bias` `[Out]`.
    fn linear(&self, weight: &Tensor, bias: Option<&Tensor>) -> Result<Self>;

    /// (x - mean) / sqrt(var + `eps`) · weight + bias with the batch's own mean and (biased) variance
    /// of each channel (the last dimension), and these moments.
    fn batch_norm(&self, weight: &Tensor, bias: &Tensor, eps: f64) -> Result<(Self, Moments)>;

    /// x · `scale` + `shift`, both given per channel (the last dimension).
    fn channel_affine(&self, scale: &Tensor, shift: &Tensor) -> Result<Self>;

    /// x where x > 0, `slope` · x elsewhere; the derivative at 0 is `slope`.
    fn leaky_relu(&self, slope: f64) -> Result<Self>;

    /// Maximum of each 2x2 window of `[B, H, W, Ch]`; its gradient belongs to the first maximum.
    fn max_pool2(&self) -> Result<Self>;

    /// A linear map that acts on each example by itself: reshape, permute, mean over positions.
    fn map_linear(&self, map: impl Fn(&Tensor) -> Result<Tensor>) -> Result<Self>;

    /// x + y (shapes may broadcast, but for the batch).
    fn add(&self, other: &Self) -> Result<Self>;

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

impl Value for Tensor {
    fn primal(&self) -> Result<Tensor> {
        Ok(self.clone())
    }

    fn conv2d(&self, weight: &Tensor, bias: Option<&Tensor>, geometry: Geometry) -> Result<Self> {
        conv2d(self, weight, bias, geometry, 1)
    }

    fn linear(&self, weight: &Tensor, bias: Option<&Tensor>) -> Result<Self> {
        linear(self, weight, bias, 1)
    }

    fn batch_norm(&self, weight: &Tensor, bias: &Tensor, eps: f64) -> Result<(Self, Moments)> {
        batch_norm(self, weight, bias, eps, 1)
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

    fn map_linear(&self, map: impl Fn(&Tensor) -> Result<Tensor>) -> Result<Self> {
        map(self)
    }

    fn add(&self, other: &Self) -> Result<Self> {
        self.broadcast_add(other)
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
