//! Batch normalization over the channels (the last dimension), training and folded.

use candle::{Device, Result, Tensor, bail};

use super::{add_bias, halves, path::takes_kernels};
use crate::kernels::NormStats;
use crate::layers::Layers as _;
use crate::tape::stretch;

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
    if takes_kernels(x) {
        let mut moments = None;
        let y = stretch(x, lanes, |x| {
            let (y, found) = x.batch_norm(weight, bias, eps)?;
            moments = Some(found);
            Ok(y)
        })?;
        let Some(moments) = moments else { bail!("batch_norm: no moments") };
        return Ok((y, moments));
    }
    check_norm(x.dims(), weight, bias)?;
    batch_norm_in_candle(x, weight, bias, eps, lanes)
}

/// The number of channels, if weight and bias fit images of shape `dims`.
pub(crate) fn check_norm(dims: &[usize], weight: &Tensor, bias: &Tensor) -> Result<usize> {
    let channels = dims.last().copied().unwrap_or_default();
    if weight.dims() != [channels] || bias.dims() != [channels] || dims.contains(&0) {
        let (weight, bias) = (weight.dims(), bias.dims());
        bail!("batch_norm: weight {weight:?} and bias {bias:?} do not fit {dims:?}");
    }
    Ok(channels)
}

/// What the kernel found out.
pub(crate) fn moments(stats: &NormStats, device: &Device) -> Result<Moments> {
    let vector = |values: &[f64]| {
        let values: Vec<f32> = values.iter().map(|value| *value as f32).collect();
        Tensor::from_vec(values, stats.mean.len(), device)
    };
    Ok(Moments {
        mean: vector(&stats.mean)?,
        variance: vector(&stats.variance)?,
        count: stats.count,
    })
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
    if takes_kernels(x) {
        return stretch(x, lanes, |x| x.channel_affine(scale, shift));
    }
    add_bias(&x.broadcast_mul(&scale.detach())?, Some(&shift.detach()), lanes)
}
