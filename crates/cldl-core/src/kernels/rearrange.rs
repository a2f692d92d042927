//! Numbers in another order, and means over positions: what stands between the layers.

use rayon::prelude::*;
use tracing::instrument;

/// Each image's `[rows, columns]` numbers as `[columns, rows]`.
///
/// # Shapes
/// - `x`, `y`: `[B, rows · columns]`; `y` is overwritten
///
/// # Panics
/// If the length of a slice contradicts the shape.
#[instrument(level = "trace", skip_all, fields(moved = 2 * x.len()))]
pub fn transpose_images(rows: usize, columns: usize, x: &[f32], y: &mut [f32]) {
    assert!(x.len() == y.len() && x.len().is_multiple_of((rows * columns).max(1)));
    if rows == 1 || columns == 1 {
        return y.copy_from_slice(x);
    }
    let image = rows * columns;
    y.par_chunks_exact_mut(image).zip(x.par_chunks_exact(image)).for_each(|(y, x)| {
        for (column, y) in y.chunks_exact_mut(rows).enumerate() {
            for (y, x) in y.iter_mut().zip(x[column..].iter().step_by(columns)) {
                *y = *x;
            }
        }
    });
}

/// Means over the positions of each image.
///
/// # Shapes
/// - `x`: `[B, positions, ch]`; `y`: `[B, ch]`, overwritten
///
/// # Panics
/// If the length of a slice contradicts the shape.
#[instrument(level = "trace", skip_all, fields(moved = x.len() + y.len()))]
pub fn mean_positions(positions: usize, ch: usize, x: &[f32], y: &mut [f32]) {
    assert_eq!(x.len(), positions * y.len());
    let scale = 1.0 / positions as f32;
    y.par_chunks_exact_mut(ch).zip(x.par_chunks_exact(positions * ch)).for_each(|(y, x)| {
        y.fill(0.0);
        for pixel in x.chunks_exact(ch) {
            y.iter_mut().zip(pixel).for_each(|(y, x)| *y += x);
        }
        for y in y {
            *y *= scale;
        }
    });
}

/// The gradient of [`mean_positions`]: every position gets its share.
///
/// # Shapes
/// - `dy`: `[B, ch]`; `dx`: `[B, positions, ch]`, overwritten
///
/// # Panics
/// If the length of a slice contradicts the shape.
#[instrument(level = "trace", skip_all, fields(moved = dy.len() + dx.len()))]
pub fn spread_positions(positions: usize, ch: usize, dy: &[f32], dx: &mut [f32]) {
    assert_eq!(dx.len(), positions * dy.len());
    let scale = 1.0 / positions as f32;
    dx.par_chunks_exact_mut(positions * ch).zip(dy.par_chunks_exact(ch)).for_each(|(dx, dy)| {
        for pixel in dx.chunks_exact_mut(ch) {
            pixel.iter_mut().zip(dy).for_each(|(dx, dy)| *dx = dy * scale);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transposing_twice_changes_nothing() {
        let x: Vec<f32> = (0..2 * 3 * 4).map(|i| i as f32).collect();
        let (mut y, mut back) = (vec![9.0; x.len()], vec![9.0; x.len()]);
        transpose_images(3, 4, &x, &mut y);
        assert_eq!(y[..6], [0.0, 4.0, 8.0, 1.0, 5.0, 9.0]);
        transpose_images(4, 3, &y, &mut back);
        assert_eq!(back, x);
    }

    #[test]
    fn the_mean_and_its_gradient() {
        let (mut y, mut dx) = ([9.0; 4], [9.0; 8]);
        mean_positions(2, 2, &[1.0, 2.0, 3.0, 6.0, 0.0, 0.0, 4.0, 2.0], &mut y);
        assert_eq!(y, [2.0, 4.0, 2.0, 1.0]);
        spread_positions(2, 2, &[2.0, 4.0, 6.0, 8.0], &mut dx);
        assert_eq!(dx, [1.0, 2.0, 1.0, 2.0, 3.0, 4.0, 3.0, 4.0]);
    }
}
