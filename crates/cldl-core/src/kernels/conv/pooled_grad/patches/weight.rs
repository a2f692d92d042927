//! The weight's gradient: a sum of patches of the input.
//!
//! A vector that reaches into two lines of the cache costs twice. So the input is copied in strips, one for
//! each column where a patch can begin, and in a strip the rows of a patch lie one after the other. Where a
//! vector holds two of them, a strip has a second half for patches that begin with an odd row.
#![allow(unsafe_code, reason = "bounds are checked once per image, not once per product")]

use super::{PatchGradients, ROW};
use crate::kernels::conv::ConvShape;
use crate::kernels::conv::pooled_grad::places::Places;
use crate::kernels::pool::Grid;
use crate::kernels::unroll::unroll;
use crate::kernels::vector::{load, read, store};
use pulp::{Simd, WithSimd};

/// Output channels whose sums are in registers together: enough for an addition not to wait for the last one.
const fn channels<S: Simd>() -> usize {
    if ROW < S::F32_LANES { 4 } else { 2 }
}

/// Rows of windows that all channels work on before the next: few enough to stay in the first-level cache.
const BAND: usize = 4;

/// How the strips of the input lie.
#[derive(Debug, Clone, Copy)]
pub(super) struct Strips {
    count: usize,
    /// Two where a vector holds two rows: in the second all lies a row further.
    halves: usize,
    /// Floats of a half: the rows of a band's patches, and one more.
    half: usize,
}

impl Strips {
    pub(super) fn new(shape: &ConvShape, lanes: usize) -> Self {
        let rows = (2 * BAND + shape.kernel).next_multiple_of(2);
        Self { count: shape.out_w(), halves: if ROW < lanes { 2 } else { 1 }, half: rows * ROW }
    }

    pub(super) fn len(self) -> usize {
        self.count * self.strip()
    }

    fn strip(self) -> usize {
        self.halves * self.half
    }

    pub(super) fn places(self, grid: Grid) -> Places {
        let first = (0..grid.w / 2 * grid.ch).map(|at| at / grid.ch * 2 * self.strip());
        // A row below, and in the second half once more.
        let below = if self.halves == 2 { self.half + 2 * ROW } else { ROW };
        Places::new(first, self.strip(), below)
    }

    /// Copies `count` rows of so many floats. What a strip has past the end is left as it is: no patch needs it.
    #[inline(always)]
    fn write<const HALVES: usize>(self, x: &[f32], width: usize, count: usize, strips: &mut [f32]) {
        assert!(HALVES == self.halves && (count + HALVES) * ROW <= self.half + ROW);
        for (column, strip) in strips.chunks_exact_mut(HALVES * self.half).enumerate() {
            let x = &x[column..];
            let mut whole = count;
            while 0 < whole && x.len() < (whole - 1) * width + ROW {
                whole -= 1;
            }
            for row in 0..whole {
                // SAFETY: `whole` bounds the row in `x`, the assertion above in each half of the strip.
                unsafe {
                    let from = x.as_ptr().add(row * width).cast::<[f32; ROW]>().read();
                    for half in 0..HALVES {
                        let to = strip.as_mut_ptr().add(half * (self.half + ROW) + row * ROW);
                        to.cast::<[f32; ROW]>().write(from);
                    }
                }
            }
            for row in whole..count {
                let from = &x[(row * width).min(x.len())..];
                for half in 0..HALVES {
                    let to = &mut strip[half * (self.half + ROW) + row * ROW..];
                    to[..from.len()].copy_from_slice(from);
                }
            }
        }
    }
}

/// An image's part of the weight's gradient.
pub(super) struct Weight<'a> {
    pub of: &'a PatchGradients<'a>,
    /// The padded image.
    pub x: &'a [f32],
    pub dy: &'a [f32],
    pub argmax: &'a [f32],
    pub strips: &'a mut [f32],
    /// As many as `dy` has floats.
    pub places: &'a mut [f32],
    pub sum: &'a mut [f32],
}

impl WithSimd for Weight<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { of, x, dy, argmax, strips, places, sum } = self;
        let PatchGradients { shape, grid, padding, .. } = of;
        let windows = grid.w / 2 * grid.ch;
        let last = 2 * (BAND - 1) * ROW + of.of_strips.last;
        assert!(last + (shape.kernel + 1) * ROW <= strips.len());
        let bands = dy.chunks(BAND * windows).zip(argmax.chunks(BAND * windows));
        for (band, (dy, argmax)) in bands.enumerate() {
            let (x, width) = (&x[band * 2 * BAND * padding.row()..], padding.row());
            let count = 2 * (dy.len() / windows) - 1 + shape.kernel;
            match of.strips.halves {
                2 => of.strips.write::<2>(x, width, count, strips),
                _ => of.strips.write::<1>(x, width, count, strips),
            }
            let places = &mut places[..dy.len()];
            let rows = argmax.chunks_exact(windows).zip(places.chunks_exact_mut(windows));
            for (row, (argmax, places)) in rows.enumerate() {
                of.of_strips.write(2 * row * ROW, argmax, places);
            }
            let products = Products { ch: grid.ch, dy, places, strips };
            match (shape.kernel, S::F32_LANES) {
                (3, 16) => products.add::<S, 2, 1>(simd, sum),
                (3, 8) => products.add::<S, 3, 1>(simd, sum),
                (3, 4) => products.add::<S, 3, 2>(simd, sum),
                (3, _) => products.add::<S, 3, 8>(simd, sum),
                (_, 16) => products.add::<S, 3, 1>(simd, sum),
                (_, 8) => products.add::<S, 5, 1>(simd, sum),
                (_, 4) => products.add::<S, 5, 2>(simd, sum),
                (_, _) => products.add::<S, 5, 8>(simd, sum),
            }
        }
    }
}

struct Products<'a> {
    ch: usize,
    dy: &'a [f32],
    /// Inside the strips, with the whole patch.
    places: &'a [f32],
    strips: &'a [f32],
}

impl Products<'_> {
    /// Adds the products of all maxima with their patches, which are `STEPS` times `VECTORS` vectors.
    #[inline(always)]
    fn add<S: Simd, const STEPS: usize, const VECTORS: usize>(&self, simd: S, sum: &mut [f32]) {
        let patch = sum.len() / self.ch;
        let mut first = 0;
        for sum in sum.chunks_mut(channels::<S>() * patch) {
            match sum.len() / patch {
                4 => self.add_of::<S, STEPS, VECTORS, 4>(simd, first, sum),
                2 => self.add_of::<S, STEPS, VECTORS, 2>(simd, first, sum),
                _ => {
                    for (c, sum) in sum.chunks_exact_mut(patch).enumerate() {
                        self.add_of::<S, STEPS, VECTORS, 1>(simd, first + c, sum);
                    }
                }
            }
            first += channels::<S>();
        }
    }

    /// The same for the channels from `first` on, to whom `sum` belongs.
    #[inline(always)]
    fn add_of<S: Simd, const STEPS: usize, const VECTORS: usize, const CHANNELS: usize>(
        &self,
        simd: S,
        first: usize,
        sum: &mut [f32],
    ) {
        let Self { ch, dy, places, strips } = *self;
        let mut sums = [[[simd.splat_f32s(0.0); VECTORS]; STEPS]; CHANNELS];
        for (dy, places) in dy.chunks_exact(ch).zip(places.chunks_exact(ch)) {
            let (dy, places) = (&dy[first..first + CHANNELS], &places[first..first + CHANNELS]);
            unroll!(for c in 0..CHANNELS {
                let dy = simd.splat_f32s(dy[c]);
                let place = places[c].to_bits() as usize;
                unroll!(for i in 0..STEPS {
                    unroll!(for v in 0..VECTORS {
                        let at = place + (i * VECTORS + v) * S::F32_LANES;
                        // SAFETY: the maker of `self` promises a patch at each place.
                        let x = unsafe { load::<S>(strips.as_ptr().add(at)) };
                        sums[c][i][v] = simd.mul_add_e_f32s(dy, x, sums[c][i][v]);
                    });
                });
            });
        }
        for (sums, sum) in sums.into_iter().zip(sum.chunks_exact_mut(sum.len() / CHANNELS)) {
            for (term, sum) in sums.into_iter().flatten().zip(sum.chunks_exact_mut(S::F32_LANES)) {
                store(simd, simd.add_f32s(read(simd, sum), term), sum);
            }
        }
    }
}
