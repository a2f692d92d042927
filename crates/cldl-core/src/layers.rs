//! What networks are made of: the layers, written once for every kind of value.
//!
//! A [`Network`] is generic over [`Layers`]. [`Value::through`](crate::Value::through) evaluates it:
//! on the CPU as one op of candle's graph in our own kernels, elsewhere layer by layer in candle's ops.

use candle::{Result, Tensor};

use crate::ops::conv::Geometry;
use crate::ops::norm::Moments;

/// What follows a layer in the same pass over memory: `+ residual`, then the leaky ReLU.
#[derive(Debug)]
pub struct Finish<'a, L> {
    /// What is added: of the result's shape.
    pub residual: Option<&'a L>,
    /// Slope of the leaky ReLU; 0 is ReLU.
    pub slope: Option<f64>,
}

impl<L> Default for Finish<'_, L> {
    fn default() -> Self {
        Self { residual: None, slope: None }
    }
}

impl<L: Layers> Finish<'_, L> {
    /// The same in layers of their own.
    pub(crate) fn apply(&self, y: L) -> Result<L> {
        let y = match self.residual {
            Some(residual) => y.add(residual)?,
            None => y,
        };
        match self.slope {
            Some(slope) => y.leaky_relu(slope),
            None => Ok(y),
        }
    }
}

/// A batch normalization's parameters.
#[derive(Debug, Clone, Copy)]
pub struct Norm<'a> {
    /// γ, `[Ch]`.
    pub weight: &'a Tensor,
    /// β, `[Ch]`.
    pub bias: &'a Tensor,
    /// Added to the variance.
    pub eps: f64,
}

/// The layers. The first dimension is the batch; images are `[B, H, W, Ch]` but for
/// [`Self::channels_last`].
///
/// # Errors
/// Every layer fails if the shapes of its arguments do not fit each other.
pub trait Layers: Clone + Sized {
    /// Convolution with `weight` `[O, Ch, K, K]`, plus `bias` `[O]`, and what follows it.
    fn conv2d_then(
        &self,
        weight: &Tensor,
        bias: Option<&Tensor>,
        geometry: Geometry,
        finish: Finish<'_, Self>,
    ) -> Result<Self>;

    /// (x - mean) / sqrt(var + `eps`) · weight + bias with the batch's own mean and (biased) variance
    /// of each channel (the last dimension), and what follows it; also these moments.
    fn batch_norm_then(
        &self,
        weight: &Tensor,
        bias: &Tensor,
        eps: f64,
        finish: Finish<'_, Self>,
    ) -> Result<(Self, Moments)>;

    /// x Wᵀ + b for x `[B, In]`, `weight` `[Out, In]`, `bias` `[Out]`.
    fn linear(&self, weight: &Tensor, bias: Option<&Tensor>) -> Result<Self>;

    /// x · `scale` + `shift`, both given per channel (the last dimension); constants.
    fn channel_affine(&self, scale: &Tensor, shift: &Tensor) -> Result<Self>;

    /// x where x > 0, `slope` · x elsewhere; the derivative at 0 is `slope`.
    fn leaky_relu(&self, slope: f64) -> Result<Self>;

    /// Maximum of each 2x2 window; its gradient belongs to the first maximum.
    fn max_pool2(&self) -> Result<Self>;

    /// x + y. Inside a network the shapes are equal; those of losses may broadcast, but for the batch.
    fn add(&self, other: &Self) -> Result<Self>;

    /// `[B, Ch, H, W]` as `[B, H, W, Ch]`.
    fn channels_last(&self) -> Result<Self>;

    /// `[B, H, W, Ch]` as rows `[B, Ch · H · W]`, channel first, as PyTorch's weights expect.
    fn flatten(&self) -> Result<Self>;

    /// Mean over the positions: `[B, H, W, Ch]` gives `[B, Ch]`.
    fn mean_positions(&self) -> Result<Self>;

    /// [`Self::conv2d_then`] with nothing after it.
    fn conv2d(&self, weight: &Tensor, bias: Option<&Tensor>, geometry: Geometry) -> Result<Self> {
        self.conv2d_then(weight, bias, geometry, Finish::default())
    }

    /// [`Self::conv2d`], then [`Self::max_pool2`], then [`Self::leaky_relu`].
    fn conv_pool(
        &self,
        weight: &Tensor,
        bias: Option<&Tensor>,
        geometry: Geometry,
        slope: f64,
    ) -> Result<Self> {
        self.conv2d(weight, bias, geometry)?.max_pool2()?.leaky_relu(slope)
    }

    /// [`Self::conv2d`] without a bias, then [`Self::batch_norm_then`].
    fn conv_norm_then(
        &self,
        conv: &Tensor,
        geometry: Geometry,
        norm: Norm<'_>,
        finish: Finish<'_, Self>,
    ) -> Result<(Self, Moments)> {
        let y = self.conv2d(conv, None, geometry)?;
        y.batch_norm_then(norm.weight, norm.bias, norm.eps, finish)
    }

    /// [`Self::batch_norm_then`] with nothing after it.
    fn batch_norm(&self, weight: &Tensor, bias: &Tensor, eps: f64) -> Result<(Self, Moments)> {
        self.batch_norm_then(weight, bias, eps, Finish::default())
    }
}

/// A function of one value, made of [`Layers`].
pub trait Network {
    /// The network's output for `x`.
    ///
    /// # Errors
    /// If `x` does not fit.
    fn run<L: Layers>(&self, x: &L) -> Result<L>;
}
