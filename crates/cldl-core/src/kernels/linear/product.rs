//! Gradients: rows of one factor, weighted by numbers of the other.

use super::TASK;
use crate::kernels::scratch::with_scratch;
use crate::kernels::tile::{MAX_LANES, MAX_WIDTH, Tile, max_height, read, store, tiles};
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

impl WithSimd for Product<'_> {
    type Output = ();

    fn with_simd<S: Simd>(self, simd: S) {
        let Self { a, a_i, a_l, b, c, columns } = self;
        c.par_chunks_mut(TASK * columns).enumerate().for_each(|(task, c)| {
            let a = &a[task * TASK * a_i..];
            for (vector, width) in tiles(columns.div_ceil(S::F32_LANES), max_width::<S>()) {
                let first = vector * S::F32_LANES;
                let floats = (columns - first).min(width * S::F32_LANES);
                with_scratch(b.len() / columns * width * S::F32_LANES, |packed| {
                    let columns = Columns { all: columns, first, floats, width };
                    simd.vectorize(Block { a, a_i, a_l, b, columns, packed, c });
                });
            }
        });
    }
}

/// The widest tile that needs no more than two reads for each of its multiplications.
const fn max_width<S: Simd>() -> usize {
    if 32 <= S::REGISTER_COUNT { 3 } else { 2 }
}

/// Neighboring columns: so many floats in so many vectors.
#[derive(Clone, Copy)]
struct Columns {
    all: usize,
    first: usize,
    floats: usize,
    width: usize,
}

/// Some columns of `c`.
struct Block<'a> {
    a: &'a [f32],
    a_i: usize,
    a_l: usize,
    b: &'a [f32],
    columns: Columns,
    /// Those columns of `b`, one row after the other: else each row would lie in another page.
    packed: &'a mut [f32],
    c: &'a mut [f32],
}

impl WithSimd for Block<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { a, a_i, a_l, b, columns, packed, c } = self;
        let Columns { all, first, floats, width } = columns;
        let row = width * S::F32_LANES;
        for (to, from) in packed.chunks_exact_mut(row).zip(b.chunks_exact(all)) {
            let from = from[first..first + floats].chunks(S::F32_LANES);
            for (to, from) in to.chunks_exact_mut(S::F32_LANES).zip(from) {
                store(simd, read(simd, from), to);
            }
        }
        let zeros = [0.0; MAX_WIDTH * MAX_LANES];
        for (i, height) in tiles(c.len() / all, max_height::<S>(width)) {
            let tile = Tile {
                rows: 1,
                len: packed.len() / row,
                a: &a[i * a_i..],
                a_r: 0,
                a_l,
                a_i,
                b: packed,
                b_r: 0,
                b_l: row,
                init: Some(&zeros),
                c: &mut c[i * all + first..],
                c_i: all,
                channels: floats,
            };
            tile.run(simd, height, width);
        }
    }
}
