//! The gradient for an RGB image, by kernels of 3 by 3.
//!
//! A window then has 9 floats in a row: of a vector of neighbors nearly half the lanes would be idle. So a
//! vector holds terms of sums: a quarter of some output channels, for four pixels. These are a quarter of a
//! row apart, and so the four neighbors of four pixels are in one vector too:
//!
//! `dx[h, w, c] = Σ_{o,i,j} dy[h + 1 − i, w + 1 − j, o] · weight[o, c, i, j]`
//!
//! at `w`, `w + W/4`, `w + 2W/4` and `w + 3W/4` side by side.
#![allow(unsafe_code, reason = "bounds are checked once per row, not once per multiplication")]

use super::ConvShape;
use crate::kernels::aligned::Aligned;
use crate::kernels::arch::Registers;
use crate::kernels::scratch::with_scratch;
use crate::kernels::tile::{MAX_LANES, load, read, store};
use crate::kernels::unroll::unroll;
use pulp::{Simd, WithSimd};

/// Channels of the input.
const CHANNELS: usize = 3;
/// Height and width of the kernel.
const KERNEL: usize = 3;
/// Pixels in a vector, and quarters of the channels.
const FOUR: usize = 4;
/// Neighbors whose sums are in registers together.
const NEIGHBORS: usize = 4;
/// Their sums.
const SUMS: usize = NEIGHBORS * CHANNELS;

/// Computes the gradient of one image at a time.
pub(super) struct RgbGradients<'a> {
    shape: &'a ConvShape,
    /// In the order (kernel row from the last to the first, vector, kernel column from the last to the first,
    /// channel of the input, lane).
    weights: Aligned,
    /// Vectors of a place in a row: all output channels of four pixels.
    vectors: usize,
}

impl<'a> RgbGradients<'a> {
    /// For a weight in OIHW order; nothing for a shape that is not for us.
    pub(super) fn new(shape: &'a ConvShape, registers: Registers, weight: &[f32]) -> Option<Self> {
        let ConvShape { in_w, in_ch, out_ch, kernel, stride, padding, .. } = *shape;
        let lanes = registers.lanes;
        let ours = (in_ch, kernel, stride, padding) == (CHANNELS, KERNEL, 1, 1)
            && in_w.is_multiple_of(FOUR * NEIGHBORS)
            && lanes.is_multiple_of(FOUR)
            && out_ch.is_multiple_of(lanes);
        ours.then(|| {
            let vectors = out_ch * FOUR / lanes;
            let mut weights = Aligned::zeros(weight.len() * FOUR);
            for (at, to) in weights.chunks_exact_mut(lanes).enumerate() {
                let (c, col) = (at % CHANNELS, at / CHANNELS % KERNEL);
                let (vector, row) = (at / 9 % vectors, at / 9 / vectors);
                for (lane, to) in to.iter_mut().enumerate() {
                    // As four vectors of channels, taken apart lane by lane, hold them.
                    let o = vector / FOUR * lanes + lane / FOUR * FOUR + vector % FOUR;
                    *to = weight[shape.weight_index(o, c, KERNEL - 1 - row, KERNEL - 1 - col)];
                }
            }
            Self { shape, weights, vectors }
        })
    }

    /// Writes into `dx`, or adds to it, the gradient of an image whose output's is `dy`.
    #[inline(always)]
    pub(super) fn image<S: Simd>(&self, simd: S, dy: &[f32], dx: &mut [f32], add: bool) {
        let row = self.places() * self.vectors * S::F32_LANES;
        with_scratch((self.shape.in_h + 2) * row, |rows| {
            simd.vectorize(Image { of: self, dy, row, rows, dx, add });
        });
    }

    /// Places of four pixels in a padded row.
    fn places(&self) -> usize {
        self.shape.in_w / FOUR + 2
    }
}

struct Image<'a> {
    of: &'a RgbGradients<'a>,
    dy: &'a [f32],
    /// Floats in a row of four pixels each.
    row: usize,
    /// The padded gradient of the output, by fours.
    rows: &'a mut [f32],
    dx: &'a mut [f32],
    add: bool,
}

impl WithSimd for Image<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { of, dy, row, rows, dx, add } = self;
        let ConvShape { in_h, in_w, out_ch, .. } = *of.shape;
        rows[..row].fill(0.0);
        rows[(in_h + 1) * row..].fill(0.0);
        let line = in_w * out_ch;
        of.by_fours(simd, &dy[..line], &mut rows[row..2 * row]);
        for (h, dx) in dx.chunks_exact_mut(in_w * CHANNELS).enumerate() {
            // A row is made when it is needed first: then it is in the first-level cache.
            if h + 1 < in_h {
                let to = &mut rows[(h + 2) * row..(h + 3) * row];
                of.by_fours(simd, &dy[(h + 1) * line..(h + 2) * line], to);
            }
            for first in (0..in_w / FOUR).step_by(NEIGHBORS) {
                let sums = of.sums(simd, &rows[h * row..(h + 3) * row], first);
                put(simd, &sums, first, dx, add);
            }
        }
    }
}

impl RgbGradients<'_> {
    /// A row of pixels by fours, with zeros before and after it.
    #[inline(always)]
    fn by_fours<S: Simd>(&self, simd: S, line: &[f32], to: &mut [f32]) {
        let ch = self.shape.out_ch;
        let quarter = line.len() / FOUR;
        let (place, last) = (self.vectors * S::F32_LANES, quarter - ch);
        let (first, rest) = to.split_at_mut(place);
        let (inner, end) = rest.split_at_mut(quarter / ch * place);
        let zeros: &[f32] = &[];
        let [a, b, c, d] = [0, 1, 2, 3];
        let pixel = |n: usize, at: usize| &line[n * quarter + at..][..ch];
        // Of the first place, the first pixel is before the row; of the last place, the last one after it.
        fours(simd, [zeros, pixel(a, last), pixel(b, last), pixel(c, last)], first);
        fours(simd, [pixel(b, 0), pixel(c, 0), pixel(d, 0), zeros], end);
        for (at, to) in (0..quarter).step_by(ch).zip(inner.chunks_exact_mut(place)) {
            fours(simd, [pixel(a, at), pixel(b, at), pixel(c, at), pixel(d, at)], to);
        }
    }

    /// The sums of neighbors from the place `first` on, in the order (neighbor, channel), from three rows.
    #[inline(always)]
    fn sums<S: Simd>(&self, simd: S, rows: &[f32], first: usize) -> [S::f32s; SUMS] {
        let (vectors, lanes) = (self.vectors, S::F32_LANES);
        let row = self.places() * vectors * lanes;
        assert!(rows.len() == KERNEL * row && first + NEIGHBORS + 2 <= self.places());
        assert!(self.weights.len() == KERNEL * vectors * 9 * lanes);
        let mut sums = [simd.splat_f32s(0.0); SUMS];
        for i in 0..KERNEL {
            for vector in 0..vectors {
                // SAFETY: the assertions above bound every index that is formed here.
                unsafe {
                    let x = rows.as_ptr().add(i * row + (first * vectors + vector) * lanes);
                    let w = self.weights.as_ptr().add((i * vectors + vector) * 9 * lanes);
                    unroll!(for place in [0 1 2 3 4 5] {
                        let x = load::<S>(x.add(place * vectors * lanes));
                        unroll!(for j in [0 1 2] {
                            let neighbor = place.wrapping_sub(j);
                            if neighbor < NEIGHBORS {
                                unroll!(for c in [0 1 2] {
                                    let w = load::<S>(w.add((j * CHANNELS + c) * lanes));
                                    let sum = &mut sums[neighbor * CHANNELS + c];
                                    *sum = simd.mul_add_e_f32s(x, w, *sum);
                                });
                            }
                        });
                    });
                }
            }
        }
        sums
    }
}

/// Four pixels, or zeros for an empty one, by quarters of their channels.
#[inline(always)]
fn fours<S: Simd>(simd: S, pixels: [&[f32]; FOUR], to: &mut [f32]) {
    let lanes = S::F32_LANES;
    for (vector, to) in to.chunks_exact_mut(FOUR * lanes).enumerate() {
        let first = vector * lanes;
        let mut channels = [simd.splat_f32s(0.0); FOUR];
        unroll!(for n in [0 1 2 3] {
            if !pixels[n].is_empty() {
                channels[n] = read(simd, &pixels[n][first..first + lanes]);
            }
        });
        let quarters = simd.deinterleave_shfl_f32s(channels);
        unroll!(for k in [0 1 2 3] {
            store(simd, quarters[k], &mut to[k * lanes..(k + 1) * lanes]);
        });
    }
}

/// Adds up the quarters of sums, and writes them where they belong, or adds them.
#[inline(always)]
fn put<S: Simd>(simd: S, sums: &[S::f32s; SUMS], first: usize, dx: &mut [f32], add: bool) {
    let quarter = dx.len() / FOUR;
    for (at, four) in sums.as_chunks::<FOUR>().0.iter().enumerate() {
        let pixels = simd.deinterleave_shfl_f32s(*four);
        unroll!(for n in [0 1 2 3] {
            let pixel = pixels[n];
            let mut quarters = [0.0; MAX_LANES];
            store(simd, pixel, &mut quarters[..S::F32_LANES]);
            let to = &mut dx[n * quarter + first * CHANNELS + at * FOUR..][..FOUR];
            let to = &mut to.as_chunks_mut::<FOUR>().0[0];
            let sum = sum_of_fours(&quarters, S::F32_LANES);
            *to = if add { std::array::from_fn(|i| to[i] + sum[i]) } else { sum };
        });
    }
}

/// The sum of the first `lanes` floats, four by four.
#[inline(always)]
fn sum_of_fours(floats: &[f32; MAX_LANES], lanes: usize) -> [f32; FOUR] {
    let (fours, _) = floats.as_chunks::<FOUR>();
    let sum = |a: [f32; FOUR], b: [f32; FOUR]| std::array::from_fn(|i| a[i] + b[i]);
    match lanes / FOUR {
        4 => sum(sum(fours[0], fours[2]), sum(fours[1], fours[3])),
        2 => sum(fours[0], fours[1]),
        _ => fours[0],
    }
}
