//! Products of the rows of several matrices, and sums of such rows, example by example.

use crate::kernels::arch::arch;
use pulp::{Simd, WithSimd};
use rayon::prelude::*;
use tracing::instrument;

/// Sums that run side by side, so that an addition does not wait for the last one.
const SUMS: usize = 64;

/// `out[b, i, j] = ⟨rows[i][b], rows[j][b]⟩`.
///
/// # Shapes
/// - `rows`: N of `[B, len]`; `out`: `[B, N, N]`, overwritten
///
/// # Panics
/// If the length of a slice contradicts the shape.
#[instrument(level = "trace", skip_all, fields(moved = rows.len() * rows.first().map_or(0, |row| row.len())))]
pub fn row_products(rows: &[&[f32]], len: usize, out: &mut [f32]) {
    let n = rows.len();
    assert!(rows.iter().all(|row| row.len() * n * n == out.len() * len));
    out.par_chunks_exact_mut((n * n).max(1)).enumerate().for_each(|(b, out)| {
        let row = |i: usize| &rows[i][b * len..][..len];
        for i in 0..n {
            for j in i..n {
                let product = arch().dispatch(Product { x: row(i), y: row(j) });
                (out[i * n + j], out[j * n + i]) = (product, product);
            }
        }
    });
}

/// `out[b] = Σⱼ coefficients[b, i, j] · rows[j][b]`.
///
/// # Shapes
/// - `coefficients`: `[B, N, N]`; `rows`: N of `[B, len]`; `out`: `[B, len]`, overwritten
///
/// # Panics
/// If the length of a slice contradicts the shape.
#[instrument(level = "trace", skip_all, fields(moved = (1 + rows.len()) * out.len()))]
pub fn combine_rows(i: usize, coefficients: &[f32], rows: &[&[f32]], len: usize, out: &mut [f32]) {
    let n = rows.len();
    assert!(i < n && rows.iter().all(|row| row.len() == out.len()));
    assert_eq!(coefficients.len() * len, out.len() * n * n);
    out.par_chunks_exact_mut(len.max(1)).enumerate().for_each(|(b, out)| {
        let own = &coefficients[(b * n + i) * n..][..n];
        out.fill(0.0);
        for (scale, row) in own.iter().zip(rows) {
            arch().dispatch(AddScaled { scale: *scale, x: &row[b * len..][..len], sum: out });
        }
    });
}

struct Product<'a> {
    x: &'a [f32],
    y: &'a [f32],
}

impl WithSimd for Product<'_> {
    type Output = f32;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> f32 {
        let mut sums = [0.0f32; SUMS];
        for (x, y) in self.x.chunks(SUMS).zip(self.y.chunks(SUMS)) {
            for ((sum, x), y) in sums.iter_mut().zip(x).zip(y) {
                *sum += x * y;
            }
        }
        sums.iter().map(|sum| f64::from(*sum)).sum::<f64>() as f32
    }
}

struct AddScaled<'a> {
    scale: f32,
    x: &'a [f32],
    sum: &'a mut [f32],
}

impl WithSimd for AddScaled<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        for (sum, x) in self.sum.iter_mut().zip(self.x) {
            *sum += self.scale * x;
        }
    }
}
