//! The layers on the tape: each one's kernel, and its backward pass. Convolutions and normalizations
//! are in [`super::conv_norm`], those with pooling in [`super::conv_pool`].

use std::sync::Arc;

use candle::{Result, Tensor, bail};

use super::buffer::Buffer;
use super::conv_norm;
use super::conv_pool;
use super::traced::{Data, Param, Traced};
use crate::kernels::{self, add_assign, leaky_relu_backward, transpose_images};
use crate::layers::{Finish, Layers, Norm};
use crate::ops::conv::Geometry;
use crate::ops::norm::Moments;

impl Traced {
    /// Each example's numbers in another order, and back.
    fn rearranged(
        &self,
        dims: Vec<usize>,
        forward: impl Fn(&[f32], &mut [f32]),
        back: impl Fn(&[f32], &mut [f32]) + Send + Sync + 'static,
    ) -> Self {
        let mut y = Buffer::stale(self.floats().len());
        forward(self.floats(), &mut y);
        let from = self.node();
        self.then(y, dims, false, move |dy, sink| {
            sink.add_to(from, dy.len(), |dx| back(&dy[..dx.len()], dx));
        })
    }
}

impl Layers for Traced {
    fn conv2d_then(
        &self,
        weight: &Tensor,
        bias: Option<&Tensor>,
        geometry: Geometry,
        finish: Finish<'_, Self>,
    ) -> Result<Self> {
        conv_norm::conv2d_then(self, weight, bias, geometry, &finish)
    }

    fn conv_norm_then(
        &self,
        conv: &Tensor,
        geometry: Geometry,
        norm: Norm<'_>,
        finish: Finish<'_, Self>,
    ) -> Result<(Self, Moments)> {
        conv_norm::conv_norm_then(self, conv, geometry, norm, &finish)
    }

    fn batch_norm_then(
        &self,
        weight: &Tensor,
        bias: &Tensor,
        eps: f64,
        finish: Finish<'_, Self>,
    ) -> Result<(Self, Moments)> {
        conv_norm::norm_then(self, Norm { weight, bias, eps }, &finish)
    }

    fn conv_pool(
        &self,
        weight: &Tensor,
        bias: Option<&Tensor>,
        geometry: Geometry,
        slope: f64,
    ) -> Result<Self> {
        conv_pool::conv_pool(self, weight, bias, geometry, slope)
    }

    fn linear(&self, weight: &Tensor, bias: Option<&Tensor>) -> Result<Self> {
        let (&[rows, inputs], (outputs, weight_inputs)) = (self.dims(), weight.dims2()?) else {
            bail!("linear: {:?} are no rows", self.dims())
        };
        if inputs != weight_inputs {
            bail!("linear: weight {:?} does not fit rows {:?}", weight.dims(), self.dims());
        }
        let weight = self.param(weight)?;
        let bias = bias.map(|bias| self.param(bias)).transpose()?;
        let (x, lanes) = (self.stored(), self.lanes());
        let (mut y, known) = self.result(rows * outputs);
        let b = bias.as_ref().map(Param::floats);
        // Values that are known come first, and tangents have no bias.
        let (done, biased) = (known * rows / lanes, if known == 0 { rows / lanes } else { 0 });
        let (x_left, y_left) = (&x[done * inputs..], &mut y[done * outputs..]);
        let (left, w) = (rows - done, weight.floats());
        kernels::linear_forward(left, inputs, outputs, x_left, w, b, biased, y_left);
        let y = Arc::new(y);
        self.leave(&y, None);
        let from = self.node();
        let tracked = weight.tracked() || bias.as_ref().is_some_and(Param::tracked);
        Ok(self.then(Data::Stored(y), vec![rows, outputs], tracked, move |dy, sink| {
            sink.add_param(&weight, |dw| {
                kernels::linear_weight_grad(rows, inputs, outputs, &x, dy, dw);
            });
            if let Some(bias) = &bias {
                let values = &dy[..dy.len() / lanes];
                sink.add_param(bias, |db| kernels::bias_grad(outputs, values, db));
            }
            sink.add_to(from, x.len(), |dx| {
                let rows = dx.len() / inputs;
                let dy = &dy[..rows * outputs];
                kernels::linear_input_grad(rows, inputs, outputs, dy, weight.floats(), dx);
            });
        }))
    }

    fn channel_affine(&self, scale: &Tensor, shift: &Tensor) -> Result<Self> {
        let (scale, shift) = (self.param(&scale.detach())?, self.param(&shift.detach())?);
        let x = self.floats();
        let mut y = Buffer::stale(x.len());
        let half = x.len() / self.lanes();
        let (a, b) = (scale.floats(), Some(shift.floats()));
        kernels::channel_affine(&x[..half], a, b, &mut y[..half]);
        kernels::channel_affine(&x[half..], a, None, &mut y[half..]);
        let from = self.node();
        Ok(self.then(y, self.dims().to_vec(), false, move |dy, sink| {
            sink.add_to(from, dy.len(), |dx| {
                kernels::channel_affine(&dy[..dx.len()], scale.floats(), None, dx);
            });
        }))
    }

    fn leaky_relu(&self, slope: f64) -> Result<Self> {
        let (lanes, slope) = (self.lanes(), slope as f32);
        let mut y = Buffer::copy_of(self.floats());
        kernels::leaky_relu(lanes, slope, &mut y);
        let (y, from) = (Arc::new(y), self.node());
        let signs = y.clone();
        Ok(self.then(Data::Stored(y), self.dims().to_vec(), false, move |dy, sink| {
            let own = sink.own(dy.len());
            leaky_relu_backward(lanes, slope, &signs, &mut dy[..own]);
            sink.pass_on(from, dy);
        }))
    }

    fn max_pool2(&self) -> Result<Self> {
        let &[rows, h, w, ch] = self.dims() else {
            bail!("max_pool2: {:?} are no images", self.dims())
        };
        let lanes = self.lanes();
        let values = rows / lanes;
        let dims = vec![rows, h / 2, w / 2, ch];
        let mut y = Buffer::stale(dims.iter().product());
        let mut argmax = Buffer::stale(y.len() / lanes);
        kernels::max_pool2_forward(values, h, w, ch, lanes, self.floats(), &mut y, &mut argmax);
        let (from, len) = (self.node(), self.floats().len());
        Ok(self.then(y, dims, false, move |dy, sink| {
            sink.add_to(from, len, |dx| {
                let lanes = lanes * dx.len() / len;
                let dy = &dy[..lanes * argmax.len()];
                kernels::max_pool2_backward(values, h, w, ch, lanes, dy, &argmax, dx);
            });
        }))
    }

    fn add(&self, other: &Self) -> Result<Self> {
        if self.dims() != other.dims() {
            bail!("add: {:?} and {:?} differ", self.dims(), other.dims());
        }
        let mut y = Buffer::copy_of(self.floats());
        add_assign(&mut y, other.floats());
        let finish = Finish { residual: Some(other), slope: None };
        let from = self.node();
        Ok(self.finished(y, self.dims().to_vec(), false, &finish, move |dy, sink| {
            sink.add_to(from, dy.len(), |dx| dx.copy_from_slice(&dy[..dx.len()]));
        }))
    }

    fn channels_last(&self) -> Result<Self> {
        let &[rows, ch, h, w] = self.dims() else {
            bail!("channels_last: {:?} are no images", self.dims())
        };
        let forward = move |x: &[f32], y: &mut [f32]| transpose_images(ch, h * w, x, y);
        let back = move |dy: &[f32], dx: &mut [f32]| transpose_images(h * w, ch, dy, dx);
        Ok(self.rearranged(vec![rows, h, w, ch], forward, back))
    }

    fn flatten(&self) -> Result<Self> {
        let &[rows, h, w, ch] = self.dims() else {
            bail!("flatten: {:?} are no images", self.dims())
        };
        let forward = move |x: &[f32], y: &mut [f32]| transpose_images(h * w, ch, x, y);
        let back = move |dy: &[f32], dx: &mut [f32]| transpose_images(ch, h * w, dy, dx);
        Ok(self.rearranged(vec![rows, ch * h * w], forward, back))
    }

    fn mean_positions(&self) -> Result<Self> {
        let &[rows, h, w, ch] = self.dims() else {
            bail!("mean_positions: {:?} are no images", self.dims())
        };
        let positions = h * w;
        let mut y = Buffer::stale(rows * ch);
        kernels::mean_positions(positions, ch, self.floats(), &mut y);
        let (from, len) = (self.node(), self.floats().len());
        Ok(self.then(y, vec![rows, ch], false, move |dy, sink| {
            sink.add_to(from, len, |dx| {
                kernels::spread_positions(positions, ch, &dy[..dx.len() / positions], dx);
            });
        }))
    }
}
