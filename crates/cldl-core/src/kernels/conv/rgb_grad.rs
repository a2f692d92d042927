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
use crate::kernels::unroll::unroll;
use crate::kernels::vector::{MAX_LANES, from_lanes, lanes_of, load, read, store};
use pulp::{Simd, WithSimd};
use std::ops::Range;

/// Channels of the input.
const CHANNELS: usize = 3;
/// Height and width of the kernel.
const KERNEL: usize = 3;
/// Pixels in a vector, and quarters of the channels.
const FOUR: usize = 4;
/// Neighboring places whose sums are in registers together, with a vector of weights for each channel.
const fn neighbors(registers: Registers) -> usize {
    if registers.are_many() { 8 } else { 4 }
}

/// Computes the gradient of one image at a time.
pub(super) struct RgbGradients<'a> {
    shape: &'a ConvShape,
    /// In the order (kernel row from the last to the first, vector, kernel column from the last to the first,
    /// channel of the input, lane).
    weights: Aligned,
    /// Vectors of a place in a row: all output channels of four pixels.
    vectors: usize,
    /// Where the terms of a sum lie, counted from its place, in the order (kernel row, vector, kernel column):
    /// for each place that the first of three rows may have. One list, for one loop: of loops in each other
    /// the compiler moves sums to memory and back.
    terms: [Vec<usize>; KERNEL],
    /// Which pixel a lane belongs to.
    pixels: Vec<f32>,
}

impl<'a> RgbGradients<'a> {
    /// For a weight in OIHW order; nothing for a shape that is not for us.
    pub(super) fn new(shape: &'a ConvShape, registers: Registers, weight: &[f32]) -> Option<Self> {
        let ConvShape { in_w, in_ch, out_ch, kernel, stride, padding, .. } = *shape;
        let lanes = registers.lanes;
        let ours = (in_ch, kernel, stride, padding) == (CHANNELS, KERNEL, 1, 1)
            && in_w.is_multiple_of(FOUR * neighbors(registers))
            && lanes.is_multiple_of(FOUR)
            && out_ch.is_multiple_of(lanes);
        ours.then(|| {
            let vectors = out_ch * FOUR / lanes;
            let mut weights = Aligned::zeros(weight.len() * FOUR);
            for (at, to) in weights.chunks_exact_mut(lanes).enumerate() {
                let (c, col) = (at % CHANNELS, at / CHANNELS % KERNEL);
                let (vector, row) = (at / 9 % vectors, at / 9 / vectors);
                // As four vectors of channels, taken apart lane by lane, hold them.
                let first = vector / FOUR * lanes + vector % FOUR;
                for (of_four, to) in to.as_chunks_mut::<FOUR>().0.iter_mut().enumerate() {
                    let o = first + of_four * FOUR;
                    *to = [weight[shape.weight_index(o, c, KERNEL - 1 - row, KERNEL - 1 - col)];
                        FOUR];
                }
            }
            let places = in_w / FOUR + 2;
            let terms = [0, 1, 2].map(|top| {
                let place_of = |term: usize| {
                    let (j, vector, i) =
                        (term % KERNEL, term / KERNEL % vectors, term / KERNEL / vectors);
                    (((top + i) % KERNEL * places + j) * vectors + vector) * lanes
                };
                (0..KERNEL * vectors * KERNEL).map(place_of).collect()
            });
            let pixels = (0..lanes).map(|lane| (lane % FOUR) as f32).collect();
            Self { shape, weights, vectors, terms, pixels }
        })
    }

    /// Writes into `dx`, or adds to it, the gradient of an image whose output's is `dy`.
    #[inline(always)]
    pub(super) fn image<S: Simd>(&self, simd: S, dy: &[f32], dx: &mut [f32], add: bool) {
        let row = self.places() * self.vectors * S::F32_LANES;
        with_scratch(KERNEL * row, |rows| {
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
    /// Three rows of the padded gradient of the output, by fours, the `r`-th at `r % 3`: they stay in the
    /// first-level cache.
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
        let line = in_w * out_ch;
        of.by_fours(simd, &dy[..line], &mut rows[row..2 * row]);
        for (h, dx) in dx.chunks_exact_mut(in_w * CHANNELS).enumerate() {
            if let Some(line) = dy[line..].chunks_exact(line).nth(h) {
                of.by_fours(simd, line, &mut rows[(h + 2) % KERNEL * row..][..row]);
            }
            // The rows above and below the image are zero.
            let reached = usize::from(h == 0)..KERNEL - usize::from(h + 1 == in_h);
            if const { neighbors(Registers::of::<S>()) == 8 } {
                of.row::<S, 8>(simd, rows, h % KERNEL, reached, dx, add);
            } else {
                of.row::<S, 4>(simd, rows, h % KERNEL, reached, dx, add);
            }
        }
    }
}

impl RgbGradients<'_> {
    /// A row of pixels by fours, with zeros before and after it.
    #[inline(always)]
    fn by_fours<S: Simd>(&self, simd: S, line: &[f32], to: &mut [f32]) {
        let (lanes, quarter) = (S::F32_LANES, line.len() / FOUR);
        let place = self.vectors * lanes;
        let (first, rest) = to.split_at_mut(place);
        let (inner, end) = rest.split_at_mut(FOUR * quarter);
        assert!(quarter.is_multiple_of(lanes) && end.len() == place && place <= inner.len());
        for at in (0..quarter).step_by(lanes) {
            let mut channels = [simd.splat_f32s(0.0); FOUR];
            // SAFETY: a vector at `at` ends inside a quarter, and four times as much inside `inner`.
            unsafe {
                unroll!(for n in [0 1 2 3] {
                    channels[n] = load::<S>(line.as_ptr().add(n * quarter + at));
                });
                let quarters = simd.deinterleave_shfl_f32s(channels);
                let to = inner.as_mut_ptr().add(FOUR * at).cast::<S::f32s>();
                unroll!(for k in [0 1 2 3] {
                    to.add(k).write_unaligned(quarters[k]);
                });
            }
        }
        // The neighbors before the first place are the pixels of the last one, each a quarter further, and
        // those after the last place the pixels of the first one, each a quarter back.
        let zero = simd.splat_f32s(0.0);
        let is_first = simd.equal_f32s(read(simd, &self.pixels[..lanes]), zero);
        let is_last = simd.equal_f32s(read(simd, &self.pixels[..lanes]), simd.splat_f32s(3.0));
        let last = inner.len() - place;
        for at in (0..place).step_by(lanes) {
            let before = simd.rotate_right_f32s(read(simd, &inner[last + at..][..lanes]), 1);
            store(simd, simd.select_f32s(is_first, zero, before), &mut first[at..at + lanes]);
            let after = simd.rotate_left_f32s(read(simd, &inner[at..at + lanes]), 1);
            store(simd, simd.select_f32s(is_last, zero, after), &mut end[at..at + lanes]);
        }
    }

    /// A row of `dx`, from three rows, the first of them at `top`, as far as the kernel rows that are `reached`.
    #[inline(always)]
    fn row<S: Simd, const N: usize>(
        &self,
        simd: S,
        rows: &[f32],
        top: usize,
        reached: Range<usize>,
        dx: &mut [f32],
        add: bool,
    ) {
        let len = KERNEL * self.vectors;
        let terms = &self.terms[top][reached.start * len..reached.end * len];
        let weights = &self.weights[reached.start * len * CHANNELS * S::F32_LANES..];
        for first in (0..self.shape.in_w / FOUR).step_by(N) {
            let sums = self.sums::<S, N>(simd, rows, terms, weights, first);
            put(simd, &sums, first, dx, add);
        }
    }

    /// The sums of neighbors from the place `first` on, for each channel, over `terms`.
    #[inline(always)]
    fn sums<S: Simd, const N: usize>(
        &self,
        simd: S,
        rows: &[f32],
        terms: &[usize],
        weights: &[f32],
        first: usize,
    ) -> [[S::f32s; CHANNELS]; N] {
        let (place, lanes) = (self.vectors * S::F32_LANES, S::F32_LANES);
        assert!(rows.len() == KERNEL * self.places() * place && first + N + 2 <= self.places());
        let mut sums = [[simd.splat_f32s(0.0); CHANNELS]; N];
        for (term, weights) in terms.iter().zip(weights.chunks_exact(CHANNELS * lanes)) {
            // SAFETY: a term is a vector of one of the places `0..3` of a row, so that with the assertion
            // above the last neighbor's is inside the row too; a chunk has a vector for each channel.
            unsafe {
                let x = rows.as_ptr().add(term + first * place);
                let mut w = [simd.splat_f32s(0.0); CHANNELS];
                unroll!(for c in [0 1 2] {
                    w[c] = load::<S>(weights.as_ptr().add(c * lanes));
                });
                unroll!(for n in 0..N {
                    let x = load::<S>(x.add(n * place));
                    unroll!(for c in [0 1 2] {
                        sums[n][c] = simd.mul_add_e_f32s(x, w[c], sums[n][c]);
                    });
                });
            }
        }
        sums
    }
}

/// Adds up the quarters of sums, and writes them where they belong, or adds them.
#[inline(always)]
fn put<S: Simd, const N: usize>(
    simd: S,
    sums: &[[S::f32s; CHANNELS]; N],
    first: usize,
    dx: &mut [f32],
    add: bool,
) {
    let quarter = dx.len() / FOUR;
    unroll!(for at in [0 1 2 3 4 5] {
        if at * FOUR < N * CHANNELS {
            let mut four = [simd.splat_f32s(0.0); FOUR];
            unroll!(for k in [0 1 2 3] {
                let sum = at * FOUR + k;
                four[k] = sums[sum / CHANNELS][sum % CHANNELS];
            });
            let pixels = of_pixels(simd, four);
            unroll!(for n in [0 1 2 3] {
                let to = &mut dx[n * quarter + first * CHANNELS + at * FOUR..][..FOUR];
                let to = &mut to.as_chunks_mut::<FOUR>().0[0];
                let sum = &pixels[n * FOUR..][..FOUR];
                *to = std::array::from_fn(|i| if add { to[i] + sum[i] } else { sum[i] });
            });
        }
    });
}

/// Of each pixel the four sums: their quarters, which lie four lanes apart, added up.
#[inline(always)]
fn of_pixels<S: Simd>(simd: S, four: [S::f32s; FOUR]) -> [f32; MAX_LANES] {
    let by_pixel = |at: usize| at % FOUR * FOUR + at / FOUR;
    let [a, b, c, d] = four;
    match S::F32_LANES {
        16 => {
            // Of each sum the first two quarters plus the last two, and then those two.
            let (ab, cd) = (halves(simd, a, b, 8), halves(simd, c, d, 8));
            let sums = lanes_of::<S>(halves(simd, ab, cd, 4));
            std::array::from_fn(|at| sums[by_pixel(at)])
        }
        8 => {
            let (ab, cd) = (halves(simd, a, b, 4), halves(simd, c, d, 4));
            let (ab, cd) = (lanes_of::<S>(ab), lanes_of::<S>(cd));
            let sums = |at: usize| if at < 8 { ab[at] } else { cd[at - 8] };
            std::array::from_fn(|at| sums(by_pixel(at)))
        }
        _ => {
            let four = four.map(lanes_of::<S>);
            std::array::from_fn(|at| four[at % FOUR][at / FOUR])
        }
    }
}

/// The first of every two `parts`, so many lanes long, plus the second: those of `a`, and then those of `b`.
#[inline(always)]
fn halves<S: Simd>(simd: S, a: S::f32s, b: S::f32s, part: usize) -> S::f32s {
    let (a, b) = (lanes_of::<S>(a), lanes_of::<S>(b));
    let every_second = |which: usize| {
        from_lanes::<S>(|lane| {
            let at = 2 * (lane / part * part) + lane % part + which * part;
            if at < S::F32_LANES { a[at] } else { b[at - S::F32_LANES] }
        })
    };
    simd.add_f32s(every_second(0), every_second(1))
}
