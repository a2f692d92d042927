//! 2 by 2 max pooling with stride 2, for numbers and dual numbers.
//!
//! Which pixel of a window was the largest is kept as a float, 0 to 3: all that is compared then lies
//! in vectors of one kind.

use crate::kernels::arch::arch;
use crate::kernels::vector::{read, store};
use pulp::{Simd, WithSimd};
use rayon::prelude::*;
use tracing::instrument;

/// Pixels of a window: two rows of two columns.
pub(super) const FOUR: usize = 4;

/// Where the pixels of an image go: each window of two rows and two columns becomes one pixel.
#[derive(Debug, Clone, Copy)]
pub(super) struct Grid {
    pub(super) h: usize,
    pub(super) w: usize,
    pub(super) ch: usize,
}

impl Grid {
    pub(super) fn in_len(self) -> usize {
        self.h * self.w * self.ch
    }

    pub(super) fn out_len(self) -> usize {
        (self.h / 2) * (self.w / 2) * self.ch
    }

    /// Start of the four input pixels of each output pixel, in the order of the windows.
    #[inline(always)]
    fn windows(self) -> impl Iterator<Item = [usize; 4]> {
        let Self { h, w, ch } = self;
        (0..h / 2).flat_map(move |row| {
            (0..w / 2).map(move |col| {
                let first = (2 * row * w + 2 * col) * ch;
                [first, first + ch, first + w * ch, first + (w + 1) * ch]
            })
        })
    }

    /// For each output pixel and each vector of its channels, at most `lanes` of them: the channels of
    /// all output pixels, and where those of the four input pixels begin.
    #[inline(always)]
    fn vectors(self, lanes: usize) -> impl Iterator<Item = (std::ops::Range<usize>, [usize; 4])> {
        let ch = self.ch;
        self.windows().enumerate().flat_map(move |(pixel, window)| {
            (0..ch).step_by(lanes).map(move |first| {
                let at = pixel * ch + first;
                (at..at + lanes.min(ch - first), window.map(|pixel| pixel + first))
            })
        })
    }
}

/// `y = max` over windows of 2 by 2; an odd last row or column is dropped; NaN wins, as in PyTorch.
///
/// With two `lanes` the second half of the images are tangents, and the output's tangent is the
/// tangent at the first maximum of the value.
///
/// # Shapes
/// - `x`: `[lanes · batch_values, h, w, ch]`
/// - `y`: `[lanes · batch_values, h/2, w/2, ch]`, overwritten
/// - `argmax`: `[batch_values, h/2, w/2, ch]`, overwritten: 0.0 to 3.0, row-major in the window
///
/// # Panics
/// If the length of a slice contradicts the shape.
#[instrument(level = "trace", skip_all, fields(moved = x.len() + y.len() + argmax.len()))]
#[expect(clippy::too_many_arguments, reason = "a plain function on slices")]
pub fn max_pool2_forward(
    batch_values: usize,
    h: usize,
    w: usize,
    ch: usize,
    lanes: usize,
    x: &[f32],
    y: &mut [f32],
    argmax: &mut [f32],
) {
    let grid = Grid { h, w, ch };
    check(grid, batch_values * lanes, x.len(), y.len(), argmax.len() * lanes);
    if y.is_empty() {
        return;
    }
    let arch = arch();
    let (values, tangents) = y.split_at_mut(batch_values * grid.out_len());
    let (x_values, x_tangents) = x.split_at(batch_values * grid.in_len());
    (x_values.par_chunks(grid.in_len()), values.par_chunks_mut(grid.out_len()))
        .into_par_iter()
        .zip(argmax.par_chunks_mut(grid.out_len()))
        .for_each(|((x, y), argmax)| arch.dispatch(Max { grid, x, y, argmax }));
    (x_tangents.par_chunks(grid.in_len()), tangents.par_chunks_mut(grid.out_len()))
        .into_par_iter()
        .zip(argmax.par_chunks(grid.out_len()))
        .for_each(|((x, y), argmax)| arch.dispatch(Gather { grid, x, y, argmax }));
}

/// Gradient of the input: the whole gradient of a window goes to its first maximum.
///
/// # Shapes
/// - `dy`: `[lanes · batch_values, h/2, w/2, ch]`; `argmax`: of the forward pass
/// - `dx`: `[lanes · batch_values, h, w, ch]`, overwritten
///
/// # Panics
/// If the length of a slice contradicts the shape.
#[instrument(level = "trace", skip_all, fields(moved = dx.len() + dy.len() + argmax.len()))]
#[expect(clippy::too_many_arguments, reason = "a plain function on slices")]
pub fn max_pool2_backward(
    batch_values: usize,
    h: usize,
    w: usize,
    ch: usize,
    lanes: usize,
    dy: &[f32],
    argmax: &[f32],
    dx: &mut [f32],
) {
    let grid = Grid { h, w, ch };
    check(grid, batch_values * lanes, dx.len(), dy.len(), argmax.len() * lanes);
    if dy.is_empty() {
        dx.fill(0.0);
        return;
    }
    let arch = arch();
    dx.par_chunks_mut(grid.in_len()).zip(dy.par_chunks(grid.out_len())).enumerate().for_each(
        |(image, (dx, dy))| {
            let argmax = &argmax[image % batch_values * grid.out_len()..][..grid.out_len()];
            arch.dispatch(Scatter { grid, dy, argmax, dx });
        },
    );
}

fn check(grid: Grid, images: usize, input: usize, output: usize, argmax: usize) {
    assert_eq!(input, images * grid.in_len());
    assert_eq!(output, images * grid.out_len());
    assert_eq!(argmax, output);
}

/// The maximum of each window, and which pixel it was; NaN wins.
pub(super) struct Max<'a> {
    pub(super) grid: Grid,
    pub(super) x: &'a [f32],
    pub(super) y: &'a mut [f32],
    pub(super) argmax: &'a mut [f32],
}

impl WithSimd for Max<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { grid, x, y, argmax } = self;
        for (out, pixels) in grid.vectors(S::F32_LANES) {
            let len = out.len();
            let load = |pixel: usize| read(simd, &x[pixel..pixel + len]);
            let (mut max, mut at) = (load(pixels[0]), simd.splat_f32s(0.0));
            for (i, pixel) in [1.0, 2.0, 3.0].into_iter().zip(&pixels[1..]) {
                let x = load(*pixel);
                let wins = wins(simd, x, max);
                max = simd.select_f32s(wins, x, max);
                at = simd.select_f32s(wins, simd.splat_f32s(i), at);
            }
            store(simd, max, &mut y[out.clone()]);
            store(simd, at, &mut argmax[out]);
        }
    }
}

/// Whether `x` takes the place of the maximum so far: if it is larger, or NaN.
#[inline(always)]
pub(super) fn wins<S: Simd>(simd: S, x: S::f32s, max: S::f32s) -> S::m32s {
    let is_nan = simd.not_m32s(simd.equal_f32s(x, x));
    simd.or_m32s(simd.less_than_f32s(max, x), is_nan)
}

/// Of each window the pixel that [`Max`] chose.
pub(super) struct Gather<'a> {
    pub(super) grid: Grid,
    pub(super) x: &'a [f32],
    pub(super) y: &'a mut [f32],
    pub(super) argmax: &'a [f32],
}

impl WithSimd for Gather<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { grid, x, y, argmax } = self;
        for (out, pixels) in grid.vectors(S::F32_LANES) {
            let len = out.len();
            let at = read(simd, &argmax[out.clone()]);
            let mut chosen = simd.splat_f32s(0.0);
            for (i, pixel) in [0.0, 1.0, 2.0, 3.0].into_iter().zip(pixels) {
                let here = simd.equal_f32s(at, simd.splat_f32s(i));
                let x = read(simd, &x[pixel..pixel + len]);
                chosen = simd.select_f32s(here, x, chosen);
            }
            store(simd, chosen, &mut y[out]);
        }
    }
}

/// The gradient of a window for the pixel that [`Max`] chose, 0 for the others.
pub(super) struct Scatter<'a> {
    pub(super) grid: Grid,
    pub(super) dy: &'a [f32],
    pub(super) argmax: &'a [f32],
    pub(super) dx: &'a mut [f32],
}

impl WithSimd for Scatter<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { grid, dy, argmax, dx } = self;
        if grid.h % 2 + grid.w % 2 != 0 {
            dx.fill(0.0);
        }
        let zero = simd.splat_f32s(0.0);
        for (out, pixels) in grid.vectors(S::F32_LANES) {
            let len = out.len();
            let at = read(simd, &argmax[out.clone()]);
            let dy = read(simd, &dy[out]);
            for (i, pixel) in [0.0, 1.0, 2.0, 3.0].into_iter().zip(pixels) {
                let here = simd.equal_f32s(at, simd.splat_f32s(i));
                let dx = &mut dx[pixel..pixel + len];
                store(simd, simd.select_f32s(here, dy, zero), dx);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_maximum_gets_all() {
        let x = [1.0, 5.0, 5.0, 2.0];
        let (mut y, mut argmax, mut dx) = ([0.0], [9.0], [9.0; 4]);
        max_pool2_forward(1, 2, 2, 1, 1, &x, &mut y, &mut argmax);
        max_pool2_backward(1, 2, 2, 1, 1, &[3.0], &argmax, &mut dx);
        assert_eq!((y, argmax), ([5.0], [1.0]));
        assert_eq!(dx, [0.0, 3.0, 0.0, 0.0]);
    }

    #[test]
    fn nan_wins() {
        for at in 0..4 {
            let mut x = [1.0, f32::INFINITY, 0.0, 2.0];
            x[at] = f32::NAN;
            let (mut y, mut argmax) = ([0.0], [9.0]);
            max_pool2_forward(1, 2, 2, 1, 1, &x, &mut y, &mut argmax);
            assert!(y[0].is_nan());
            assert_eq!(argmax, [at as f32]);
        }
    }

    #[test]
    fn a_tangent_is_taken_where_the_value_is_largest() {
        for at in 0..4 {
            let mut x = [0.0, 0.0, 0.0, 0.0, 10.0, 11.0, 12.0, 13.0];
            x[at] = 1.0;
            let (mut y, mut argmax, mut dx) = ([0.0; 2], [9.0], [9.0; 8]);
            max_pool2_forward(1, 2, 2, 1, 2, &x, &mut y, &mut argmax);
            assert_eq!(y, [1.0, x[4 + at]]);
            max_pool2_backward(1, 2, 2, 1, 2, &[3.0, 4.0], &argmax, &mut dx);
            let mut expected = [0.0; 8];
            (expected[at], expected[4 + at]) = (3.0, 4.0);
            assert_eq!(dx, expected);
        }
    }

    #[test]
    fn channels_stay_apart_and_an_odd_border_is_dropped() {
        let (batch, h, w, ch) = (3, 5, 7, 19);
        let x: Vec<f32> = (0..batch * h * w * ch).map(|i| ((i * 7919) % 1009) as f32).collect();
        let (mut y, mut argmax) = (vec![0.0; batch * 2 * 3 * ch], vec![9.0; batch * 2 * 3 * ch]);
        max_pool2_forward(batch, h, w, ch, 1, &x, &mut y, &mut argmax);
        let mut dx = vec![9.0; x.len()];
        max_pool2_backward(batch, h, w, ch, 1, &y, &argmax, &mut dx);
        let mut expected = vec![0.0; x.len()];
        for (i, y) in y.iter().enumerate() {
            let (c, col, row, b) = (i % ch, i / ch % 3, i / ch / 3 % 2, i / ch / 6);
            let at = |k: usize| ((b * h + 2 * row + k / 2) * w + 2 * col + k % 2) * ch + c;
            let window: Vec<f32> = (0..4).map(|k| x[at(k)]).collect();
            assert!(window.iter().all(|x| x <= y));
            expected[at(window.iter().position(|x| x == y).unwrap())] = *y;
        }
        assert_eq!(dx, expected);
    }
}
