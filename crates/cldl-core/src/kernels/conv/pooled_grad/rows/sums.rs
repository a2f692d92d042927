//! Sums of rows that lie anywhere, in vector registers.
#![allow(unsafe_code, reason = "bounds are checked once per sum, not once per product")]

use crate::kernels::arch::Registers;
use crate::kernels::sized::run_sized;
use crate::kernels::tiles::tiles;
use crate::kernels::unroll::unroll;
use crate::kernels::vector::{Part, load};
use pulp::{Simd, WithSimd};
use std::ops::Range;

/// Where a row lies, as the bits of a float, and its factor.
pub(super) type Term = [f32; 2];

/// Where a row lies, and which terms are added to it.
#[derive(Debug, Clone)]
pub(super) struct Row {
    pub terms: Range<usize>,
    pub to: usize,
}

/// Adds rows with their factors to rows, in each of some lines:
///
/// `to[s, row.to + v] += Σ_{[place, factor] of row.terms} factor · from[s, place + v]`
///
/// for each `s < lines`, each of the `rows` and `v < len`. A line's stride counts floats.
#[derive(Debug)]
pub(super) struct RowSums<'a> {
    pub rows: &'a [Row],
    pub terms: &'a [Term],
    /// The largest place, or more.
    pub last: usize,
    pub lines: usize,
    /// With what may be read, but not stored, up to a whole vector behind the last row.
    pub from: &'a [f32],
    pub from_s: usize,
    pub to: &'a mut [f32],
    pub to_s: usize,
    pub len: usize,
}

/// The most vectors of a row that are summed together: their sums and a factor are in registers, and what it
/// multiplies comes from memory.
const fn max_vectors<S: Simd>(_width: usize) -> usize {
    if Registers::of::<S>().are_many() { 16 } else { 13 }
}

impl RowSums<'_> {
    #[inline(always)]
    pub(super) fn run<S: Simd>(self, simd: S) {
        let Self { rows, terms, last, lines, from, from_s, to, to_s, len } = self;
        let lanes = S::F32_LANES;
        for (first, vectors) in tiles(len.div_ceil(lanes), max_vectors::<S>(1)) {
            let (first, floats) = (first * lanes, vectors * lanes);
            let sums = RowSums {
                rows,
                terms,
                last,
                lines,
                from: &from[first..],
                from_s,
                to: &mut to[first..],
                to_s,
                len: floats.min(len - first),
            };
            run_sized!(sums, simd, vectors, 1, max_vectors, {
                1: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16;
            });
        }
    }
}

struct Sized<'a, const VECTORS: usize, const WIDTH: usize>(RowSums<'a>);

impl<const VECTORS: usize, const WIDTH: usize> WithSimd for Sized<'_, VECTORS, WIDTH> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let RowSums { rows, terms, last, lines, from, from_s, to, to_s, len } = self.0;
        assert!(0 < lines && len <= VECTORS * S::F32_LANES);
        assert!((lines - 1) * from_s + last + VECTORS * S::F32_LANES <= from.len());
        for line in 0..lines {
            let (from, to) = (&from[line * from_s..], &mut to[line * to_s..]);
            for row in rows {
                let to = &mut to[row.to..][..len];
                let mut total = [simd.splat_f32s(0.0); VECTORS];
                for [place, factor] in &terms[row.terms.clone()] {
                    let factor = simd.splat_f32s(*factor);
                    // SAFETY: the maker of `self` promises `last`, and the assertion above a row behind it.
                    unsafe {
                        let from = from.as_ptr().add(place.to_bits() as usize);
                        unroll!(for v in 0..VECTORS {
                            let from = load::<S>(from.add(v * S::F32_LANES));
                            total[v] = simd.mul_add_e_f32s(factor, from, total[v]);
                        });
                    }
                }
                let to = to.as_mut_ptr();
                unroll!(for v in 0..VECTORS {
                    let part = Part::new(simd, len, v);
                    // SAFETY: `to` has `len` floats, and the last vector is the only one that may have fewer.
                    unsafe { part.put(to, simd.add_f32s(part.get(to), total[v])) };
                });
            }
        }
    }
}
