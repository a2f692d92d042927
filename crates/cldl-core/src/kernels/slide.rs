//! The inner loop of a convolution with a row of 3 taps and one vector of output channels.
//!
//! A tile one vector wide loads a pixel for every multiplication, and the loads set the pace. Here a
//! pixel that was loaded serves every window of the row that it lies in.
#![allow(unsafe_code, reason = "bounds are checked once per tile, not once per multiplication")]

use super::arch::Registers;
use super::prefetch::Ahead;
use super::sized::run_sized;
use super::unroll::unroll;
use super::vector::{load, read, store};
use pulp::{Simd, WithSimd};

/// Taps in a row of the kernel.
pub(super) const TAPS: usize = 3;

/// Outputs of neighboring windows, `lines` by `count` tiles of `height` vectors of channels:
///
/// `c[s, t, i] = init + Σ_{r < rows} Σ_{j < TAPS} Σ_{l < len} a[s + r, (t·height + i + j)·len + l] · b[r, j, l]`
///
/// where a stride is named by the index that it belongs to, and counts floats.
#[derive(Debug)]
pub(super) struct Slide<'a> {
    pub lines: usize,
    pub count: usize,
    pub rows: usize,
    /// Channels of a pixel.
    pub len: usize,
    pub a: &'a [f32],
    pub a_r: usize,
    /// In the order (row, tap, channel of the pixel, lane).
    pub b: &'a [f32],
    pub init: &'a [f32],
    pub c: &'a mut [f32],
    pub c_s: usize,
    pub c_i: usize,
    /// Channels to store, at most a vector.
    pub channels: usize,
    /// A part for each of the `rows` of each tile.
    pub ahead: Ahead<'a>,
}

/// The most windows of one tile: their sums, a row of taps and a pixel are in registers. None if `S` has
/// too few for a pixel to serve many.
pub(super) const fn max_height<S: Simd>(_width: usize) -> usize {
    if Registers::of::<S>().are_many() { 16 } else { 0 }
}

impl Slide<'_> {
    /// Computes the tile of `height`.
    #[inline(always)]
    pub(super) fn run<S: Simd>(self, simd: S, height: usize) {
        run_sized!(self, simd, height, 1, max_height, {
            1: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16;
        });
    }
}

struct Sized<'a, const HEIGHT: usize, const WIDTH: usize>(Slide<'a>);

impl<const HEIGHT: usize, const WIDTH: usize> WithSimd for Sized<'_, HEIGHT, WIDTH> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Slide { lines, count, rows, len, a, a_r, b, init, c, c_s, c_i, channels, mut ahead } =
            self.0;
        let lanes = S::F32_LANES;
        assert!(0 < lines && 0 < count && 0 < rows);
        assert!((lines + rows - 2) * a_r + (count * HEIGHT - 1 + TAPS) * len <= a.len());
        assert!(rows * TAPS * len * lanes <= b.len() && channels <= lanes);
        let init = read(simd, &init[..lanes]);
        for (line, t) in (0..lines).flat_map(|line| (0..count).map(move |t| (line, t))) {
            let mut sums = [init; HEIGHT];
            for row in 0..rows {
                ahead.fetch();
                for l in 0..len {
                    // SAFETY: the assertions above bound every index that is formed here.
                    unsafe {
                        let a = a.as_ptr().add((line + row) * a_r + t * HEIGHT * len + l);
                        let b = b.as_ptr().add((row * TAPS * len + l) * lanes);
                        let taps = [0, 1, 2].map(|j| load::<S>(b.add(j * len * lanes)));
                        unroll!(for pixel in [0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17] {
                            if pixel < HEIGHT - 1 + TAPS {
                                let a = simd.splat_f32s(*a.add(pixel * len));
                                unroll!(for j in [0 1 2] {
                                    let i = pixel.wrapping_sub(j);
                                    if i < HEIGHT {
                                        sums[i] = simd.mul_add_e_f32s(a, taps[j], sums[i]);
                                    }
                                });
                            }
                        });
                    }
                }
            }
            let c = &mut c[line * c_s + t * HEIGHT * c_i..];
            unroll!(for i in 0..HEIGHT {
                store(simd, sums[i], &mut c[i * c_i..][..channels]);
            });
        }
    }
}
