//! The weight's gradient: a sum of patches of the input.
//!
//! A vector that reaches into two lines of the cache costs twice. So the input is copied, once for each
//! column where a line's half can begin, and every patch has a copy in which its rows lie well.
#![allow(unsafe_code, reason = "bounds are checked once per image, not once per product")]

use super::places::Places;
use super::{PooledGradients, ROW};
use crate::kernels::conv::ConvShape;
use crate::kernels::pool::Grid;
use crate::kernels::tile::{load, read, store};
use crate::kernels::unroll::unroll;
use pulp::{Simd, WithSimd};

/// Output channels whose sums are in registers together: enough for an addition not to wait for the last one.
const CHANNELS: usize = 2;

/// Rows of windows that all channels work on before the next: few enough to stay in the first-level cache.
const BAND: usize = 4;

/// How the copies of the input lie: those of a row one after the other, each begins a column further.
#[derive(Debug, Clone, Copy)]
pub(super) struct Copies {
    rows: usize,
    /// Floats in a copy of a row.
    copy: usize,
}

impl Copies {
    pub(super) fn new(shape: &ConvShape) -> Self {
        let rows = shape.in_h + 2 * shape.padding;
        Self { rows, copy: shape.out_w().next_multiple_of(ROW) }
    }

    pub(super) fn len(self) -> usize {
        self.rows * self.row()
    }

    fn row(self) -> usize {
        ROW * self.copy
    }

    pub(super) fn places(self, grid: Grid) -> Places {
        let first = (0..grid.w / 2 * grid.ch).map(|at| {
            let col = at / grid.ch * 2;
            col % ROW * self.copy + col / ROW * ROW
        });
        Places::new(first, self.copy, self.row())
    }

    /// Copies rows of so many floats.
    #[inline(always)]
    fn write<S: Simd>(self, simd: S, x: &[f32], x_row: usize, copies: &mut [f32]) {
        for (row, copies) in copies.chunks_exact_mut(self.row()).enumerate() {
            let x = &x[row * x_row..][..self.copy + ROW];
            for (shift, copy) in copies.chunks_exact_mut(self.copy).enumerate() {
                let vectors = x[shift..].chunks_exact(S::F32_LANES);
                for (to, from) in copy.chunks_exact_mut(S::F32_LANES).zip(vectors) {
                    store(simd, read(simd, from), to);
                }
            }
        }
    }
}

/// An image's part of the weight's gradient.
pub(super) struct Weight<'a> {
    pub of: &'a PooledGradients<'a>,
    /// The padded image.
    pub x: &'a [f32],
    pub dy: &'a [f32],
    pub argmax: &'a [f32],
    pub copies: &'a mut [f32],
    /// As many as `dy` has floats.
    pub places: &'a mut [f32],
    pub sum: &'a mut [f32],
}

impl WithSimd for Weight<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { of, x, dy, argmax, copies, places, sum } = self;
        let PooledGradients { shape, grid, padding, .. } = of;
        of.copies.write(simd, x, padding.row(), copies);
        let row = of.copies.row();
        let windows = grid.w / 2 * grid.ch;
        let last = grid.h.saturating_sub(2) * row + of.of_copies.last;
        assert!(last + (shape.kernel - 1) * row + ROW <= copies.len());
        let bands = dy.chunks(BAND * windows).zip(argmax.chunks(BAND * windows));
        for ((dy, argmax), top) in bands.zip((0..).step_by(2 * BAND)) {
            let places = &mut places[..dy.len()];
            let rows = argmax.chunks_exact(windows).zip(places.chunks_exact_mut(windows));
            for ((argmax, places), top) in rows.zip((top..).step_by(2)) {
                of.of_copies.write(top * row, argmax, places);
            }
            let products = Products { ch: grid.ch, dy, places, x: copies, row };
            match (shape.kernel, ROW / S::F32_LANES) {
                (3, 1) => products.add::<S, 3, 1>(simd, sum),
                (3, 2) => products.add::<S, 3, 2>(simd, sum),
                (3, _) => products.add::<S, 3, 8>(simd, sum),
                (_, 1) => products.add::<S, 5, 1>(simd, sum),
                (_, 2) => products.add::<S, 5, 2>(simd, sum),
                (_, _) => products.add::<S, 5, 8>(simd, sum),
            }
        }
    }
}

struct Products<'a> {
    ch: usize,
    dy: &'a [f32],
    /// Inside `x`, with the whole patch.
    places: &'a [f32],
    x: &'a [f32],
    /// Floats in a row of `x`.
    row: usize,
}

impl Products<'_> {
    /// Adds the products of all maxima with their patches, whose rows are `VECTORS` vectors.
    #[inline(always)]
    fn add<S: Simd, const KERNEL: usize, const VECTORS: usize>(&self, simd: S, sum: &mut [f32]) {
        let whole = self.ch / CHANNELS * CHANNELS;
        for first in (0..whole).step_by(CHANNELS) {
            self.add_of::<S, KERNEL, VECTORS, CHANNELS>(simd, first, sum);
        }
        for first in whole..self.ch {
            self.add_of::<S, KERNEL, VECTORS, 1>(simd, first, sum);
        }
    }

    /// The same for the channels from `first` on.
    #[inline(always)]
    fn add_of<S: Simd, const KERNEL: usize, const VECTORS: usize, const CHANNELS: usize>(
        &self,
        simd: S,
        first: usize,
        sum: &mut [f32],
    ) {
        let Self { ch, dy, places, x, row } = *self;
        assert!(VECTORS * S::F32_LANES == ROW);
        let sum = &mut sum[first * KERNEL * ROW..(first + CHANNELS) * KERNEL * ROW];
        let mut sums = [[[simd.splat_f32s(0.0); VECTORS]; KERNEL]; CHANNELS];
        for (dy, places) in dy.chunks_exact(ch).zip(places.chunks_exact(ch)) {
            let (dy, places) = (&dy[first..first + CHANNELS], &places[first..first + CHANNELS]);
            unroll!(for c in 0..CHANNELS {
                let dy = simd.splat_f32s(dy[c]);
                let place = places[c].to_bits() as usize;
                unroll!(for i in 0..KERNEL {
                    unroll!(for v in 0..VECTORS {
                        let at = place + i * row + v * S::F32_LANES;
                        // SAFETY: the maker of `self` promises a patch at each place.
                        let x = unsafe { load::<S>(x.as_ptr().add(at)) };
                        sums[c][i][v] = simd.mul_add_e_f32s(dy, x, sums[c][i][v]);
                    });
                });
            });
        }
        let mut to = sum.chunks_exact_mut(S::F32_LANES);
        for sum in sums.into_iter().flatten().flatten() {
            let Some(to) = to.next() else { return };
            let sum = simd.add_f32s(read(simd, to), sum);
            store(simd, sum, to);
        }
    }
}
