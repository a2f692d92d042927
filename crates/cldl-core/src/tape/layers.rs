//! The layers on the tape: each one's kernel, and its backward pass.

use std::sync::Arc;

use candle::{Result, Tensor, bail};

use super::buffer::Buffer;
use super::traced::{Param, Sink, Traced};
use crate::kernels::{self, add_assign, leaky_relu_backward, transpose_images};
use crate::layers::{Finish, Layers};
use crate::ops::conv::{Geometry, conv_shape};
use crate::ops::norm::{Moments, check_norm, moments};

/// A finish whose backward pass is at hand: gradients go through it in place.
#[derive(Clone)]
struct Finished {
    lanes: usize,
    slope: Option<f32>,
    /// The result, whose signs are those of the activation's argument.
    y: Option<Arc<Buffer>>,
    residual: Option<usize>,
}

impl Finished {
    /// The gradient before the activation.
    fn unactivated(&self, mut dy: Buffer) -> Buffer {
        if let (Some(slope), Some(y)) = (self.slope, &self.y) {
            leaky_relu_backward(self.lanes, slope, y, &mut dy);
        }
        dy
    }

    /// Hands the gradient on to the residual.
    fn pass_on(&self, dy: Buffer, sink: &mut Sink) {
        sink.add(self.residual, dy);
    }
}

impl Traced {
    fn kernel_finish<'a>(finish: &Finish<'a, Self>) -> kernels::Finish<'a> {
        kernels::Finish {
            residual: finish.residual.map(Self::floats),
            slope: finish.slope.map(|slope| slope as f32),
        }
    }

    fn check_residual(finish: &Finish<'_, Self>, dims: &[usize]) -> Result<()> {
        match finish.residual {
            Some(residual) if residual.dims() != dims => {
                bail!("a residual {:?} does not fit {dims:?}", residual.dims())
            }
            _ => Ok(()),
        }
    }

    /// A layer with a finish: `backward` gets the gradient before the activation.
    fn finished(
        &self,
        y: Buffer,
        dims: Vec<usize>,
        tracked: bool,
        finish: &Finish<'_, Self>,
        backward: impl Fn(&Buffer, &mut Sink) + Send + Sync + 'static,
    ) -> Self {
        let residual = finish.residual.and_then(Self::node);
        let slope = finish.slope.map(|slope| slope as f32);
        let (y, lanes) = (Arc::new(y), self.lanes());
        let kept = slope.map(|_| y.clone());
        let finished = Finished { lanes, slope, y: kept, residual };
        self.then(y, dims, tracked || residual.is_some(), move |dy, sink| {
            let dy = finished.unactivated(dy);
            backward(&dy, sink);
            finished.pass_on(dy, sink);
        })
    }

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
        self.then(Arc::new(y), dims, false, move |dy, sink| {
            sink.add_to(from, dy.len(), |dx| back(&dy, dx));
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
        let shape = conv_shape(self.dims(), weight, geometry)?;
        let dims = vec![shape.batch, shape.out_h(), shape.out_w(), shape.out_ch];
        Self::check_residual(&finish, &dims)?;
        let weight = self.param(weight)?;
        let bias = bias.map(|bias| self.param(bias)).transpose()?;
        let lanes = self.lanes();
        let mut y = Buffer::stale(shape.batch * shape.out_len());
        let whole = Self::kernel_finish(&finish);
        let (x, w, b) = (self.data(), weight.floats(), bias.as_ref().map(Param::floats));
        if lanes == 1 {
            kernels::conv_forward(&shape, &x, w, b, shape.batch, whole, &mut y);
        } else {
            let none = kernels::Finish::default();
            kernels::conv_forward(&shape, &x, w, b, shape.batch / lanes, none, &mut y);
            if let Some(residual) = whole.residual {
                add_assign(&mut y, residual);
            }
            if let Some(slope) = whole.slope {
                kernels::leaky_relu(lanes, slope, &mut y);
            }
        }
        let from = self.node();
        let tracked = weight.tracked() || bias.as_ref().is_some_and(Param::tracked);
        Ok(self.finished(y, dims, tracked, &finish, move |dy, sink| {
            sink.add_param(&weight, |dw| kernels::conv_weight_grad(&shape, &x, dy, dw));
            if let Some(bias) = &bias {
                let values = &dy[..dy.len() / lanes];
                sink.add_param(bias, |db| kernels::bias_grad(shape.out_ch, values, db));
            }
            sink.add_to(from, x.len(), |dx| {
                kernels::conv_input_grad(&shape, dy, weight.floats(), dx);
            });
        }))
    }

    fn batch_norm_then(
        &self,
        weight: &Tensor,
        bias: &Tensor,
        eps: f64,
        finish: Finish<'_, Self>,
    ) -> Result<(Self, Moments)> {
        let channels = check_norm(self.dims(), weight, bias)?;
        Self::check_residual(&finish, self.dims())?;
        let device = weight.device();
        let (weight, bias) = (self.param(weight)?, self.param(bias)?);
        let (x, lanes) = (self.data(), self.lanes());
        let mut y = Buffer::stale(x.len());
        let whole = Self::kernel_finish(&finish);
        let stats = kernels::batch_norm_forward(
            lanes,
            eps,
            &x,
            weight.floats(),
            bias.floats(),
            whole,
            &mut y,
        );
        let moments = moments(&stats, x.len() / lanes / channels, device)?;
        let from = self.node();
        let tracked = weight.tracked() || bias.tracked();
        let y = self.finished(y, self.dims().to_vec(), tracked, &finish, move |dy, sink| {
            let mut dx = Buffer::stale(x.len());
            let (dw, db) = kernels::batch_norm_backward(lanes, &stats, &x, dy, &mut dx);
            sink.add_param(&weight, |to| to.copy_from_slice(&dw));
            sink.add_param(&bias, |to| to.copy_from_slice(&db));
            sink.add(from, dx);
        });
        Ok((y, moments))
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
        let (x, lanes) = (self.data(), self.lanes());
        let mut y = Buffer::stale(rows * outputs);
        let b = bias.as_ref().map(Param::floats);
        kernels::linear_forward(
            rows,
            inputs,
            outputs,
            &x,
            weight.floats(),
            b,
            rows / lanes,
            &mut y,
        );
        let from = self.node();
        let tracked = weight.tracked() || bias.as_ref().is_some_and(Param::tracked);
        Ok(self.then(Arc::new(y), vec![rows, outputs], tracked, move |dy, sink| {
            sink.add_param(&weight, |dw| {
                kernels::linear_weight_grad(rows, inputs, outputs, &x, &dy, dw);
            });
            if let Some(bias) = &bias {
                let values = &dy[..dy.len() / lanes];
                sink.add_param(bias, |db| kernels::bias_grad(outputs, values, db));
            }
            sink.add_to(from, x.len(), |dx| {
                kernels::linear_input_grad(rows, inputs, outputs, &dy, weight.floats(), dx);
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
        Ok(self.then(Arc::new(y), self.dims().to_vec(), false, move |dy, sink| {
            sink.add_to(from, dy.len(), |dx| {
                kernels::channel_affine(&dy, scale.floats(), None, dx);
            });
        }))
    }

    fn leaky_relu(&self, slope: f64) -> Result<Self> {
        let (lanes, slope) = (self.lanes(), slope as f32);
        let mut y = Buffer::copy_of(self.floats());
        kernels::leaky_relu(lanes, slope, &mut y);
        let (y, from) = (Arc::new(y), self.node());
        let signs = y.clone();
        Ok(self.then(y, self.dims().to_vec(), false, move |mut dy, sink| {
            leaky_relu_backward(lanes, slope, &signs, &mut dy);
            sink.add(from, dy);
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
        let mut argmax = vec![0u8; y.len() / lanes];
        kernels::max_pool2_forward(values, h, w, ch, lanes, self.floats(), &mut y, &mut argmax);
        let (from, len) = (self.node(), self.floats().len());
        Ok(self.then(Arc::new(y), dims, false, move |dy, sink| {
            sink.add_to(from, len, |dx| {
                kernels::max_pool2_backward(values, h, w, ch, lanes, &dy, &argmax, dx);
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
            sink.add_to(from, dy.len(), |dx| dx.copy_from_slice(dy));
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
        Ok(self.then(Arc::new(y), vec![rows, ch], false, move |dy, sink| {
            sink.add_to(from, len, |dx| kernels::spread_positions(positions, ch, &dy, dx));
        }))
    }
}
