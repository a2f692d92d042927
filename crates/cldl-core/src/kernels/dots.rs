//! The inner loop for outputs of a few channels: vectors run along the terms of the sums.
#![allow(unsafe_code, reason = "bounds are checked once per tile, not once per multiplication")]

use super::sized::run_sized;
use super::unroll::unroll;
use pulp::{MemMask, Simd, WithSimd};

/// A block of dot products, `height` runs of `a` by `width` runs of `b`:
///
/// `c[i, v] = init[v] + Σ_{r < rows} Σ_{l < len} a[r, i, l] · b[r, l, v]`
///
/// As in [`super::tile::Tile`], but a vector holds neighboring terms `l`, not neighboring outputs
/// `v`: where a layer has 1 or 3 channels, or 2 more than a multiple of 16, hardly a lane is idle.
#[derive(Debug)]
pub(super) struct Dots<'a> {
    pub rows: usize,
    pub len: usize,
    pub a: &'a [f32],
    pub a_r: usize,
    pub a_i: usize,
    /// In the order (row, vector of terms, output, lane), zeros after the last term of a row.
    pub b: &'a [f32],
    pub init: &'a [f32],
    pub c: &'a mut [f32],
    pub c_i: usize,
}

/// Outputs `v` in the widest block.
pub(super) const MAX_WIDTH: usize = 4;

/// Runs in the highest block whose accumulators fit into the registers of `S`.
pub(super) const fn max_height<S: Simd>(width: usize) -> usize {
    match (S::REGISTER_COUNT, width) {
        (32.., 1) => 12,
        (32.., 2) => 8,
        (32.., _) | (_, 1) => 6,
        (_, 2) => 4,
        _ => 2,
    }
}

impl Dots<'_> {
    /// Computes the block of `height` by `width`, at most `max_height` by [`MAX_WIDTH`].
    #[inline(always)]
    pub(super) fn run<S: Simd>(self, simd: S, height: usize, width: usize) {
        run_sized!(self, simd, height, width, max_height, {
            1: 1 2 3 4 5 6 7 8 9 10 11 12;
            2: 1 2 3 4 5 6 7 8;
            3: 1 2 3 4 5 6;
            4: 1 2 3 4 5 6;
        });
    }
}

struct Sized<'a, const HEIGHT: usize, const WIDTH: usize>(Dots<'a>);

impl<const HEIGHT: usize, const WIDTH: usize> WithSimd for Sized<'_, HEIGHT, WIDTH> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Dots { rows, len, a, a_r, a_i, b, init, c, c_i } = self.0;
        let lanes = S::F32_LANES;
        let (vectors, rest) = (len / lanes, len % lanes);
        assert_eq!(init.len(), WIDTH);
        assert!((HEIGHT - 1) * c_i + WIDTH <= c.len());
        assert!(rows * len.next_multiple_of(lanes) * WIDTH <= b.len());
        if 0 < rows {
            assert!((rows - 1) * a_r + (HEIGHT - 1) * a_i + len <= a.len());
        }
        // Lanes past the end are not read: what lies there may be NaN, which times 0 is not 0.
        let mask = MemMask::from(simd.mask_between_m32s(0, rest as u32).mask());
        let mut sums = [[simd.splat_f32s(0.0); WIDTH]; HEIGHT];
        // SAFETY: the assertions above bound every index that the loops form.
        unsafe {
            let mut b = b.as_ptr();
            for row in 0..rows {
                let mut a = a.as_ptr().add(row * a_r);
                for _ in 0..vectors {
                    add(simd, &mut sums, b, |i| a.add(i * a_i).cast::<S::f32s>().read_unaligned());
                    (a, b) = (a.add(lanes), b.add(WIDTH * lanes));
                }
                if 0 < rest {
                    add(simd, &mut sums, b, |i| simd.mask_load_ptr_f32s(mask, a.add(i * a_i)));
                    b = b.add(WIDTH * lanes);
                }
            }
        }
        unroll!(for i in 0..HEIGHT {
            unroll!(for v in 0..WIDTH {
                c[i * c_i + v] = init[v] + simd.reduce_sum_f32s(sums[i][v]);
            });
        });
    }
}

/// Adds the products of one vector of terms.
#[inline(always)]
unsafe fn add<S: Simd, const HEIGHT: usize, const WIDTH: usize>(
    simd: S,
    sums: &mut [[S::f32s; WIDTH]; HEIGHT],
    b: *const f32,
    a: impl Fn(usize) -> S::f32s,
) {
    let mut vectors = [simd.splat_f32s(0.0); WIDTH];
    unroll!(for v in 0..WIDTH {
        // SAFETY: the caller promises `WIDTH` vectors at `b`.
        vectors[v] = unsafe { b.add(v * S::F32_LANES).cast::<S::f32s>().read_unaligned() };
    });
    unroll!(for i in 0..HEIGHT {
        let a = a(i);
        unroll!(for v in 0..WIDTH {
            sums[i][v] = simd.mul_add_e_f32s(a, vectors[v], sums[i][v]);
        });
    });
}
