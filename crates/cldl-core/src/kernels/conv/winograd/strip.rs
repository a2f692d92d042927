//! Patches and squares to planes, and planes to squares.
#![allow(unsafe_code, reason = "bounds are checked once per strip, not for every vector")]

use super::transform::{of_gradient, of_pixels, to_outputs};
use super::{PLANES, SIDE};
use crate::kernels::lanes::Lanes;
use crate::kernels::unroll::unroll;
use crate::kernels::vector::load;
use pulp::Simd;

/// Rows of patches: where they lie in an image, and in the planes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Strip {
    pub rows: usize,
    pub columns: usize,
    pub channels: usize,
    /// Floats in a row of the image.
    pub row: usize,
    /// Floats from a plane to the next.
    pub plane: usize,
}

impl Strip {
    /// Panics unless there are whole vectors of channels, and room for a plane's numbers.
    fn check(&self, lanes: usize, planes: &[f32]) {
        let Self { rows, columns, channels, plane, .. } = *self;
        assert!(0 < rows && 0 < columns && channels.is_multiple_of(lanes));
        assert!((PLANES - 1) * plane + rows * columns * channels <= planes.len());
    }

    /// Floats up to the end of a pixel in an image that has so many rows and columns more than squares cover.
    fn image_len(&self, more: usize) -> usize {
        (2 * self.rows + more - 1) * self.row + (2 * self.columns + more) * self.channels
    }

    /// `Bᵀ d B` of each patch `d` of the padded image `x`.
    #[inline(always)]
    pub(super) fn pixels_to_planes<S: Simd>(self, simd: S, x: &[f32], planes: &mut [f32]) {
        let Self { rows, columns, channels, row, plane } = self;
        self.check(S::F32_LANES, planes);
        assert!(self.image_len(SIDE - 2) <= x.len());
        for line in 0..rows {
            for c in (0..channels).step_by(S::F32_LANES) {
                // SAFETY: the assertions above bound every index that is formed from here on.
                unsafe {
                    let x = x.as_ptr().add(2 * line * row + c);
                    let to = planes.as_mut_ptr().add(line * columns * channels + c);
                    // A row of numbers at a time: fewer are at hand than registers.
                    unroll!(for i in [0 1 2 3] {
                        let mut left = pair(simd, x, row, channels, i);
                        for t in 0..columns {
                            let right = pair(simd, x.add(2 * (t + 1) * channels), row, channels, i);
                            let numbers = of_pixels([left[0], left[1], right[0], right[1]]);
                            unroll!(for j in [0 1 2 3] {
                                put(to.add((i * SIDE + j) * plane + t * channels), numbers[j]);
                            });
                            left = right;
                        }
                    });
                }
            }
        }
    }

    /// `A dy Aᵀ` of each square `dy` of the outputs' gradient.
    #[inline(always)]
    pub(super) fn gradient_to_planes<S: Simd>(self, simd: S, dy: &[f32], planes: &mut [f32]) {
        let Self { rows, columns, channels, row, plane } = self;
        self.check(S::F32_LANES, planes);
        assert!(self.image_len(0) <= dy.len());
        for line in 0..rows {
            for t in 0..columns {
                for c in (0..channels).step_by(S::F32_LANES) {
                    // SAFETY: the assertions above bound every index that is formed from here on.
                    unsafe {
                        let dy = dy.as_ptr().add(2 * (line * row + t * channels) + c);
                        let to = planes.as_mut_ptr().add((line * columns + t) * channels + c);
                        let next = dy.add(channels);
                        let left = of_gradient([get(simd, dy), get(simd, dy.add(row))]);
                        let right = of_gradient([get(simd, next), get(simd, next.add(row))]);
                        unroll!(for i in [0 1 2 3] {
                            let numbers = of_gradient([left[i], right[i]]);
                            unroll!(for j in [0 1 2 3] {
                                put(to.add((i * SIDE + j) * plane), numbers[j]);
                            });
                        });
                    }
                }
            }
        }
    }

    /// `Aᵀ m A + init` of each patch's sums of products `m`.
    #[inline(always)]
    pub(super) fn planes_to_outputs<S: Simd>(
        self,
        simd: S,
        planes: &[f32],
        init: &[f32],
        y: &mut [f32],
    ) {
        let Self { rows, columns, channels, row, plane } = self;
        self.check(S::F32_LANES, planes);
        assert!(channels <= init.len() && self.image_len(0) <= y.len());
        for line in 0..rows {
            for t in 0..columns {
                for c in (0..channels).step_by(S::F32_LANES) {
                    // SAFETY: the assertions above bound every index that is formed from here on.
                    unsafe {
                        let from = planes.as_ptr().add((line * columns + t) * channels + c);
                        let y = y.as_mut_ptr().add(2 * (line * row + t * channels) + c);
                        let init = get(simd, init.as_ptr().add(c));
                        let zero = Lanes::new(simd, simd.splat_f32s(0.0));
                        let mut half = [[zero; 2]; SIDE];
                        unroll!(for j in [0 1 2 3] {
                            half[j] = to_outputs([
                                get(simd, from.add(j * plane)),
                                get(simd, from.add((SIDE + j) * plane)),
                                get(simd, from.add((2 * SIDE + j) * plane)),
                                get(simd, from.add((3 * SIDE + j) * plane)),
                            ]);
                        });
                        unroll!(for i in [0 1] {
                            let outputs = to_outputs([half[0][i], half[1][i], half[2][i], half[3][i]]);
                            unroll!(for j in [0 1] {
                                put(y.add(i * row + j * channels), outputs[j] + init);
                            });
                        });
                    }
                }
            }
        }
    }
}

/// The `i`-th numbers of `Bᵀ` of two neighboring columns of pixels; what is for the others is left away by the
/// compiler.
#[inline(always)]
unsafe fn pair<S: Simd>(
    simd: S,
    x: *const f32,
    row: usize,
    next: usize,
    i: usize,
) -> [Lanes<S>; 2] {
    // SAFETY: the caller promises a vector in each of four rows, and `next` floats further.
    unsafe {
        let mut pair = [get(simd, x); 2];
        unroll!(for j in [0 1] {
            let x = x.add(j * next);
            let lower = x.add(2 * row);
            let upper = [get(simd, x), get(simd, x.add(row))];
            let lower = [get(simd, lower), get(simd, lower.add(row))];
            pair[j] = of_pixels([upper[0], upper[1], lower[0], lower[1]])[i];
        });
        pair
    }
}

#[inline(always)]
unsafe fn get<S: Simd>(simd: S, from: *const f32) -> Lanes<S> {
    // SAFETY: the caller promises a vector at `from`.
    Lanes::new(simd, unsafe { load::<S>(from) })
}

#[inline(always)]
unsafe fn put<S: Simd>(to: *mut f32, numbers: Lanes<S>) {
    // SAFETY: the caller promises room for a vector at `to`.
    unsafe { to.cast::<S::f32s>().write_unaligned(numbers.get()) };
}
