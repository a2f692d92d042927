//! Batch normalization over the channels (the last dimension), training and folded.

use std::sync::{Arc, OnceLock};

use candle::{Result, Tensor, bail};

use super::kernel_op::{graph_op3, run2, wanted};
use super::{add_bias, halves, path::takes_kernels};
use crate::kernels::{self, NormStats, batch_norm_backward, batch_norm_forward};

/// Mean and variance of each channel of a batch, `[Ch]`, outside any graph.
#[derive(Debug, Clone)]
pub struct Moments {
    /// Mean over batch and positions.
    pub mean: Tensor,
    /// Biased variance over batch and positions.
    pub variance: Tensor,
    /// How many numbers each moment was taken over.
    pub count: usize,
}

/// y = γ x̂ + β with x̂ = (x - μ) / σ, σ² = var + `eps`, and for tangents
/// ẏ = γ/σ · (ẋ - mean ẋ - x̂ · mean(x̂ ẋ)): the batch's moments depend on the images too.
pub(crate) fn batch_norm(
    x: &Tensor,
    weight: &Tensor,
    bias: &Tensor,
    eps: f64,
    lanes: usize,
) -> Result<(Tensor, Moments)> {
    let channels = x.dims()[x.rank() - 1];
    if weight.dims() != [channels] || bias.dims() != [channels] || x.elem_count() == 0 {
        bail!(
            "batch_norm: weight {:?} and bias {:?} do not fit {:?}",
            weight.dims(),
            bias.dims(),
            x.dims()
        );
    }
    if !takes_kernels(x) {
        return batch_norm_in_candle(x, weight, bias, eps, lanes);
    }
    // Written by the forward pass, read by the backward pass of the same op.
    let stats: Arc<OnceLock<NormStats>> = Arc::default();
    let (found, known) = (stats.clone(), stats.clone());
    let y = graph_op3(
        "batch_norm",
        [x, weight, bias],
        x.shape(),
        move |[x, w, b], y| {
            let stats = batch_norm_forward(lanes, eps, x, w, b, y);
            found.get_or_init(|| stats);
        },
        move |[x, w, b], _, dy| {
            let known = known.clone();
            let by_params: Arc<OnceLock<(Vec<f32>, Vec<f32>)>> = Arc::default();
            let found = by_params.clone();
            let dx = run2("batch_norm gradient", [x, dy], x.shape(), move |[x, dy], dx| {
                if let Some(stats) = known.get() {
                    found.get_or_init(|| batch_norm_backward(lanes, stats, x, dy, dx));
                }
            })?;
            let Some((dw, db)) = by_params.get() else { bail!("batch_norm: no forward pass") };
            let vector = |values: &[f32]| Tensor::from_slice(values, channels, x.device());
            Ok([wanted(x, || Ok(dx))?, wanted(w, || vector(dw))?, wanted(b, || vector(db))?])
        },
    )?;
    let Some(stats) = stats.get() else { bail!("batch_norm: no forward pass") };
    let vector = |values: &[f64]| {
        let values: Vec<f32> = values.iter().map(|value| *value as f32).collect();
        Tensor::from_vec(values, channels, x.device())
    };
    let moments = Moments {
        mean: vector(&stats.mean)?,
        variance: vector(&stats.variance)?,
        count: x.elem_count() / lanes / channels,
    };
    Ok((y, moments))
}

fn batch_norm_in_candle(
    x: &Tensor,
    weight: &Tensor,
    bias: &Tensor,
    eps: f64,
    lanes: usize,
) -> Result<(Tensor, Moments)> {
    let parts = halves(x, lanes)?;
    let value = &parts[0];
    let mean = channel_mean(value)?;
    let centered = (value - spread(&mean, value)?)?;
    let variance = channel_mean(&centered.sqr()?)?;
    let inverse = (&variance + eps)?.sqrt()?.recip()?;
    let normalized = (centered * spread(&inverse, value)?)?;
    let scaled = (&normalized * spread(weight, value)?)?;
    let mut outputs = vec![(scaled + spread(bias, value)?)?];
    if let Some(tangent) = parts.get(1) {
        let along = channel_mean(&(&normalized * tangent)?)?;
        let centered = (tangent - spread(&channel_mean(tangent)?, value)?)?;
        let projected = (centered - (normalized * spread(&along, value)?)?)?;
        outputs.push((projected * spread(&(inverse * weight)?, value)?)?);
    }
    let count = value.elem_count() / weight.elem_count();
    let moments = Moments { mean: mean.detach(), variance: variance.detach(), count };
    Ok((Tensor::cat(&outputs, 0)?, moments))
}

/// Mean over all but the last dimension. One dimension at a time: candle adds numbers up in f32 one
/// by one, and over a whole batch at once the rounding is as large as 1e-3 of a gradient.
fn channel_mean(x: &Tensor) -> Result<Tensor> {
    (1..x.rank()).try_fold(x.clone(), |x, _| x.mean(x.rank() - 2))
}

/// `[Ch]` as x's shape, one dimension at a time, so that the gradient is summed up as carefully as
/// [`channel_mean`] does.
fn spread(channels: &Tensor, x: &Tensor) -> Result<Tensor> {
    let dims = x.dims();
    (1..dims.len()).rev().try_fold(channels.clone(), |t, k| t.broadcast_as(&dims[k - 1..]))
}

/// y = x · `scale`, plus `shift` on the value half, both per channel and constant: they take no
/// gradient.
pub(crate) fn channel_affine(
    x: &Tensor,
    scale: &Tensor,
    shift: &Tensor,
    lanes: usize,
) -> Result<Tensor> {
    let (scale, shift) = (scale.detach(), shift.detach());
    if !takes_kernels(x) {
        return add_bias(&x.broadcast_mul(&scale)?, Some(&shift), lanes);
    }
    graph_op3(
        "channel_affine",
        [x, &scale, &shift],
        x.shape(),
        move |[x, a, b], y| {
            let half = x.len() / lanes;
            kernels::channel_affine(&x[..half], a, Some(b), &mut y[..half]);
            kernels::channel_affine(&x[half..], a, None, &mut y[half..]);
        },
        |[_, a, _], _, dy| {
            let dx = run2("channel_affine gradient", [dy, a], dy.shape(), |[dy, a], dx| {
                kernels::channel_affine(dy, a, None, dx);
            })?;
            Ok([Some(dx), None, None])
        },
    )
}
