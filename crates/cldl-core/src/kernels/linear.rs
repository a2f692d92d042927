//! The linear layer `y = x Wᵀ + b` and its gradients, as products of the `gemm` crate.
#![allow(unsafe_code, reason = "gemm's interface is raw pointers")]

use gemm::Parallelism;
use rayon::prelude::*;
use tracing::instrument;

/// `y = x Wᵀ + b`, with `b` added to the first `biased` rows only: the rest of a dual number is its
/// tangent.
///
/// # Shapes
/// - `x`: `[rows, in_features]`; `weight`: `[out_features, in_features]`; `bias`: `[out_features]`
/// - `y`: `[rows, out_features]`, overwritten
///
/// # Panics
/// If the length of a slice contradicts the shape.
#[instrument(level = "trace", skip_all, fields(
    shape = format!("{rows} rows, {in_features} to {out_features}"),
    macs = rows * in_features * out_features,
    moved = x.len() + weight.len() + y.len(),
))]
#[expect(clippy::too_many_arguments, reason = "a plain function on slices")]
pub fn linear_forward(
    rows: usize,
    in_features: usize,
    out_features: usize,
    x: &[f32],
    weight: &[f32],
    bias: Option<&[f32]>,
    biased: usize,
    y: &mut [f32],
) {
    let (x, weight) =
        (Matrix::new(x, rows, in_features), Matrix::new(weight, out_features, in_features));
    y.fill(0.0);
    if let Some(bias) = bias {
        y.chunks_exact_mut(out_features).take(biased).for_each(|y| y.copy_from_slice(bias));
    }
    add_product(x, weight.transposed(), y);
}

/// Gradient of the input: `dx = dy W`.
///
/// # Shapes
/// - `dy`: `[rows, out_features]`; `weight`: `[out_features, in_features]`
/// - `dx`: `[rows, in_features]`, overwritten
///
/// # Panics
/// If the length of a slice contradicts the shape.
#[instrument(level = "trace", skip_all, fields(
    shape = format!("{rows} rows, {in_features} to {out_features}"),
    macs = rows * in_features * out_features,
    moved = dy.len() + weight.len() + dx.len(),
))]
pub fn linear_input_grad(
    rows: usize,
    in_features: usize,
    out_features: usize,
    dy: &[f32],
    weight: &[f32],
    dx: &mut [f32],
) {
    dx.fill(0.0);
    let weight = Matrix::new(weight, out_features, in_features);
    add_product(Matrix::new(dy, rows, out_features), weight, dx);
}

/// Gradient of the weight: `dW = dyᵀ x`.
///
/// # Shapes
/// - `x`: `[rows, in_features]`; `dy`: `[rows, out_features]`
/// - `dw`: `[out_features, in_features]`, overwritten
///
/// # Panics
/// If the length of a slice contradicts the shape.
#[instrument(level = "trace", skip_all, fields(
    shape = format!("{rows} rows, {in_features} to {out_features}"),
    macs = rows * in_features * out_features,
    moved = x.len() + dy.len() + dw.len(),
))]
pub fn linear_weight_grad(
    rows: usize,
    in_features: usize,
    out_features: usize,
    x: &[f32],
    dy: &[f32],
    dw: &mut [f32],
) {
    dw.fill(0.0);
    let dy = Matrix::new(dy, rows, out_features);
    add_product(dy.transposed(), Matrix::new(x, rows, in_features), dw);
}

/// A view of a row-major matrix or of its transpose.
#[derive(Debug, Clone, Copy)]
struct Matrix<'a> {
    data: &'a [f32],
    rows: usize,
    cols: usize,
    row_stride: usize,
    col_stride: usize,
}

impl<'a> Matrix<'a> {
    fn new(data: &'a [f32], rows: usize, cols: usize) -> Self {
        assert_eq!(data.len(), rows * cols);
        Self { data, rows, cols, row_stride: cols, col_stride: 1 }
    }

    fn transposed(self) -> Self {
        Self {
            rows: self.cols,
            cols: self.rows,
            row_stride: self.col_stride,
            col_stride: self.row_stride,
            ..self
        }
    }
}

/// Rows and columns of the blocks in which a product is computed. Constants, and `gemm` itself is
/// told nothing of threads: so the order of every sum depends on the shapes alone.
const BLOCK_ROWS: usize = 256;
const BLOCK_COLS: usize = 256;

/// `out += a b`, with `out` row-major.
fn add_product(a: Matrix, b: Matrix, out: &mut [f32]) {
    assert_eq!(a.cols, b.rows);
    assert_eq!(out.len(), a.rows * b.cols);
    let row_blocks = (0..a.rows).into_par_iter().step_by(BLOCK_ROWS);
    let blocks = row_blocks
        .flat_map(|row| (0..b.cols).into_par_iter().step_by(BLOCK_COLS).map(move |col| (row, col)));
    let out = Pointer(out.as_mut_ptr());
    blocks.for_each(|(row, col)| {
        let (rows, cols) = (BLOCK_ROWS.min(a.rows - row), BLOCK_COLS.min(b.cols - col));
        // SAFETY: each view covers its slice, `out` has the product's shape, blocks are disjoint.
        unsafe {
            gemm::gemm(
                rows,
                cols,
                a.cols,
                out.at(row * b.cols + col),
                1,
                b.cols.cast_signed(),
                true,
                a.data.as_ptr().add(row * a.row_stride),
                a.col_stride.cast_signed(),
                a.row_stride.cast_signed(),
                b.data.as_ptr().add(col * b.col_stride),
                b.col_stride.cast_signed(),
                b.row_stride.cast_signed(),
                1.0,
                1.0,
                false,
                false,
                false,
                Parallelism::None,
            );
        }
    });
}

/// A place to write to from several threads, each in a block of its own.
#[derive(Clone, Copy)]
struct Pointer(*mut f32);

impl Pointer {
    /// A method, because a closure that named the field would capture the bare pointer.
    unsafe fn at(self, offset: usize) -> *mut f32 {
        // SAFETY: the caller promises that the offset lies inside.
        unsafe { self.0.add(offset) }
    }
}

// SAFETY: the threads write to disjoint blocks.
unsafe impl Send for Pointer {}
// SAFETY: the same.
unsafe impl Sync for Pointer {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Stream;

    /// Rows, input and output features: the layers of LeNet-5 and odd ones.
    const SHAPES: [(usize, usize, usize); 8] = [
        (128, 800, 500),
        (128, 500, 64),
        (128, 64, 10),
        (256, 800, 500),
        (1, 800, 500),
        (3, 7, 5),
        (2, 1, 1),
        (33, 500, 1),
    ];

    fn random(purpose: &str, len: usize) -> Vec<f32> {
        let mut stream = Stream::new(1, purpose, &[len as u64]);
        (0..len).map(|_| 2.0 * stream.uniform() - 1.0).collect()
    }

    fn operands((rows, inputs, outputs): (usize, usize, usize)) -> [Vec<f32>; 4] {
        [("x", rows * inputs), ("dy", rows * outputs), ("w", outputs * inputs), ("b", outputs)]
            .map(|(purpose, len)| random(purpose, len))
    }

    fn all(shape: (usize, usize, usize), biased: usize) -> [Vec<f32>; 3] {
        let (rows, inputs, outputs) = shape;
        let [x, dy, weight, bias] = operands(shape);
        let mut y = vec![f32::NAN; dy.len()];
        let mut dx = vec![f32::NAN; x.len()];
        let mut dw = vec![f32::NAN; weight.len()];
        linear_forward(rows, inputs, outputs, &x, &weight, Some(&bias), biased, &mut y);
        linear_input_grad(rows, inputs, outputs, &dy, &weight, &mut dx);
        linear_weight_grad(rows, inputs, outputs, &x, &dy, &mut dw);
        [y, dx, dw]
    }

    fn assert_close(ours: &[f32], expected: &[f64], terms: usize) {
        for (ours, expected) in ours.iter().zip(expected) {
            let error = (f64::from(*ours) - expected).abs();
            assert!(
                error <= 4.0 * f64::from(f32::EPSILON) * terms as f64,
                "{ours}, not {expected}"
            );
        }
    }

    #[test]
    fn layers_match_the_definition() {
        for shape in SHAPES {
            let (rows, inputs, outputs) = shape;
            let [x, dy, weight, bias] = operands(shape);
            let biased = rows / 2;
            let mut y = vec![0.0; dy.len()];
            let mut dx = vec![0.0; x.len()];
            let mut dw = vec![0.0; weight.len()];
            for (r, o) in (0..rows).flat_map(|r| (0..outputs).map(move |o| (r, o))) {
                let at = r * outputs + o;
                y[at] = if r < biased { f64::from(bias[o]) } else { 0.0 };
                for i in 0..inputs {
                    let (x, w) = (f64::from(x[r * inputs + i]), f64::from(weight[o * inputs + i]));
                    y[at] += x * w;
                    dx[r * inputs + i] += f64::from(dy[at]) * w;
                    dw[o * inputs + i] += f64::from(dy[at]) * x;
                }
            }
            let ours = all(shape, biased);
            assert_close(&ours[0], &y, inputs + 1);
            assert_close(&ours[1], &dx, outputs);
            assert_close(&ours[2], &dw, rows);
        }
    }

    #[test]
    fn bits_do_not_depend_on_threads() {
        for shape in SHAPES {
            let with = |threads| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                pool.install(|| {
                    all(shape, 1).map(|out| out.into_iter().map(f32::to_bits).collect())
                })
            };
            let one: [Vec<u32>; 3] = with(1);
            assert!((2..=4).all(|threads| with(threads) == one), "{shape:?}");
        }
    }
}
