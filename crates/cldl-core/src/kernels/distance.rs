//! The squared distance of two vectors, and its gradient.

use crate::kernels::arch::arch;
use pulp::{Simd, WithSimd};
use rayon::prelude::*;
use tracing::instrument;

/// Floats that one task works on. A constant: the order of the additions must depend on the length alone.
const CHUNK: usize = 1 << 15;
/// Sums that run side by side, so that an addition does not wait for the last one.
const SUMS: usize = 64;

/// `Σ (x - y)²`.
///
/// # Panics
/// If the lengths differ.
#[instrument(level = "trace", skip_all, fields(moved = 2 * x.len()))]
pub fn squared_distance(x: &[f32], y: &[f32]) -> f64 {
    assert_eq!(x.len(), y.len());
    let chunks = x.par_chunks(CHUNK).zip(y.par_chunks(CHUNK));
    let sums: Vec<f64> = chunks.map(|(x, y)| arch().dispatch(Distance { x, y })).collect();
    sums.iter().sum()
}

/// `dx = scale · (x - y)`.
///
/// # Panics
/// If the lengths differ.
#[instrument(level = "trace", skip_all, fields(moved = 3 * x.len()))]
pub fn scaled_difference(scale: f32, x: &[f32], y: &[f32], dx: &mut [f32]) {
    assert!(x.len() == y.len() && x.len() == dx.len());
    let chunks = x.par_chunks(CHUNK).zip(y.par_chunks(CHUNK)).zip(dx.par_chunks_mut(CHUNK));
    chunks.for_each(|((x, y), dx)| arch().dispatch(Difference { scale, x, y, dx }));
}

struct Distance<'a> {
    x: &'a [f32],
    y: &'a [f32],
}

impl WithSimd for Distance<'_> {
    type Output = f64;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> f64 {
        let mut sums = [0.0f32; SUMS];
        for (x, y) in self.x.chunks(SUMS).zip(self.y.chunks(SUMS)) {
            for ((sum, x), y) in sums.iter_mut().zip(x).zip(y) {
                *sum += (x - y) * (x - y);
            }
        }
        sums.iter().map(|sum| f64::from(*sum)).sum()
    }
}

struct Difference<'a> {
    scale: f32,
    x: &'a [f32],
    y: &'a [f32],
    dx: &'a mut [f32],
}

impl WithSimd for Difference<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        for ((dx, x), y) in self.dx.iter_mut().zip(self.x).zip(self.y) {
            *dx = self.scale * (x - y);
        }
    }
}
