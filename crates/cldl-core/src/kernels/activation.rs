//! Leaky ReLU in place, for numbers and dual numbers, and the sum of two gradients.

use crate::kernels::arch::arch;
use crate::kernels::lanes::{Lanes, replace};
use crate::kernels::vector::read;
use pulp::{Simd, WithSimd};
use rayon::prelude::*;
use tracing::instrument;

/// Floats that one task works on: a quarter of a megabyte goes in and comes out.
const CHUNK: usize = 1 << 15;

/// `d` where `v > 0`, `slope · d` elsewhere: the leaky ReLU if `d` is `v`. The derivative at 0 is `slope`; slope 0 is
/// ReLU. A slope above 0 leaves the sign alone, so that `v` may be the activation's argument or its result.
///
/// # Range
/// NaN stays NaN. ReLU is 0 even where the derivative meets an infinity, as in PyTorch.
#[inline(always)]
pub(super) fn branch(v: f32, slope: f32, d: f32) -> f32 {
    let below = if slope == 0.0 { 0.0 } else { slope * d };
    if v <= 0.0 { below } else { d }
}

/// Leaky ReLU of numbers, or of dual numbers (two `lanes`: the second half holds the tangents, which
/// are scaled by the derivative at their values), in place.
///
/// # Panics
/// If `lanes` does not divide the length.
#[instrument(level = "trace", skip_all, fields(moved = 2 * x.len()))]
pub fn leaky_relu(lanes: usize, slope: f32, x: &mut [f32]) {
    assert!(x.len().is_multiple_of(lanes));
    let (values, tangents) = x.split_at_mut(x.len() / lanes);
    // The tangents first: they need the values as they are.
    leaky_relu_backward(1, slope, values, tangents);
    values.par_chunks_mut(CHUNK).for_each(|values| {
        arch().dispatch(Forward { slope, values });
    });
}

/// Gradient of the argument, in place: `d` where `v > 0`, `slope · d` elsewhere, with `v` the value
/// half of the argument or of the result for both halves of a dual number.
///
/// # Shapes
/// - `v`: any, at least the values; `d`: a multiple of it, or nothing
///
/// # Panics
/// If `lanes` does not divide the length of `v`.
#[instrument(level = "trace", skip_all, fields(moved = v.len() / lanes + 2 * d.len()))]
pub fn leaky_relu_backward(lanes: usize, slope: f32, v: &[f32], d: &mut [f32]) {
    assert!(v.len().is_multiple_of(lanes));
    let values = &v[..v.len() / lanes];
    for d in d.chunks_mut(values.len().max(1)) {
        values.par_chunks(CHUNK).zip(d.par_chunks_mut(CHUNK)).for_each(|(values, d)| {
            arch().dispatch(Backward { slope, values, d });
        });
    }
}

/// `sum += terms`.
///
/// # Panics
/// If the lengths differ.
#[instrument(level = "trace", skip_all, fields(moved = 3 * sum.len()))]
pub fn add_assign(sum: &mut [f32], terms: &[f32]) {
    assert_eq!(sum.len(), terms.len());
    sum.par_chunks_mut(CHUNK).zip(terms.par_chunks(CHUNK)).for_each(|(sum, terms)| {
        arch().dispatch(Add { sum, terms });
    });
}

pub(super) struct Forward<'a> {
    pub(super) slope: f32,
    pub(super) values: &'a mut [f32],
}

impl WithSimd for Forward<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { slope, values } = self;
        replace(
            simd,
            values,
            #[inline(always)]
            |v, _| v.leaky_relu(slope),
        );
    }
}

pub(super) struct Backward<'a> {
    pub(super) slope: f32,
    pub(super) values: &'a [f32],
    pub(super) d: &'a mut [f32],
}

impl WithSimd for Backward<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { slope, values, d } = self;
        replace(
            simd,
            d,
            #[inline(always)]
            |d, at| Lanes::new(simd, read(simd, &values[at])).branch(slope, d),
        );
    }
}

struct Add<'a> {
    sum: &'a mut [f32],
    terms: &'a [f32],
}

impl WithSimd for Add<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        for (sum, term) in self.sum.iter_mut().zip(self.terms) {
            *sum += term;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_is_on_the_lower_side() {
        let mut x = [-2.0, -0.0, 0.0, 3.0];
        let mut d = [1.0; 4];
        leaky_relu_backward(1, 0.5, &x, &mut d);
        leaky_relu(1, 0.5, &mut x);
        assert_eq!((x, d), ([-1.0, 0.0, 0.0, 3.0], [0.5, 0.5, 0.5, 1.0]));
    }

    #[test]
    fn relu_of_nan_is_nan_and_of_infinity_is_not() {
        let mut x = [f32::NAN, f32::NEG_INFINITY, f32::INFINITY];
        leaky_relu(1, 0.0, &mut x);
        assert!(x[0].is_nan());
        assert_eq!(x[1..], [0.0, f32::INFINITY]);
    }

    #[test]
    fn a_tangent_follows_the_sign_of_its_value() {
        let mut x = [-1.0, 2.0, 5.0, -7.0];
        leaky_relu(2, 0.1, &mut x);
        assert_eq!(x, [-0.1, 2.0, 0.5, -7.0]);
        let mut d = [1.0, 2.0, 3.0, 4.0];
        leaky_relu_backward(2, 0.0, &x, &mut d);
        assert_eq!(d, [0.0, 2.0, 0.0, 4.0]);
    }

    #[test]
    fn chunks_cover_a_long_slice() {
        let mut x: Vec<f32> =
            (0..3 * CHUNK + 7).map(|i| if i % 3 == 0 { -4.0 } else { 2.0 }).collect();
        leaky_relu(1, 0.25, &mut x);
        let ones = vec![1.0; x.len()];
        add_assign(&mut x, &ones);
        assert!(x.iter().enumerate().all(|(i, &x)| x == if i % 3 == 0 { 0.0 } else { 3.0 }));
    }
}
