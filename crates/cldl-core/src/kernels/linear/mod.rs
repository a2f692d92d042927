//! The linear layer `y = x Wᵀ + b` and its gradients.
//!
//! No factor is written anew: outputs are inner products of rows as they lie, and the gradients read whole
//! rows of one factor and single numbers of the other.

mod outputs;
mod product;

use super::arch::arch;
use outputs::Outputs;
use product::Product;
use tracing::instrument;

/// Rows of the result that one task computes: enough for what it reads of the other factor to pay. A
/// constant, like all sizes of blocks: so the order of every sum depends on the shapes alone.
const TASK: usize = 32;

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
    check([rows, in_features, out_features], x, weight, y);
    assert!(bias.is_none_or(|bias| bias.len() == out_features));
    let zeros = vec![0.0; out_features];
    let init = [bias.unwrap_or(&zeros), &zeros];
    arch().dispatch(Outputs { in_features, out_features, x, weight, init, biased, y });
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
    check([rows, in_features, out_features], dx, weight, dy);
    let (a, a_i, a_l) = (dy, out_features, 1);
    arch().dispatch(Product { a, a_i, a_l, b: weight, c: dx, columns: in_features });
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
    check([rows, in_features, out_features], x, dw, dy);
    let (a, a_i, a_l) = (dy, 1, out_features);
    arch().dispatch(Product { a, a_i, a_l, b: x, c: dw, columns: in_features });
}

/// Panics if the length of a layer's input, weight or output contradicts its rows and features.
fn check([rows, inputs, outputs]: [usize; 3], x: &[f32], weight: &[f32], y: &[f32]) {
    assert!(x.len() == rows * inputs && weight.len() == outputs * inputs);
    assert_eq!(y.len(), rows * outputs);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Stream;

    /// Rows, input and output features: the layers of LeNet-5 and odd ones.
    const SHAPES: [(usize, usize, usize); 9] = [
        (128, 800, 500),
        (128, 500, 64),
        (128, 64, 10),
        (256, 800, 500),
        (1, 800, 500),
        (3, 7, 5),
        (2, 1, 1),
        (33, 500, 1),
        (70, 19, 37),
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
