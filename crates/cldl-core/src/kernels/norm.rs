//! Batch normalization in training, for numbers and dual numbers, forward and backward.
//!
//! With n numbers x of a channel, μ and σ² = var + eps their moments, x̂ = (x - μ)/σ, a = γ/σ, and for
//! dual numbers the tangents t, m = mean t, q = mean(x̂ t):
//!
//! - y = γ x̂ + β and ẏ = a (t - m - q x̂).
//!
//! With Y and T the gradients of y and ẏ, bars for means, r = mean(T x̂) and
//! E = mean(T t) - T̄ m - r q:
//!
//! - dt = a (T - T̄ - r x̂),
//! - dx = a (Y - Ȳ - x̂ mean(Y x̂)) - a/σ (q (T - T̄ - r x̂) + r (t - m - q x̂) + E x̂),
//! - dγ = Σ Y x̂ + n E/σ and dβ = Σ Y.
//!
//! Each direction reads its arguments twice: once for the sums, in f64, once to apply them.

use super::Finish;
use super::activation::{branch, leaky_relu_of};
use super::channels::{channel_map, channel_sums};

/// What the forward pass finds out about each channel, and the backward pass needs.
#[derive(Debug)]
pub struct NormStats {
    /// μ.
    pub mean: Vec<f64>,
    /// Biased variance.
    pub variance: Vec<f64>,
    /// 1/σ.
    inverse: Vec<f64>,
    /// a.
    scale: Vec<f64>,
    /// m; empty without tangents.
    tangent_mean: Vec<f64>,
    /// q; empty without tangents.
    along: Vec<f64>,
}

/// Normalizes by the batch's own moments, and finishes: adds a residual, takes the leaky ReLU.
///
/// # Shapes
/// - `x`, `y`: `[lanes · n, ch]`, with two `lanes` the tangents second; `y` is overwritten
/// - `weight`, `bias`: `[ch]`; the residual as `x`
///
/// # Panics
/// If the length of a slice contradicts the shape.
pub fn batch_norm_forward(
    lanes: usize,
    eps: f64,
    x: &[f32],
    weight: &[f32],
    bias: &[f32],
    finish: Finish<'_>,
    y: &mut [f32],
) -> NormStats {
    let ch = weight.len();
    assert!(finish.residual.is_none_or(|residual| residual.len() == x.len()));
    assert!(bias.len() == ch && y.len() == x.len() && x.len().is_multiple_of(lanes * ch));
    let half = x.len() / lanes;
    let n = (half / ch) as f64;
    let (value, tangent) = x.split_at(half);
    let (y_value, y_tangent) = y.split_at_mut(half);

    let [sum, squares, t_sum, products] = if lanes == 1 {
        let [sum, squares] = channel_sums(ch, [value], |[x]| [x, x * x]);
        [sum, squares, Vec::new(), Vec::new()]
    } else {
        channel_sums(ch, [value, tangent], |[x, t]| [x, x * x, t, x * t])
    };
    let mean = each(ch, |c| sum[c] / n);
    let variance = each(ch, |c| (squares[c] / n - mean[c] * mean[c]).max(0.0));
    let inverse = each(ch, |c| 1.0 / (variance[c] + eps).sqrt());
    let scale = each(ch, |c| f64::from(weight[c]) * inverse[c]);
    let tangent_mean: Vec<f64> = t_sum.iter().map(|sum| sum / n).collect();
    let along = |(c, sum): (usize, &f64)| (sum / n - mean[c] * tangent_mean[c]) * inverse[c];
    let along = products.iter().enumerate().map(along).collect();
    let stats = NormStats { mean, variance, inverse, scale, tangent_mean, along };

    let (mu, a) = (narrow(&stats.mean), narrow(&stats.scale));
    let slope = finish.slope();
    let residual = finish.residual.map(|residual| residual.split_at(half));
    let of_value = [&mu[..], &a, bias];
    match residual {
        None => channel_map(ch, of_value, [value], y_value, |[mu, a, b], [x]| {
            leaky_relu_of((x - mu) * a + b, slope)
        }),
        Some((r, _)) => channel_map(ch, of_value, [value, r], y_value, |[mu, a, b], [x, r]| {
            leaky_relu_of((x - mu) * a + b + r, slope)
        }),
    }
    if lanes == 2 {
        let m = narrow(&stats.tangent_mean);
        let e = narrow(&each(ch, |c| -stats.scale[c] * stats.along[c] * stats.inverse[c]));
        let of_tangent = [&mu[..], &a, &m, &e];
        let v = &*y_value;
        match residual {
            None => {
                let inputs = [value, tangent, v];
                channel_map(ch, of_tangent, inputs, y_tangent, |[mu, a, m, e], [x, t, v]| {
                    branch(v, slope, (t - m) * a + (x - mu) * e)
                });
            }
            Some((_, r)) => {
                let inputs = [value, tangent, v, r];
                channel_map(ch, of_tangent, inputs, y_tangent, |[mu, a, m, e], [x, t, v, r]| {
                    branch(v, slope, (t - m) * a + (x - mu) * e + r)
                });
            }
        }
    }
    stats
}

/// Gradients of x (into `dx`), of the weight and of the bias.
///
/// # Shapes
/// - `x`, `dy`, `dx`: as `x` of the forward pass; `dx` is overwritten
/// - returns `[ch]` twice
///
/// # Panics
/// If the length of a slice contradicts the shape.
pub fn batch_norm_backward(
    lanes: usize,
    stats: &NormStats,
    x: &[f32],
    dy: &[f32],
    dx: &mut [f32],
) -> (Vec<f32>, Vec<f32>) {
    let ch = stats.mean.len();
    assert!(dy.len() == x.len() && dx.len() == x.len() && x.len().is_multiple_of(lanes * ch));
    let half = x.len() / lanes;
    let n = (half / ch) as f64;
    let ((x, t), (dy, dt)) = (x.split_at(half), dy.split_at(half));
    let (dx, dx_tangent) = dx.split_at_mut(half);
    let NormStats { mean, inverse, scale, tangent_mean, along, .. } = stats;
    let mu = narrow(mean);
    let a = narrow(scale);
    // mean(g x̂) from the sums of g and g x.
    let with_normalized =
        |g: &[f64], gx: &[f64]| each(ch, |c| (gx[c] - mean[c] * g[c]) / n * inverse[c]);

    if lanes == 1 {
        let [g, gx] = channel_sums(ch, [x, dy], |[x, g]| [g, g * x]);
        let p = with_normalized(&g, &gx);
        let shift = narrow(&each(ch, |c| -scale[c] * g[c] / n));
        let slope = narrow(&each(ch, |c| -scale[c] * p[c] * inverse[c]));
        channel_map(ch, [&mu, &a, &shift, &slope], [x, dy], dx, |[mu, a, s, k], [x, g]| {
            g * a + (x - mu) * k + s
        });
        return (narrow(&each(ch, |c| n * p[c])), narrow(&g));
    }

    let [g, gx, h, hx, ht] =
        channel_sums(ch, [x, t, dy, dt], |[x, t, g, h]| [g, g * x, h, h * x, h * t]);
    let (p, r) = (with_normalized(&g, &gx), with_normalized(&h, &hx));
    let e = each(ch, |c| ht[c] / n - h[c] / n * tangent_mean[c] - r[c] * along[c]);
    let ratio = each(ch, |c| scale[c] * inverse[c]);

    let shift = narrow(&each(ch, |c| -scale[c] * h[c] / n));
    let slope = narrow(&each(ch, |c| -ratio[c] * r[c]));
    channel_map(ch, [&mu, &a, &shift, &slope], [x, dt], dx_tangent, |[mu, a, s, k], [x, h]| {
        h * a + (x - mu) * k + s
    });

    let by_h = narrow(&each(ch, |c| -ratio[c] * along[c]));
    let by_t = narrow(&each(ch, |c| -ratio[c] * r[c]));
    let slope = each(ch, |c| ratio[c] * (2.0 * along[c] * r[c] - e[c]) - scale[c] * p[c]);
    let slope = narrow(&each(ch, |c| slope[c] * inverse[c]));
    let shift = narrow(&each(ch, |c| {
        ratio[c] * (along[c] * h[c] / n + r[c] * tangent_mean[c]) - scale[c] * g[c] / n
    }));
    channel_map(
        ch,
        [&mu, &a, &by_h, &by_t, &slope, &shift],
        [x, t, dy, dt],
        dx,
        |[mu, a, by_h, by_t, k, s], [x, t, g, h]| g * a + h * by_h + t * by_t + (x - mu) * k + s,
    );
    (narrow(&each(ch, |c| n * (p[c] + e[c] * inverse[c]))), narrow(&g))
}

/// y = x · `scale`, plus `shift` where it is given: the forward pass of a value and of a tangent, and
/// with the gradient in x's place the backward pass.
///
/// # Shapes
/// - `x`, `y`: `[n, ch]`; `y` is overwritten
/// - `scale`, `shift`: `[ch]`
///
/// # Panics
/// If the length of a slice contradicts the shape.
pub fn channel_affine(x: &[f32], scale: &[f32], shift: Option<&[f32]>, y: &mut [f32]) {
    assert!(y.len() == x.len() && x.len().is_multiple_of(scale.len()));
    // Images have 1 or 3 channels: 16 pixels at a time fill the vectors.
    let few = scale.len() < 16 && x.len().is_multiple_of(16 * scale.len());
    let pixels = if few { 16 } else { 1 };
    let (a, b) = (scale.repeat(pixels), shift.map(|shift| shift.repeat(pixels)));
    match b {
        None => channel_map(a.len(), [&a], [x], y, |[a], [x]| x * a),
        Some(b) => channel_map(a.len(), [&a, &b], [x], y, |[a, b], [x]| x * a + b),
    }
}

fn each(ch: usize, f: impl Fn(usize) -> f64) -> Vec<f64> {
    (0..ch).map(f).collect()
}

fn narrow(values: &[f64]) -> Vec<f32> {
    values.iter().map(|value| *value as f32).collect()
}
