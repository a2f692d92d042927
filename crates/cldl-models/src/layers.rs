//! The layers that the members are made of.

use candle::{Result, Tensor, Var};
use cldl_core::{Finish, Geometry, Init, Layers, Moments, ParamBuilder};

use crate::Mode;

/// Convolution with a bias.
pub(crate) struct Conv {
    weight: Var,
    bias: Var,
}

impl Conv {
    /// A square `kernel` from `inputs` to `outputs` channels, initialized as PyTorch does.
    pub(crate) fn new(
        mut p: ParamBuilder<'_>,
        inputs: usize,
        outputs: usize,
        kernel: usize,
    ) -> Result<Self> {
        let init = Init::Uniform(1.0 / ((inputs * kernel * kernel) as f64).sqrt());
        Ok(Self {
            weight: p.trainable("weight", &[outputs, inputs, kernel, kernel], init)?,
            bias: p.trainable("bias", &[outputs], init)?,
        })
    }

    pub(crate) fn forward<L: Layers>(&self, x: &L, mode: Mode) -> Result<L> {
        x.conv2d(&mode.weight(&self.weight), Some(&mode.weight(&self.bias)), Geometry::default())
    }

    /// [`Self::forward`], 2x2 max pooling and ReLU. Pooling before ReLU gives the same numbers as after
    /// it, and a quarter of the work.
    pub(crate) fn pooled<L: Layers>(&self, x: &L, mode: Mode) -> Result<L> {
        let (weight, bias) = (mode.weight(&self.weight), mode.weight(&self.bias));
        x.conv_pool(&weight, Some(&bias), Geometry::default(), 0.0)
    }
}

/// Fully connected layer.
pub(crate) struct Linear {
    weight: Var,
    bias: Var,
}

impl Linear {
    /// From `inputs` to `outputs` numbers, initialized as PyTorch does.
    pub(crate) fn new(mut p: ParamBuilder<'_>, inputs: usize, outputs: usize) -> Result<Self> {
        let init = Init::Uniform(1.0 / (inputs as f64).sqrt());
        Ok(Self {
            weight: p.trainable("weight", &[outputs, inputs], init)?,
            bias: p.trainable("bias", &[outputs], init)?,
        })
    }

    pub(crate) fn forward<L: Layers>(&self, x: &L, mode: Mode) -> Result<L> {
        x.linear(&mode.weight(&self.weight), Some(&mode.weight(&self.bias)))
    }
}

/// Convolution without a bias, then batch normalization; one convolution in evaluation.
pub(crate) struct ConvNorm {
    conv: Var,
    geometry: Geometry,
    norm: Norm,
}

/// Parameters and running statistics of a batch normalization.
struct Norm {
    weight: Var,
    bias: Var,
    running_mean: Var,
    running_var: Var,
}

impl ConvNorm {
    /// Added to the variance before its root is taken.
    const EPS: f64 = 1e-5;
    /// Share of the batch's statistics in the running ones.
    const MOMENTUM: f64 = 0.1;

    /// A square `kernel` with "same" padding; convolution and normalization are the parts `conv` and
    /// `norm` of `p`. Convolutions start as He et al.'s: normal with variance 2 / (kernel² · outputs).
    pub(crate) fn new(
        p: &mut ParamBuilder<'_>,
        (conv, norm): (&str, &str),
        (inputs, outputs): (usize, usize),
        kernel: usize,
        stride: usize,
    ) -> Result<Self> {
        let init = Init::Normal((2.0 / (kernel * kernel * outputs) as f64).sqrt());
        let shape = [outputs, inputs, kernel, kernel];
        let conv = p.part(conv).trainable("weight", &shape, init)?;
        let mut p = p.part(norm);
        let (zero, one) = (Init::Constant(0.0), Init::Constant(1.0));
        let norm = Norm {
            weight: p.trainable("weight", &[outputs], one)?,
            bias: p.trainable("bias", &[outputs], zero)?,
            running_mean: p.buffer("running_mean", &[outputs], zero)?,
            running_var: p.buffer("running_var", &[outputs], one)?,
        };
        Ok(Self { conv, geometry: Geometry { stride, padding: kernel / 2 }, norm })
    }

    pub(crate) fn forward<L: Layers>(&self, x: &L, mode: Mode, finish: Finish<'_, L>) -> Result<L> {
        let conv = mode.weight(&self.conv);
        if mode == Mode::Eval {
            let (scale, shift) = self.norm.folded()?;
            let weight = conv.broadcast_mul(&scale.reshape(((), 1, 1, 1))?)?;
            return x.conv2d_then(&weight, Some(&shift), self.geometry, finish);
        }
        let (weight, bias) = (&mode.weight(&self.norm.weight), &mode.weight(&self.norm.bias));
        let norm = cldl_core::Norm { weight, bias, eps: Self::EPS };
        let (y, moments) = x.conv_norm_then(&conv, self.geometry, norm, finish)?;
        if mode == Mode::Train {
            self.norm.track(&moments)?;
        }
        Ok(y)
    }
}

impl Norm {
    /// The normalization by running statistics as x · scale + shift.
    fn folded(&self) -> Result<(Tensor, Tensor)> {
        let deviation = (self.running_var.as_detached_tensor() + ConvNorm::EPS)?.sqrt()?;
        let scale = (self.weight.as_detached_tensor() / deviation)?;
        let mean = (self.running_mean.as_detached_tensor() * &scale)?;
        let shift = (self.bias.as_detached_tensor() - mean)?;
        Ok((scale, shift))
    }

    /// Moves the running statistics towards a batch's; the variance enters unbiased, as in PyTorch.
    fn track(&self, moments: &Moments) -> Result<()> {
        let n = moments.count as f64;
        let unbiased = (&moments.variance * (n / (n - 1.0).max(1.0)))?;
        for (running, batch) in
            [(&self.running_mean, &moments.mean), (&self.running_var, &unbiased)]
        {
            let kept = (running.as_detached_tensor() * (1.0 - ConvNorm::MOMENTUM))?;
            running.set(&(kept + (batch * ConvNorm::MOMENTUM)?)?)?;
        }
        Ok(())
    }
}
