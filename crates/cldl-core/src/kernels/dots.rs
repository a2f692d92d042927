//! The inner loop for outputs of a few channels: vectors run along the terms of the sums.
#![allow(unsafe_code, reason = "bounds are checked once per tile, not once per multiplication")]

use super::arch::Registers;
use super::sized::run_sized;
use super::unroll::unroll;
use super::vector::load;
use pulp::{MemMask, Simd, WithSimd};

/// A block of dot products, `height` runs of `a` by `width` runs of `b`:
///
/// `c[i, v] = init[v] + Σ_{r < rows} Σ_{l < len} a[r, i, l] · b[r, l, v]`
///
/// As in [`super::tile::Tile`], but a vector holds neighboring terms `l`, not neighboring outputs
/// `v`: where a layer has 1 or 3 channels, or 2 more than a multiple of 16, hardly a lane is idle. A stride
/// is named by the index that it belongs to, and counts floats.
#[derive(Debug)]
pub(super) struct Dots<'a> {
    pub rows: usize,
    pub len: usize,
    pub a: &'a [f32],
    pub a_r: usize,
    pub a_i: usize,
    pub b: &'a [f32],
    pub b_r: usize,
    /// From a vector of terms to the next.
    pub b_l: usize,
    pub b_v: usize,
    pub init: &'a [f32],
    pub c: &'a mut [f32],
    pub c_i: usize,
}

/// Outputs `v` in the widest block.
pub(super) const MAX_WIDTH: usize = 4;

/// Runs in the highest block whose accumulators fit into the registers of `S`.
pub(super) const fn max_height<S: Simd>(width: usize) -> usize {
    match (Registers::of::<S>().are_many(), width) {
        (true, 1) => 12,
        (true, 2) => 8,
        (true, _) | (false, 1 | 2) => 6,
        (false, 3) => 3,
        (false, _) => 2,
    }
}

/// Outputs in the block that reads least for its multiplications.
pub(super) const fn best_width<S: Simd>() -> usize {
    if Registers::of::<S>().are_many() { 4 } else { 2 }
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
        let Dots { rows, len, a, a_r, a_i, b, b_r, b_l, b_v, init, c, c_i } = self.0;
        let lanes = S::F32_LANES;
        let (vectors, rest) = (len / lanes, len % lanes);
        assert_eq!(init.len(), WIDTH);
        assert!((HEIGHT - 1) * c_i + WIDTH <= c.len());
        if 0 < rows && 0 < len {
            assert!((rows - 1) * a_r + (HEIGHT - 1) * a_i + len <= a.len());
            let last = (rows - 1) * b_r + (len - 1) / lanes * b_l + (WIDTH - 1) * b_v;
            assert!(last + lanes.min((len - 1) % lanes + 1) <= b.len() && lanes <= b_l);
        }
        // Lanes past the end are not read: what lies there may be NaN, which times 0 is not 0.
        let mask = MemMask::from(simd.mask_between_m32s(0, rest as u32).mask());
        let mut sums = [[simd.splat_f32s(0.0); WIDTH]; HEIGHT];
        // SAFETY: the assertions above bound every index that the loops form.
        unsafe {
            for row in 0..rows {
                let (mut a, mut b) = (a.as_ptr().add(row * a_r), b.as_ptr().add(row * b_r));
                for _ in 0..vectors {
                    add(
                        simd,
                        &mut sums,
                        |i| load::<S>(a.add(i * a_i)),
                        |v| load::<S>(b.add(v * b_v)),
                    );
                    (a, b) = (a.add(lanes), b.add(b_l));
                }
                if 0 < rest {
                    let read = |from| simd.mask_load_ptr_f32s(mask, from);
                    add(simd, &mut sums, |i| read(a.add(i * a_i)), |v| read(b.add(v * b_v)));
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
fn add<S: Simd, const HEIGHT: usize, const WIDTH: usize>(
    simd: S,
    sums: &mut [[S::f32s; WIDTH]; HEIGHT],
    a: impl Fn(usize) -> S::f32s,
    b: impl Fn(usize) -> S::f32s,
) {
    let mut vectors = [simd.splat_f32s(0.0); WIDTH];
    unroll!(for v in 0..WIDTH {
        vectors[v] = b(v);
    });
    unroll!(for i in 0..HEIGHT {
        let a = a(i);
        unroll!(for v in 0..WIDTH {
            sums[i][v] = simd.mul_add_e_f32s(a, vectors[v], sums[i][v]);
        });
    });
}
