//! Batches of images as a convolution reads them: as they lie in memory, or made on the way.
//!
//! What a normalization and its activation give is as large as what they take, and is read once or
//! twice. So it is not written: a convolution that copies an image anyway, to put zeros around it,
//! normalizes the numbers as it copies them. The same goes for the gradient that a normalization
//! hands to the convolution before it, and for the one that a pooling hands to it.

use super::Finish;
use super::arch::arch;
use super::channels::{ChannelMap, task_len};
use super::norm::{NormGradient, NormStats};
use super::pool::{Grid, Scatter};
use pulp::{Simd, WithSimd};
use rayon::prelude::*;
use tracing::instrument;

/// The numbers of a batch of images, `[B, H, W, Ch]`; those of dual numbers are values, then tangents.
#[derive(Debug, Clone, Copy)]
pub enum Images<'a> {
    /// As they lie in memory.
    Stored(&'a [f32]),
    /// Normalized and finished on the way.
    Normed(Normed<'a>),
    /// The gradient of what was normalized.
    Gradient(Backward<'a>),
    /// The gradient of what was pooled.
    Unpooled(Unpooled<'a>),
}

/// `finish(γ x̂ + β)`, and the same of tangents: see `norm.rs`.
#[derive(Debug, Clone, Copy)]
pub struct Normed<'a> {
    /// 1, or 2 for dual numbers.
    pub lanes: usize,
    /// What is known of the channels.
    pub stats: &'a NormStats,
    /// What is normalized.
    pub x: &'a [f32],
    /// What follows.
    pub finish: Finish<'a>,
}

/// The gradient of x, from that of `leaky_relu(γ x̂ + β)`.
#[derive(Debug, Clone, Copy)]
pub struct Backward<'a> {
    /// 1, or 2 for dual numbers.
    pub lanes: usize,
    /// What is known of the channels.
    pub stats: &'a NormStats,
    /// What the sums over the batch came to.
    pub gradient: &'a NormGradient,
    /// What was normalized.
    pub x: &'a [f32],
    /// The gradient of the result.
    pub dy: &'a [f32],
    /// Slope of the activation that followed; 1 if none did.
    pub slope: f32,
}

/// The gradient of what was pooled, from that of the maxima: see `pool.rs`.
#[derive(Debug, Clone, Copy)]
pub struct Unpooled<'a> {
    /// Height, width and channels of what was pooled.
    pub dims: [usize; 3],
    /// The gradient of the maxima, of values and tangents.
    pub dy: &'a [f32],
    /// Which pixel of its window each value was.
    pub argmax: &'a [f32],
}

impl<'a> Images<'a> {
    /// How many numbers there are.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Stored(x) => x.len(),
            Self::Normed(normed) => normed.x.len(),
            Self::Gradient(backward) => backward.x.len(),
            Self::Unpooled(unpooled) => unpooled.images() * unpooled.grid().in_len(),
        }
    }

    /// How many numbers are read for them.
    pub(super) fn moved(&self) -> usize {
        match self {
            Self::Stored(x) => x.len(),
            Self::Normed(Normed { x, finish, .. }) => {
                x.len() + finish.residual.map_or(0, <[f32]>::len)
            }
            Self::Gradient(Backward { x, dy, .. }) => x.len() + dy.len(),
            Self::Unpooled(Unpooled { dy, argmax, .. }) => dy.len() + argmax.len(),
        }
    }

    /// What is read for the numbers of `range`, to be fetched ahead.
    #[inline(always)]
    pub(super) fn read(&self, range: std::ops::Range<usize>) -> [&'a [f32]; 2] {
        match self {
            Self::Stored(x) | Self::Normed(Normed { x, .. }) => [&x[range], &[]],
            Self::Gradient(Backward { x, dy, .. }) => [&x[range.clone()], &dy[range]],
            Self::Unpooled(unpooled) => {
                [unpooled.maxima(range.start / unpooled.grid().in_len()).0, &[]]
            }
        }
    }

    /// The numbers from `at` on: whole pixels, all of them values or all of them tangents; of a gradient
    /// of what was pooled, a whole image.
    #[inline(always)]
    pub(super) fn write<S: Simd>(&self, simd: S, at: usize, to: &mut [f32]) {
        match self {
            Self::Stored(x) => to.copy_from_slice(&x[at..at + to.len()]),
            Self::Normed(normed) => normed.write(simd, at, to),
            Self::Gradient(backward) => backward.write(simd, at, to),
            Self::Unpooled(unpooled) => unpooled.write(simd, at, to),
        }
    }
}

impl Normed<'_> {
    /// All numbers, into `y`.
    ///
    /// # Panics
    /// If `y` is not as long as `x`.
    #[instrument(name = "store_normed", level = "trace", skip_all, fields(
        moved = Images::Normed(self).moved() + y.len()
    ))]
    pub fn store(self, y: &mut [f32]) {
        Images::Normed(self).store(self.stats.mean.len(), self.lanes, y);
    }

    #[inline(always)]
    fn write<S: Simd>(&self, simd: S, at: usize, to: &mut [f32]) {
        let Self { stats, x, finish, .. } = self;
        let NormStats { mu, a, b, m, e, .. } = stats;
        let (ch, len, half) = (mu.len(), to.len(), x.len() / self.lanes);
        let (value, slope) = (at % half, finish.slope());
        let x_value = &x[value..value + len];
        if at < half {
            let of = [&mu[..], a, b];
            match finish.residual {
                None => ChannelMap { ch, coefficients: of, inputs: [x_value], out: to }.run(
                    simd,
                    #[inline(always)]
                    |[mu, a, b], [x]| ((x - mu) * a + b).leaky_relu(slope),
                ),
                Some(r) => {
                    let inputs = [x_value, &r[value..value + len]];
                    ChannelMap { ch, coefficients: of, inputs, out: to }.run(
                        simd,
                        #[inline(always)]
                        |[mu, a, b], [x, r]| ((x - mu) * a + b + r).leaky_relu(slope),
                    );
                }
            }
            return;
        }
        let (of, t) = ([&mu[..], a, b, m, e], &x[at..at + len]);
        match finish.residual {
            None => ChannelMap { ch, coefficients: of, inputs: [x_value, t], out: to }.run(
                simd,
                #[inline(always)]
                |[mu, a, b, m, e], [x, t]| {
                    ((x - mu) * a + b).branch(slope, (t - m) * a + (x - mu) * e)
                },
            ),
            Some(r) => {
                let inputs = [x_value, t, &r[value..value + len], &r[at..at + len]];
                ChannelMap { ch, coefficients: of, inputs, out: to }.run(
                    simd,
                    #[inline(always)]
                    |[mu, a, b, m, e], [x, t, r, s]| {
                        ((x - mu) * a + b + r).branch(slope, (t - m) * a + (x - mu) * e + s)
                    },
                );
            }
        }
    }
}

impl Backward<'_> {
    /// All numbers, into `dx`.
    ///
    /// # Panics
    /// If `dx` is not as long as `x`.
    #[instrument(name = "store_norm_gradient", level = "trace", skip_all, fields(
        moved = Images::Gradient(self).moved() + dx.len()
    ))]
    pub fn store(self, dx: &mut [f32]) {
        Images::Gradient(self).store(self.stats.mean.len(), self.lanes, dx);
    }

    #[inline(always)]
    fn write<S: Simd>(&self, simd: S, at: usize, to: &mut [f32]) {
        let Self { lanes, stats, gradient, x, dy, slope } = *self;
        let NormStats { mu, a, b, .. } = stats;
        let NormGradient { k, s, by_h, by_t, tangent_s, .. } = gradient;
        let (ch, len, half) = (mu.len(), to.len(), x.len() / lanes);
        let value = at % half;
        let (x_value, g) = (&x[value..value + len], &dy[at..at + len]);
        if lanes == 1 {
            let of = [&mu[..], a, b, k, s];
            ChannelMap { ch, coefficients: of, inputs: [x_value, g], out: to }.run(
                simd,
                #[inline(always)]
                |[mu, a, b, k, s], [x, g]| {
                    ((x - mu) * a + b).branch(slope, g) * a + (x - mu) * k + s
                },
            );
        } else if at < half {
            let of = [&mu[..], a, b, by_h, by_t, k, s];
            let (t, h) = (&x[half + at..half + at + len], &dy[half + at..half + at + len]);
            let inputs = [x_value, t, g, h];
            ChannelMap { ch, coefficients: of, inputs, out: to }.run(
                simd,
                #[inline(always)]
                |[mu, a, b, by_h, by_t, k, s], [x, t, g, h]| {
                    let v = (x - mu) * a + b;
                    let (g, h) = (v.branch(slope, g), v.branch(slope, h));
                    g * a + h * by_h + t * by_t + (x - mu) * k + s
                },
            );
        } else {
            let of = [&mu[..], a, b, by_t, tangent_s];
            ChannelMap { ch, coefficients: of, inputs: [x_value, g], out: to }.run(
                simd,
                #[inline(always)]
                |[mu, a, b, k, s], [x, h]| {
                    ((x - mu) * a + b).branch(slope, h) * a + (x - mu) * k + s
                },
            );
        }
    }
}

impl<'a> Unpooled<'a> {
    fn grid(&self) -> Grid {
        let [h, w, ch] = self.dims;
        Grid { h, w, ch }
    }

    fn images(&self) -> usize {
        self.dy.len() / self.grid().out_len().max(1)
    }

    /// The gradient of the maxima of image `index`, and which pixels they were.
    pub(super) fn maxima(&self, index: usize) -> (&'a [f32], &'a [f32]) {
        let len = self.grid().out_len();
        let (at, value) = (index * len, index * len % self.argmax.len());
        (&self.dy[at..at + len], &self.argmax[value..value + len])
    }

    #[inline(always)]
    fn write<S: Simd>(&self, simd: S, at: usize, to: &mut [f32]) {
        let grid = self.grid();
        assert_eq!((at % grid.in_len(), to.len()), (0, grid.in_len()));
        let (dy, argmax) = self.maxima(at / grid.in_len());
        Scatter { grid, dy, argmax, dx: to }.with_simd(simd);
    }
}

impl Images<'_> {
    fn store(self, ch: usize, lanes: usize, out: &mut [f32]) {
        assert_eq!(out.len(), self.len());
        let (half, task) = ((out.len() / lanes).max(1), task_len(ch));
        for (lane, out) in out.chunks_mut(half).enumerate() {
            out.par_chunks_mut(task).enumerate().for_each(|(k, to)| {
                arch().dispatch(Write { images: self, at: lane * half + k * task, to });
            });
        }
    }
}

struct Write<'a> {
    images: Images<'a>,
    at: usize,
    to: &'a mut [f32],
}

impl WithSimd for Write<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        self.images.write(simd, self.at, self.to);
    }
}
