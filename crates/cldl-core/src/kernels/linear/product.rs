//! Gradients: rows of one factor, weighted by numbers of the other.

use super::TASK;
use crate::kernels::arch::Registers;
use crate::kernels::prefetch::Ahead;
use crate::kernels::scratch::with_scratch;
use crate::kernels::tile::{MAX_WIDTH, Start, Tile, max_height, max_width};
use crate::kernels::tiles::{equal_tiles, tiles};
use crate::kernels::turn::Turn;
use crate::kernels::vector::MAX_LANES;
use pulp::{Simd, WithSimd};
use rayon::prelude::*;

/// `c[i, j] = Σ_l a[l, i] · b[l, j]`, where `b` and `c` are rows of so many columns, and the strides of `a`
/// are named by their index.
pub(super) struct Product<'a> {
    pub a: &'a [f32],
    pub a_i: usize,
    pub a_l: usize,
    pub b: &'a [f32],
    pub c: &'a mut [f32],
    pub columns: usize,
}

/// Rows of `b` whose terms a sum gets in a go: those of a tile stay in the first-level cache.
const BLOCK: usize = 128;

impl WithSimd for Product<'_> {
    type Output = ();

    fn with_simd<S: Simd>(self, simd: S) {
        let Self { a, a_i, a_l, b, c, columns } = self;
        if b.is_empty() {
            return c.fill(0.0);
        }
        c.par_chunks_mut(TASK * columns).enumerate().for_each(|(task, c)| {
            let a = &a[task * TASK * a_i..];
            for (first, rows) in tiles(b.len() / columns, BLOCK) {
                let (a, b) = (&a[first * a_l..], &b[first * columns..(first + rows) * columns]);
                let resumes = 0 < first;
                with_scratch(rows * MAX_WIDTH * S::F32_LANES, |last| {
                    simd.vectorize(Terms { a, a_i, a_l, b, c: &mut *c, columns, resumes, last });
                });
            }
        });
    }
}

/// The terms of some rows of `b`, for some rows of `c`.
struct Terms<'a> {
    a: &'a [f32],
    a_i: usize,
    a_l: usize,
    b: &'a [f32],
    c: &'a mut [f32],
    columns: usize,
    /// Whether `c` holds the sum of terms before.
    resumes: bool,
    /// For the last columns of `b`, filled up to whole vectors.
    last: &'a mut [f32],
}

impl WithSimd for Terms<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { a, a_i, a_l, b, c, columns, resumes, last } = self;
        let (zeros, len) = ([0.0; MAX_WIDTH * MAX_LANES], b.len() / columns);
        let max_width = max_width(Registers::of::<S>());
        for (vector, width) in tiles(columns.div_ceil(S::F32_LANES), max_width) {
            let (column, floats) = (vector * S::F32_LANES, width * S::F32_LANES);
            let channels = floats.min(columns - column);
            let (mut b, mut b_l) = (&b[column..], columns);
            if channels < floats {
                // The last row has no whole vectors there.
                last.fill(0.0);
                let rows = b.chunks(columns).zip(last.chunks_exact_mut(floats));
                rows.for_each(|(row, to)| to[..channels].copy_from_slice(&row[..channels]));
                (b, b_l) = (&*last, floats);
            }
            for (i, height, count) in equal_tiles(c.len() / columns, max_height::<S>(width)) {
                let tile = Tile {
                    lines: 1,
                    count,
                    rows: 1,
                    len,
                    a: &a[i * a_i..],
                    a_s: 0,
                    a_t: height * a_i,
                    a_r: 0,
                    a_l,
                    a_i,
                    b,
                    b_r: 0,
                    b_l,
                    start: if resumes { Start::Resume } else { Start::With(&zeros) },
                    c: &mut c[i * columns + column..],
                    c_s: 0,
                    c_t: height * columns,
                    c_i: columns,
                    turn: Turn::NONE,
                    channels,
                    ahead: Ahead::NOTHING,
                };
                tile.run(simd, height, width);
            }
        }
    }
}
