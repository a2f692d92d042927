//! Convolutions and normalizations on the tape, by themselves and together.
//!
//! What a normalization gives is not written unless a residual is added to it: the convolution that
//! follows makes the numbers as it reads them. Nor is its input's gradient, when that is the gradient
//! of a convolution's result.

use std::sync::{Arc, OnceLock};

use candle::{Result, Tensor};

use super::backward::Sink;
use super::buffer::Buffer;
use super::finish::Finished;
use super::traced::{Data, LazyNorm, Param, Traced};
use crate::kernels::{
    self, Backward, ConvShape, Images, InputGrad, NormStats, NormSums, Normed, WeightGrad,
    add_assign,
};
use crate::layers::{Finish, Norm};
use crate::ops::conv::{Geometry, conv_shape};
use crate::ops::norm::{Moments, check_norm, moments};

/// A convolution as its backward pass sees it.
pub(super) struct Conv {
    pub(super) shape: ConvShape,
    pub(super) x: Data,
    /// The input's number on the tape.
    from: Option<usize>,
    pub(super) weight: Param,
}

impl Conv {
    pub(super) fn new(x: &Traced, weight: &Tensor, geometry: Geometry) -> Result<Self> {
        Ok(Self {
            shape: conv_shape(x.dims(), weight, geometry)?,
            x: x.data().clone(),
            from: x.node(),
            weight: x.param(weight)?,
        })
    }

    fn out_dims(&self) -> Vec<usize> {
        vec![self.shape.batch, self.shape.out_h(), self.shape.out_w(), self.shape.out_ch]
    }

    fn output(&self) -> Buffer {
        Buffer::stale(self.shape.batch * self.shape.out_len())
    }

    /// Hands out the gradients of weight and input.
    pub(super) fn backward(&self, dy: Images<'_>, sink: &mut Sink) {
        let weight = self.weight.floats();
        let mut dw = self.weight.tracked().then(|| Buffer::stale(weight.len()));
        let mut dx = sink.open(self.from, self.shape.batch * self.shape.in_len());
        let of_weight = dw.as_mut().map(|dw| WeightGrad { x: self.x.images(), dw });
        let of_input = dx.as_mut().map(|(dx, add)| {
            let own = sink.own(dx.len());
            InputGrad { weight, dx: &mut dx[..own], add: *add }
        });
        kernels::conv_backward(&self.shape, dy, of_weight, of_input);
        if let Some(dw) = dw {
            sink.add_param(&self.weight, |to| to.copy_from_slice(&dw));
        }
        if let Some((dx, _)) = dx {
            sink.close(self.from, dx);
        }
    }
}

/// [`crate::Layers::conv2d_then`].
pub(super) fn conv2d_then(
    x: &Traced,
    weight: &Tensor,
    bias: Option<&Tensor>,
    geometry: Geometry,
    finish: &Finish<'_, Traced>,
) -> Result<Traced> {
    let conv = Conv::new(x, weight, geometry)?;
    let (shape, dims, lanes) = (conv.shape, conv.out_dims(), x.lanes());
    Traced::check_residual(finish, &dims)?;
    let bias = bias.map(|bias| x.param(bias)).transpose()?;
    let mut y = conv.output();
    let whole = Traced::kernel_finish(finish);
    let (w, b) = (conv.weight.floats(), bias.as_ref().map(Param::floats));
    if lanes == 1 {
        kernels::conv_forward(&shape, conv.x.images(), w, b, shape.batch, whole, &mut y);
    } else {
        let (none, values) = (kernels::Finish::default(), shape.batch / lanes);
        kernels::conv_forward(&shape, conv.x.images(), w, b, values, none, &mut y);
        if let Some(residual) = whole.residual {
            add_assign(&mut y, residual);
        }
        if let Some(slope) = whole.slope {
            kernels::leaky_relu(lanes, slope, &mut y);
        }
    }
    let tracked = conv.weight.tracked() || bias.as_ref().is_some_and(Param::tracked);
    Ok(x.finished(y, dims, tracked, finish, move |dy, sink| {
        if let Some(bias) = &bias {
            let values = &dy[..dy.len() / lanes];
            sink.add_param(bias, |db| kernels::bias_grad(shape.out_ch, values, db));
        }
        conv.backward(Images::Stored(dy), sink);
    }))
}

/// [`crate::Layers::conv_norm_then`]: the sums over the batch are taken while the convolution's
/// results are in the cache.
pub(super) fn conv_norm_then(
    x: &Traced,
    conv: &Tensor,
    geometry: Geometry,
    norm: Norm<'_>,
    finish: &Finish<'_, Traced>,
) -> Result<(Traced, Moments)> {
    let conv = Conv::new(x, conv, geometry)?;
    let dims = conv.out_dims();
    check_norm(&dims, norm.weight, norm.bias)?;
    let (mut raw, known) = x.result(conv.shape.batch * conv.shape.out_len());
    let (images, weight) = (conv.x.images(), conv.weight.floats());
    let sums =
        kernels::conv_forward_summed(&conv.shape, x.lanes(), known, images, weight, &mut raw);
    let (raw, tracked) = (Arc::new(raw), conv.weight.tracked());
    x.leave(&raw, None);
    let normed = BeforeNorm { raw, dims, sums, tracked };
    normed.then(x, norm, finish, move |backward, sink| {
        conv.backward(Images::Gradient(backward), sink);
    })
}

/// [`crate::Layers::batch_norm_then`].
pub(super) fn norm_then(
    x: &Traced,
    norm: Norm<'_>,
    finish: &Finish<'_, Traced>,
) -> Result<(Traced, Moments)> {
    let channels = check_norm(x.dims(), norm.weight, norm.bias)?;
    let (raw, dims, from) = (x.stored(), x.dims().to_vec(), x.node());
    let sums = kernels::norm_sums(x.lanes(), channels, &raw);
    let before = BeforeNorm { raw, dims, sums, tracked: false };
    before.then(x, norm, finish, move |backward, sink| {
        sink.add_to(from, backward.x.len(), |dx| backward.store(dx));
    })
}

/// What is normalized, and its sums over the batch.
struct BeforeNorm {
    raw: Arc<Buffer>,
    dims: Vec<usize>,
    sums: NormSums,
    /// Whether it depends on a parameter that takes a gradient.
    tracked: bool,
}

impl BeforeNorm {
    /// Normalizes and finishes; `hand_on` gets the gradient of what is normalized.
    fn then(
        self,
        x: &Traced,
        norm: Norm<'_>,
        finish: &Finish<'_, Traced>,
        hand_on: impl Fn(Backward<'_>, &mut Sink) + Send + Sync + 'static,
    ) -> Result<(Traced, Moments)> {
        let Self { raw, dims, sums, tracked } = self;
        Traced::check_residual(finish, &dims)?;
        let (weight, bias, lanes) = (x.param(norm.weight)?, x.param(norm.bias)?, x.lanes());
        let count = raw.len() / lanes / weight.floats().len();
        let stats = NormStats::new(&sums, count, norm.eps, weight.floats(), bias.floats());
        let moments = moments(&stats, norm.weight.device())?;
        let stats = Arc::new(stats);
        let whole = Traced::kernel_finish(finish);
        let (data, finished) = if whole.residual.is_some() {
            let mut y = Buffer::stale(raw.len());
            Normed { lanes, stats: &stats, x: &raw, finish: whole }.store(&mut y);
            let y = Arc::new(y);
            let residual = finish.residual.and_then(Traced::node);
            let finished = Finished { lanes, slope: whole.slope, y: Some(y.clone()), residual };
            (Data::Stored(y), Some(finished))
        } else {
            let (stats, x) = (stats.clone(), raw.clone());
            let lazy = LazyNorm { lanes, stats, x, slope: whole.slope, stored: OnceLock::new() };
            (Data::Normed(Arc::new(lazy)), None)
        };
        let slope = if finished.is_some() { 1.0 } else { whole.slope.unwrap_or(1.0) };
        let depends = tracked
            || weight.tracked()
            || bias.tracked()
            || finished.as_ref().is_some_and(|finished| finished.residual.is_some());
        let y = x.then(data, dims, depends, move |dy, sink| {
            if let Some(finished) = &finished {
                finished.unactivate(dy, sink);
            }
            let gradient = stats.backward(lanes, &raw, dy, slope);
            sink.add_param(&weight, |to| to.copy_from_slice(&gradient.weight));
            sink.add_param(&bias, |to| to.copy_from_slice(&gradient.bias));
            let (stats, gradient) = (&stats, &gradient);
            hand_on(Backward { lanes, stats, gradient, x: &raw, dy, slope }, sink);
            if let Some(finished) = &finished {
                finished.pass_on(dy, sink);
            }
        });
        Ok((y, moments))
    }
}
