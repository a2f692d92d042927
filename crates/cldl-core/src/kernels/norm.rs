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
//! Each direction reads its arguments twice: once for the sums, in f64, once to apply them, which is
//! done by whoever reads the result (see [`super::images`]).

use super::activation::branch;
use super::arch::arch;
use super::channels::{ChannelMap, TaskSums, add_up, channel_sums, task_len};
use pulp::{Simd, WithSimd};
use rayon::prelude::*;
use tracing::instrument;

/// Sums over a batch of a channel's numbers: Σx, Σx², and of dual numbers Σt, Σxt.
pub type NormSums = [Vec<f64>; 4];

/// What the forward pass finds out about each channel, and the backward pass needs.
#[derive(Debug)]
pub struct NormStats {
    /// μ.
    pub mean: Vec<f64>,
    /// Biased variance.
    pub variance: Vec<f64>,
    /// How many numbers each was taken over.
    pub count: usize,
    /// 1/σ.
    inverse: Vec<f64>,
    /// a.
    scale: Vec<f64>,
    /// m.
    tangent_mean: Vec<f64>,
    /// q.
    along: Vec<f64>,
    /// In f32: y = (x - mu) a + b, and for tangents (t - m) a + (x - mu) e.
    pub(super) mu: Vec<f32>,
    pub(super) a: Vec<f32>,
    pub(super) b: Vec<f32>,
    pub(super) m: Vec<f32>,
    pub(super) e: Vec<f32>,
}

/// What the backward pass finds out about each channel: gradients of the weight and of the bias, and
/// the coefficients of x's gradient.
#[derive(Debug)]
pub struct NormGradient {
    /// Of the weight, `[ch]`.
    pub weight: Vec<f32>,
    /// Of the bias, `[ch]`.
    pub bias: Vec<f32>,
    /// dx = Y a + T by_h + t by_t + (x - mu) k + s, without T and t for plain numbers.
    pub(super) k: Vec<f32>,
    pub(super) s: Vec<f32>,
    pub(super) by_h: Vec<f32>,
    pub(super) by_t: Vec<f32>,
    /// dt = T a + (x - mu) by_t + tangent_s.
    pub(super) tangent_s: Vec<f32>,
}

/// The sums of a batch `x`, `[lanes · n, ch]`, with two `lanes` the tangents second.
///
/// # Panics
/// If the length of `x` contradicts the shape.
#[instrument(level = "trace", skip_all, fields(moved = x.len()))]
pub fn norm_sums(lanes: usize, ch: usize, x: &[f32]) -> NormSums {
    assert!(x.len().is_multiple_of(lanes * ch));
    let (value, tangent) = x.split_at(x.len() / lanes);
    if tangent.is_empty() {
        let [x, squares] = channel_sums(ch, [], [value], value_terms);
        return [x, squares, vec![0.0; ch], vec![0.0; ch]];
    }
    channel_sums(ch, [], [value, tangent], dual_terms)
}

#[inline(always)]
fn value_terms(_: [f32; 0], [x]: [f32; 1]) -> [f64; 2] {
    let x = f64::from(x);
    [x, x * x]
}

#[inline(always)]
fn dual_terms(_: [f32; 0], [x, t]: [f32; 2]) -> [f64; 4] {
    let (x, t) = (f64::from(x), f64::from(t));
    [x, x * x, t, x * t]
}

/// The sums of one example: an image, or an image and its tangent.
pub(super) struct ExampleSums<'a> {
    pub ch: usize,
    pub value: &'a [f32],
    pub tangent: Option<&'a [f32]>,
}

impl WithSimd for ExampleSums<'_> {
    type Output = NormSums;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> NormSums {
        let Self { ch, value, tangent } = self;
        match tangent {
            None => {
                let [x, squares] =
                    TaskSums { ch, coefficients: [], inputs: [value], terms: value_terms }
                        .with_simd(simd);
                [x, squares, vec![0.0; ch], vec![0.0; ch]]
            }
            Some(tangent) => {
                TaskSums { ch, coefficients: [], inputs: [value, tangent], terms: dual_terms }
                    .with_simd(simd)
            }
        }
    }
}

/// The sums of all examples, in their order.
pub(super) fn norm_sums_of(ch: usize, examples: &[NormSums]) -> NormSums {
    add_up(ch, examples)
}

impl NormStats {
    /// Of channels whose `count` numbers have these `sums`.
    ///
    /// # Shapes
    /// - `weight`, `bias`: `[ch]`
    pub fn new(sums: &NormSums, count: usize, eps: f64, weight: &[f32], bias: &[f32]) -> Self {
        let (ch, n) = (weight.len(), count as f64);
        let [sum, squares, t_sum, products] = sums;
        let mean = each(ch, |c| sum[c] / n);
        let variance = each(ch, |c| (squares[c] / n - mean[c] * mean[c]).max(0.0));
        let inverse = each(ch, |c| 1.0 / (variance[c] + eps).sqrt());
        let scale = each(ch, |c| f64::from(weight[c]) * inverse[c]);
        let tangent_mean = each(ch, |c| t_sum[c] / n);
        let along = each(ch, |c| (products[c] / n - mean[c] * tangent_mean[c]) * inverse[c]);
        Self {
            mu: narrow(&mean),
            a: narrow(&scale),
            b: bias.to_vec(),
            m: narrow(&tangent_mean),
            e: narrow(&each(ch, |c| -scale[c] * along[c] * inverse[c])),
            mean,
            variance,
            count,
            inverse,
            scale,
            tangent_mean,
            along,
        }
    }

    /// The gradients, for the gradient `dy` of `leaky_relu(y)`, whose slope is 1 if no activation
    /// followed.
    ///
    /// # Shapes
    /// - `x`, `dy`: as in the forward pass
    ///
    /// # Panics
    /// If the length of a slice contradicts the shape.
    #[instrument(name = "norm_backward", level = "trace", skip_all, fields(moved = x.len() + dy.len()))]
    pub fn backward(&self, lanes: usize, x: &[f32], dy: &[f32], slope: f32) -> NormGradient {
        let ch = self.mean.len();
        assert!(dy.len() == x.len() && x.len() == lanes * ch * self.count);
        let half = x.len() / lanes;
        let n = self.count as f64;
        let ((x, t), (dy, dt)) = (x.split_at(half), dy.split_at(half));
        let Self { mean, inverse, scale, tangent_mean, along, mu, a, b, .. } = self;
        // mean(g x̂) from the sums of g and g x.
        let with_normalized =
            |g: &[f64], gx: &[f64]| each(ch, |c| (gx[c] - mean[c] * g[c]) / n * inverse[c]);

        if lanes == 1 {
            let [g, gx] = channel_sums(ch, [mu, a, b], [x, dy], |[mu, a, b], [x, g]| {
                let g = f64::from(branch((x - mu) * a + b, slope, g));
                [g, g * f64::from(x)]
            });
            let p = with_normalized(&g, &gx);
            return NormGradient {
                weight: narrow(&each(ch, |c| n * p[c])),
                bias: narrow(&g),
                k: narrow(&each(ch, |c| -scale[c] * p[c] * inverse[c])),
                s: narrow(&each(ch, |c| -scale[c] * g[c] / n)),
                by_h: Vec::new(),
                by_t: Vec::new(),
                tangent_s: Vec::new(),
            };
        }

        let [g, gx, h, hx, ht] =
            channel_sums(ch, [mu, a, b], [x, t, dy, dt], |[mu, a, b], [x, t, g, h]| {
                let v = (x - mu) * a + b;
                let (g, h) = (f64::from(branch(v, slope, g)), f64::from(branch(v, slope, h)));
                let (x, t) = (f64::from(x), f64::from(t));
                [g, g * x, h, h * x, h * t]
            });
        let (p, r) = (with_normalized(&g, &gx), with_normalized(&h, &hx));
        let e = each(ch, |c| ht[c] / n - h[c] / n * tangent_mean[c] - r[c] * along[c]);
        let ratio = each(ch, |c| scale[c] * inverse[c]);
        let k = |c: usize| ratio[c] * (2.0 * along[c] * r[c] - e[c]) - scale[c] * p[c];
        let s = |c: usize| {
            ratio[c] * (along[c] * h[c] / n + r[c] * tangent_mean[c]) - scale[c] * g[c] / n
        };
        NormGradient {
            weight: narrow(&each(ch, |c| n * (p[c] + e[c] * inverse[c]))),
            bias: narrow(&g),
            k: narrow(&each(ch, |c| k(c) * inverse[c])),
            s: narrow(&each(ch, s)),
            by_h: narrow(&each(ch, |c| -ratio[c] * along[c])),
            by_t: narrow(&each(ch, |c| -ratio[c] * r[c])),
            tangent_s: narrow(&each(ch, |c| -scale[c] * h[c] / n)),
        }
    }
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
#[instrument(level = "trace", skip_all, fields(moved = x.len() + y.len()))]
pub fn channel_affine(x: &[f32], scale: &[f32], shift: Option<&[f32]>, y: &mut [f32]) {
    assert!(y.len() == x.len() && x.len().is_multiple_of(scale.len()));
    // Images have 1 or 3 channels: 16 pixels at a time fill the vectors.
    let few = scale.len() < 16 && x.len().is_multiple_of(16 * scale.len());
    let pixels = if few { 16 } else { 1 };
    let (a, b) = (scale.repeat(pixels), shift.map(|shift| shift.repeat(pixels)));
    let task = task_len(a.len());
    y.par_chunks_mut(task).zip(x.par_chunks(task)).for_each(|(y, x)| {
        arch().dispatch(Affine { scale: &a, shift: b.as_deref(), x, y });
    });
}

/// [`channel_affine`] of one task's rows.
struct Affine<'a> {
    scale: &'a [f32],
    shift: Option<&'a [f32]>,
    x: &'a [f32],
    y: &'a mut [f32],
}

impl WithSimd for Affine<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { scale, shift, x, y } = self;
        let ch = scale.len();
        match shift {
            None => ChannelMap { ch, coefficients: [scale], inputs: [x], out: y }.run(
                simd,
                #[inline(always)]
                |[a], [x]| x * a,
            ),
            Some(shift) => {
                ChannelMap { ch, coefficients: [scale, shift], inputs: [x], out: y }.run(
                    simd,
                    #[inline(always)]
                    |[a, b], [x]| x * a + b,
                );
            }
        }
    }
}

fn each(ch: usize, f: impl Fn(usize) -> f64) -> Vec<f64> {
    (0..ch).map(f).collect()
}

fn narrow(values: &[f64]) -> Vec<f32> {
    values.iter().map(|value| *value as f32).collect()
}
