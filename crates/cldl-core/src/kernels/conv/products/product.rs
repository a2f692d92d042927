//! Products of pixels with weights: matrices of many rows.
#![allow(unsafe_code, reason = "bounds are checked once, not once per multiplication")]

use crate::kernels::prefetch::Ahead;
use crate::kernels::sized::run_sized;
use crate::kernels::tile::{add_term, max_height};
use crate::kernels::unroll::unroll;
use crate::kernels::vector::load;
use pulp::{Simd, WithSimd};

/// Terms of a sum that are written out: their distances are constants then, which take no instructions.
const TERMS: usize = 2;

/// For each of `planes`, `blocks` by `count` tiles of `height` rows by `width` vectors:
///
/// `c[p, s, t, i, v] = init[s, v] + Σ_{l < len} a[p, t, i, l] · b[p, s, l, v]`
///
/// A stride is named by the index that it belongs to. Where there is none, numbers are contiguous.
#[derive(Debug)]
pub(in crate::kernels::conv) struct Product<'a> {
    pub planes: usize,
    pub blocks: usize,
    pub count: usize,
    /// A multiple of [`TERMS`].
    pub len: usize,
    /// What the sums of each row begin with, if not with zero.
    pub init: Option<&'a [f32]>,
    pub a: &'a [f32],
    pub a_p: usize,
    pub a_i: usize,
    pub b: &'a [f32],
    pub c: &'a mut [f32],
    pub c_p: usize,
    pub c_i: usize,
    /// A part for each plane.
    pub ahead: Ahead<'a>,
}

impl Product<'_> {
    /// Computes tiles of `height` by `width`.
    #[inline(always)]
    pub(in crate::kernels::conv) fn run<S: Simd>(self, simd: S, height: usize, width: usize) {
        run_sized!(self, simd, height, width, max_height, {
            1: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16;
            2: 1 2 3 4 5 6 7 8 9 10 11 12 13 14;
            3: 1 2 3 4 5 6 7 8 9;
        });
    }
}

struct Sized<'a, const HEIGHT: usize, const WIDTH: usize>(Product<'a>);

impl<const HEIGHT: usize, const WIDTH: usize> WithSimd for Sized<'_, HEIGHT, WIDTH> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Product { planes, blocks, count, len, init, a, a_p, a_i, b, c, c_p, c_i, .. } = self.0;
        let mut ahead = self.0.ahead;
        let (row, rows) = (WIDTH * S::F32_LANES, count * HEIGHT);
        assert!(0 < planes && 0 < blocks && 0 < count && 0 < len && len.is_multiple_of(TERMS));
        assert!((planes - 1) * a_p + (rows - 1) * a_i + len <= a.len());
        assert!(planes * blocks * len * row <= b.len());
        assert!((planes - 1) * c_p + (rows - 1) * c_i + blocks * row <= c.len());
        assert!(init.is_none_or(|init| blocks * row <= init.len()));
        for p in 0..planes {
            ahead.fetch();
            for (s, t) in (0..blocks).flat_map(|s| (0..count).map(move |t| (s, t))) {
                // SAFETY: the assertions above bound every index that is formed from here on.
                unsafe {
                    let a = a.as_ptr().add(p * a_p + t * HEIGHT * a_i);
                    let b = b.as_ptr().add((p * blocks + s) * len * row);
                    let c = c.as_mut_ptr().add(p * c_p + s * row + t * HEIGHT * c_i);
                    let at: [usize; HEIGHT] = std::array::from_fn(|i| i * a_i);
                    let mut sums = [[simd.splat_f32s(0.0); WIDTH]; HEIGHT];
                    if let Some(init) = init {
                        unroll!(for v in 0..WIDTH {
                            let init = load::<S>(init.as_ptr().add(s * row + v * S::F32_LANES));
                            unroll!(for i in 0..HEIGHT {
                                sums[i][v] = init;
                            });
                        });
                    }
                    for l in (0..len).step_by(TERMS) {
                        let (a, b) = (a.add(l), b.add(l * row));
                        unroll!(for term in 0..TERMS {
                            add_term(simd, a.add(term), at, b.add(term * row), &mut sums);
                        });
                    }
                    unroll!(for i in 0..HEIGHT {
                        unroll!(for v in 0..WIDTH {
                            let to = c.add(i * c_i + v * S::F32_LANES);
                            to.cast::<S::f32s>().write_unaligned(sums[i][v]);
                        });
                    });
                }
            }
        }
    }
}
