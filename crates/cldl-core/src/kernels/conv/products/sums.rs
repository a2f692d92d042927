//! Products of pixels with the output's gradient, summed over pixels: matrices of few rows and long sums.
#![allow(unsafe_code, reason = "bounds are checked once, not once per multiplication")]

use crate::kernels::prefetch::Ahead;
use crate::kernels::sized::run_sized;
use crate::kernels::tile::{add_term, max_height};
use crate::kernels::unroll::unroll;
use crate::kernels::vector::load;
use pulp::{Simd, WithSimd};

/// For each of `planes`, `blocks` by `count` tiles of `height` rows by `width` vectors:
///
/// `c[p, s, t, i, v] += Σ_{l < len} a[p, l, t, i] · b[p, l, s, v]`
///
/// A stride is named by the index that it belongs to. Where there is none, numbers are contiguous.
#[derive(Debug)]
pub(in crate::kernels::conv) struct Sums<'a> {
    pub planes: usize,
    pub blocks: usize,
    pub count: usize,
    pub len: usize,
    pub a: &'a [f32],
    pub a_p: usize,
    pub a_l: usize,
    pub b: &'a [f32],
    pub b_p: usize,
    pub b_l: usize,
    pub c: &'a mut [f32],
    pub c_p: usize,
    pub c_s: usize,
    /// A part for each plane.
    pub ahead: Ahead<'a>,
}

impl Sums<'_> {
    /// Adds to tiles of `height` by `width`.
    #[inline(always)]
    pub(in crate::kernels::conv) fn run<S: Simd>(self, simd: S, height: usize, width: usize) {
        run_sized!(self, simd, height, width, max_height, {
            1: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16;
            2: 1 2 3 4 5 6 7 8 9 10 11 12 13 14;
            3: 1 2 3 4 5 6 7 8 9;
        });
    }
}

struct Sized<'a, const HEIGHT: usize, const WIDTH: usize>(Sums<'a>);

impl<const HEIGHT: usize, const WIDTH: usize> WithSimd for Sized<'_, HEIGHT, WIDTH> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Sums { planes, blocks, count, len, a, a_p, a_l, b, b_p, b_l, c, c_p, c_s, mut ahead } =
            self.0;
        let (row, rows) = (WIDTH * S::F32_LANES, count * HEIGHT);
        assert!(0 < planes && 0 < blocks && 0 < count && 0 < len);
        assert!((planes - 1) * a_p + (len - 1) * a_l + rows <= a.len());
        assert!((planes - 1) * b_p + (len - 1) * b_l + blocks * row <= b.len());
        assert!((planes - 1) * c_p + (blocks - 1) * c_s + rows * row <= c.len());
        for p in 0..planes {
            ahead.fetch();
            for (s, t) in (0..blocks).flat_map(|s| (0..count).map(move |t| (s, t))) {
                // SAFETY: the assertions above bound every index that is formed from here on.
                unsafe {
                    let mut a = a.as_ptr().add(p * a_p + t * HEIGHT);
                    let mut b = b.as_ptr().add(p * b_p + s * row);
                    let c = c.as_mut_ptr().add(p * c_p + s * c_s + t * HEIGHT * row);
                    let mut sums = [[simd.splat_f32s(0.0); WIDTH]; HEIGHT];
                    for _ in 0..len {
                        add_term(simd, a, std::array::from_fn(|i| i), b, &mut sums);
                        (a, b) = (a.wrapping_add(a_l), b.wrapping_add(b_l));
                    }
                    unroll!(for i in 0..HEIGHT {
                        unroll!(for v in 0..WIDTH {
                            let c = c.add(i * row + v * S::F32_LANES);
                            let sum = simd.add_f32s(load::<S>(c), sums[i][v]);
                            c.cast::<S::f32s>().write_unaligned(sum);
                        });
                    });
                }
            }
        }
    }
}
