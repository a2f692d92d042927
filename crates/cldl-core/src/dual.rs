//! Dual numbers x + r·v: a value and its derivative along a direction, carried through every layer.
//!
//! This is the forward half of forward over reverse. The tangent of a loss at x along v is the
//! directional derivative ⟨v, ∇ₓ loss⟩; being an ordinary tensor, it has an ordinary gradient in the
//! parameters, which is the second-order term that Eq. 10 asks for. No graph of a graph is kept and
//! no switch of candle's is needed.
//!
//! Value and tangent are stacked along the batch: one kernel call, and one weight gradient, serve both.

use candle::{D, Result, Tensor, bail};

use crate::layers::{Finish, Layers, Network};
use crate::ops::conv::{Geometry, conv2d};
use crate::ops::norm::{Moments, batch_norm, channel_affine};
use crate::ops::{activation::leaky_relu, linear::linear, path::takes_kernels, pool::max_pool2};
use crate::tape::stretch;
use crate::value::Value;

/// A batch of values with a derivative each: `[2B, ..]`, the values first.
#[derive(Debug, Clone)]
pub struct Dual(Tensor);

impl Dual {
    /// `value` + r · `tangent`, both `[B, ..]`.
    ///
    /// # Errors
    /// If the shapes differ.
    ///
    /// # Example
    /// ```
    /// use candle::{Device, Tensor};
    /// use cldl_core::{Dual, Value as _};
    /// // d/dr log(2 + 3r) at r = 0 is 3/2.
    /// let x = Dual::new(&Tensor::new(&[2f64], &Device::Cpu)?, &Tensor::new(&[3f64], &Device::Cpu)?)?;
    /// assert_eq!(x.log()?.tangent()?.to_vec1::<f64>()?, [1.5]);
    /// # Ok::<(), candle::Error>(())
    /// ```
    pub fn new(value: &Tensor, tangent: &Tensor) -> Result<Self> {
        if value.shape() != tangent.shape() {
            bail!("value {:?} and tangent {:?} differ in shape", value.shape(), tangent.shape());
        }
        Ok(Self(Tensor::cat(&[value, tangent], 0)?))
    }

    /// The derivative along the direction, `[B, ..]`.
    pub fn tangent(&self) -> Result<Tensor> {
        self.0.narrow(0, self.batch_size(), self.batch_size())
    }

    fn batch_size(&self) -> usize {
        self.0.dims()[0] / 2
    }

    fn parts(&self) -> Result<(Tensor, Tensor)> {
        Ok((self.primal()?, self.tangent()?))
    }

    fn stack(value: &Tensor, tangent: &Tensor) -> Result<Self> {
        Ok(Self(Tensor::cat(&[value, tangent], 0)?))
    }
}

impl Layers for Dual {
    fn conv2d_then(
        &self,
        weight: &Tensor,
        bias: Option<&Tensor>,
        geometry: Geometry,
        finish: Finish<'_, Self>,
    ) -> Result<Self> {
        finish.apply(Self(conv2d(&self.0, weight, bias, geometry, 2)?))
    }

    fn batch_norm_then(
        &self,
        weight: &Tensor,
        bias: &Tensor,
        eps: f64,
        finish: Finish<'_, Self>,
    ) -> Result<(Self, Moments)> {
        let (y, moments) = batch_norm(&self.0, weight, bias, eps, 2)?;
        Ok((finish.apply(Self(y))?, moments))
    }

    fn linear(&self, weight: &Tensor, bias: Option<&Tensor>) -> Result<Self> {
        linear(&self.0, weight, bias, 2).map(Self)
    }

    fn channel_affine(&self, scale: &Tensor, shift: &Tensor) -> Result<Self> {
        channel_affine(&self.0, scale, shift, 2).map(Self)
    }

    fn leaky_relu(&self, slope: f64) -> Result<Self> {
        leaky_relu(&self.0, slope, 2).map(Self)
    }

    fn max_pool2(&self) -> Result<Self> {
        max_pool2(&self.0, 2).map(Self)
    }

    fn add(&self, other: &Self) -> Result<Self> {
        self.0.broadcast_add(&other.0).map(Self)
    }

    fn channels_last(&self) -> Result<Self> {
        self.0.channels_last().map(Self)
    }

    fn flatten(&self) -> Result<Self> {
        Layers::flatten(&self.0).map(Self)
    }

    fn mean_positions(&self) -> Result<Self> {
        self.0.mean_positions().map(Self)
    }
}

impl Value for Dual {
    fn primal(&self) -> Result<Tensor> {
        self.0.narrow(0, 0, self.batch_size())
    }

    fn through<N: Network>(&self, network: &N) -> Result<Self> {
        if takes_kernels(&self.0) {
            stretch(&self.0, 2, |x| network.run(x)).map(Self)
        } else {
            network.run(self)
        }
    }

    fn map_linear(&self, map: impl Fn(&Tensor) -> Result<Tensor>) -> Result<Self> {
        map(&self.0).map(Self)
    }

    fn mul(&self, other: &Self) -> Result<Self> {
        let ((x, dx), (y, dy)) = (self.parts()?, other.parts()?);
        let tangent = (dx.broadcast_mul(&y)? + x.broadcast_mul(&dy)?)?;
        Self::stack(&x.broadcast_mul(&y)?, &tangent)
    }

    fn add_constant(&self, constant: &Tensor) -> Result<Self> {
        let (x, dx) = self.parts()?;
        Self::stack(&x.broadcast_add(constant)?, &dx)
    }

    fn mul_constant(&self, constant: &Tensor) -> Result<Self> {
        let (x, dx) = self.parts()?;
        Self::stack(&x.broadcast_mul(constant)?, &dx.broadcast_mul(constant)?)
    }

    fn log(&self) -> Result<Self> {
        let (x, dx) = self.parts()?;
        Self::stack(&x.log()?, &(dx / &x)?)
    }

    fn softmax(&self) -> Result<Self> {
        let (x, dx) = self.parts()?;
        let p = Value::softmax(&x)?;
        Self::stack(&p, &(&p * centered(&dx, &p)?)?)
    }

    fn log_softmax(&self) -> Result<Self> {
        let (x, dx) = self.parts()?;
        let log_p = Value::log_softmax(&x)?;
        Self::stack(&log_p, &centered(&dx, &log_p.exp()?)?)
    }
}

/// t - Σₖ pₖ tₖ: the derivative of the log-softmax along t.
fn centered(t: &Tensor, p: &Tensor) -> Result<Tensor> {
    t.broadcast_sub(&(t * p)?.sum_keepdim(D::Minus1)?)
}
