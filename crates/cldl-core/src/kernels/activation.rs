//! Leaky ReLU, for numbers and dual numbers.

use crate::kernels::arch::arch;
use pulp::{Simd, WithSimd};
use rayon::prelude::*;

/// Floats that one task works on: a quarter of a megabyte goes in and comes out.
const CHUNK: usize = 1 << 15;

/// `y = v` where `v > 0`, `slope · v` elsewhere; the derivative at 0 is `slope`. Slope 0 is ReLU.
///
/// With two `lanes` the second half of `x` is the tangent of the first, and is scaled by the
/// derivative there. NaN stays NaN.
///
/// # Shapes
/// - `x`, `y`: any, of equal length, divisible by `lanes`; `y` is overwritten
///
/// # Panics
/// If the lengths differ or do not divide.
pub fn leaky_relu_forward(lanes: usize, slope: f32, x: &[f32], y: &mut [f32]) {
    // The function is linear on each side of 0, so it is its own derivative applied to `v`.
    leaky_relu_backward(lanes, slope, x, x, y);
}

/// Gradient of the input: `dx = dy` where `v > 0`, `slope · dy` elsewhere, with `v` the value half
/// of `x` for both halves of a dual number.
///
/// # Shapes
/// - `x`, `dy`, `dx`: any, of equal length, divisible by `lanes`; `dx` is overwritten
///
/// # Panics
/// If the lengths differ or do not divide.
pub fn leaky_relu_backward(lanes: usize, slope: f32, x: &[f32], dy: &[f32], dx: &mut [f32]) {
    assert!(x.len() == dy.len() && x.len() == dx.len() && x.len().is_multiple_of(lanes));
    let values = &x[..x.len() / lanes];
    for (dy, dx) in dy.chunks(values.len().max(1)).zip(dx.chunks_mut(values.len().max(1))) {
        let chunks = values.par_chunks(CHUNK).zip(dy.par_chunks(CHUNK));
        chunks.zip(dx.par_chunks_mut(CHUNK)).for_each(|((values, dy), dx)| {
            arch().dispatch(Derivative { slope, values, dy, dx });
        });
    }
}

struct Derivative<'a> {
    slope: f32,
    values: &'a [f32],
    dy: &'a [f32],
    dx: &'a mut [f32],
}

impl WithSimd for Derivative<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { slope, values, dy, dx } = self;
        for ((v, dy), dx) in values.iter().zip(dy).zip(dx) {
            // ReLU is 0 even where the gradient is infinite, as in PyTorch.
            let below = if slope == 0.0 { 0.0 } else { slope * dy };
            *dx = if *v <= 0.0 { below } else { *dy };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_is_on_the_lower_side() {
        let x = [-2.0, -0.0, 0.0, 3.0];
        let (mut y, mut dx) = ([9.0; 4], [9.0; 4]);
        leaky_relu_forward(1, 0.5, &x, &mut y);
        leaky_relu_backward(1, 0.5, &x, &[1.0; 4], &mut dx);
        assert_eq!(y, [-1.0, 0.0, 0.0, 3.0]);
        assert_eq!(dx, [0.5, 0.5, 0.5, 1.0]);
    }

    #[test]
    fn relu_of_nan_is_nan_and_of_infinity_is_not() {
        let x = [f32::NAN, f32::NEG_INFINITY, f32::INFINITY];
        let mut y = [9.0; 3];
        leaky_relu_forward(1, 0.0, &x, &mut y);
        assert!(y[0].is_nan());
        assert_eq!(y[1..], [0.0, f32::INFINITY]);
    }

    #[test]
    fn a_tangent_follows_the_sign_of_its_value() {
        let x = [-1.0, 2.0, 5.0, -7.0];
        let mut y = [9.0; 4];
        leaky_relu_forward(2, 0.1, &x, &mut y);
        assert_eq!(y, [-0.1, 2.0, 0.5, -7.0]);
        let mut dx = [9.0; 4];
        leaky_relu_backward(2, 0.0, &x, &[1.0, 2.0, 3.0, 4.0], &mut dx);
        assert_eq!(dx, [0.0, 2.0, 0.0, 4.0]);
    }

    #[test]
    fn chunks_cover_a_long_slice() {
        let x: Vec<f32> = (0..3 * CHUNK + 7).map(|i| if i % 3 == 0 { -4.0 } else { 2.0 }).collect();
        let mut y = vec![9.0; x.len()];
        leaky_relu_forward(1, 0.25, &x, &mut y);
        assert!(y.iter().enumerate().all(|(i, &y)| y == if i % 3 == 0 { -1.0 } else { 2.0 }));
    }
}
