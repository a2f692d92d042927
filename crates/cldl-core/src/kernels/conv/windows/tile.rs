//! The inner loop: the four sums of each of some windows, in registers.
#![allow(unsafe_code, reason = "bounds are checked once per tile, not once per multiplication")]

use super::maxima::Maxima;
use super::{Block, Source};
use crate::kernels::arch::Registers;
use crate::kernels::tile::{load, read};
use crate::kernels::unroll::unroll;
use pulp::{Simd, WithSimd};

/// Vectors of windows whose four sums each fit into the registers of `S`, with four vectors of weights and
/// one of pixels.
pub(super) const fn max_count<S: Simd>() -> usize {
    if Registers::of::<S>().are_many() { 4 } else { 2 }
}

/// Outputs of a window: of two rows and two columns.
pub(super) const FOUR: usize = 4;

/// Neighboring windows, from the one at (`row`, `col`) on.
pub(super) struct Tile<'a> {
    pub block: &'a Block,
    pub source: Source<'a>,
    pub row: usize,
    pub col: usize,
}

impl<'a> Tile<'a> {
    /// Computes `count` vectors of windows; a window and its neighbors have `READ = KERNEL + 1` columns.
    #[inline(always)]
    pub(super) fn run<S: Simd, const KERNEL: usize, const READ: usize>(
        self,
        simd: S,
        count: usize,
        out: &mut Maxima<'a>,
    ) {
        macro_rules! sized {
            ($($count:literal)*) => {
                match (count, 1 < self.block.group) {
                    $(
                        ($count, false) => {
                            simd.vectorize(Sized::<KERNEL, READ, $count, false>(self, out));
                        }
                        ($count, true) => {
                            simd.vectorize(Sized::<KERNEL, READ, $count, true>(self, out));
                        }
                    )*
                    (count, _) => unreachable!("no tile of {count}"),
                }
            };
        }
        sized!(1 2 3 4);
    }
}

/// `COUNT` vectors of windows, several windows each if the image is `SPREAD`.
struct Sized<'a, 'b, const KERNEL: usize, const READ: usize, const COUNT: usize, const SPREAD: bool>(
    Tile<'a>,
    &'b mut Maxima<'a>,
);

impl<const KERNEL: usize, const READ: usize, const COUNT: usize, const SPREAD: bool> WithSimd
    for Sized<'_, '_, KERNEL, READ, COUNT, SPREAD>
{
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self(tile, out) = self;
        let Tile { block, source: Source { planes, row, pixel }, row: top, col } = tile;
        let lanes = S::F32_LANES;
        let step = if SPREAD { block.group * pixel } else { 2 };
        assert!(READ == KERNEL + 1 && (SPREAD || pixel == 2));
        assert!(KERNEL * KERNEL * lanes <= block.weights.len() && lanes <= block.bias.len());
        for (plane, last) in planes.iter().zip([KERNEL / 2, (KERNEL - 1) / 2]) {
            let at = (2 * top + KERNEL) * row + (col + last) * pixel + (COUNT - 1) * step;
            assert!(at + if SPREAD { lanes } else { 1 } <= plane.len());
        }
        let bias =
            if out.is_tangent { simd.splat_f32s(0.0) } else { read(simd, &block.bias[..lanes]) };
        let mut sums = [[bias; FOUR]; COUNT];
        let weights = block.weights.as_ptr();
        for r in 0..READ {
            let at = (2 * top + r) * row + col * pixel;
            // SAFETY: the assertions above bound every index that is formed here: `r` and the column are
            // at most `KERNEL`, and a row of weights is read only where there is one.
            unsafe {
                let from = planes.map(|plane| plane.as_ptr().add(at));
                let row = Row { from, pixel, step };
                let upper = weights.wrapping_add(r * KERNEL * lanes);
                let lower = weights.wrapping_sub(KERNEL * lanes).wrapping_add(r * KERNEL * lanes);
                if r == 0 {
                    row.add::<S, KERNEL, READ, COUNT, SPREAD, true, false>(
                        simd, upper, lower, &mut sums,
                    );
                } else if r < KERNEL {
                    row.add::<S, KERNEL, READ, COUNT, SPREAD, true, true>(
                        simd, upper, lower, &mut sums,
                    );
                } else {
                    row.add::<S, KERNEL, READ, COUNT, SPREAD, false, true>(
                        simd, upper, lower, &mut sums,
                    );
                }
            }
        }
        unroll!(for v in 0..COUNT {
            out.put(simd, v, sums[v]);
        });
    }
}

/// A row of pixels: those of even and of odd columns.
struct Row {
    from: [*const f32; 2],
    pixel: usize,
    step: usize,
}

impl Row {
    /// Adds the products with a row of weights: `upper` for the upper outputs of the windows, if `UPPER`,
    /// and `lower` for the lower ones, if `LOWER`.
    #[inline(always)]
    unsafe fn add<
        S: Simd,
        const KERNEL: usize,
        const READ: usize,
        const COUNT: usize,
        const SPREAD: bool,
        const UPPER: bool,
        const LOWER: bool,
    >(
        &self,
        simd: S,
        upper: *const f32,
        lower: *const f32,
        sums: &mut [[S::f32s; FOUR]; COUNT],
    ) {
        // SAFETY: the caller promises the pixels of all columns and the rows of weights that are asked for.
        unsafe {
            unroll!(for c in 0..READ {
                let is_used =
                    [UPPER && c < KERNEL, UPPER && 0 < c, LOWER && c < KERNEL, LOWER && 0 < c];
                let mut w = [simd.splat_f32s(0.0); FOUR];
                unroll!(for k in [0 1 2 3] {
                    if is_used[k] {
                        let weights = if k < 2 { upper } else { lower };
                        w[k] = load::<S>(weights.add(c.wrapping_sub(k % 2) * S::F32_LANES));
                    }
                });
                let from = self.from[c % 2].add(c / 2 * self.pixel);
                unroll!(for v in 0..COUNT {
                    let from = from.add(v * self.step);
                    let x = if SPREAD { load::<S>(from) } else { simd.splat_f32s(*from) };
                    unroll!(for k in [0 1 2 3] {
                        if is_used[k] {
                            sums[v][k] = simd.mul_add_e_f32s(x, w[k], sums[v][k]);
                        }
                    });
                });
            });
        }
    }
}
