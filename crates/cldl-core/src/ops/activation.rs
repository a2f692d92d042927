//! ReLU and leaky ReLU. The derivative at 0 is the slope, so that ReLU's is 0 (candle's own is 1).

use candle::{Result, Tensor};

use super::kernel_op::{graph_op1, run2};
use super::{halves, path::takes_kernels};
use crate::kernels::{leaky_relu_backward, leaky_relu_forward};

/// x where the value is positive, `slope` · x elsewhere; a tangent takes its value's branch.
pub(crate) fn leaky_relu(x: &Tensor, slope: f64, lanes: usize) -> Result<Tensor> {
    if !takes_kernels(x) {
        return x * branch(x, slope, lanes)?;
    }
    let slope = slope as f32;
    graph_op1(
        "leaky_relu",
        x,
        x.shape(),
        move |[x], y| leaky_relu_forward(lanes, slope, x, y),
        move |[x], _, dy| {
            let dx = run2("leaky_relu gradient", [x, dy], x.shape(), move |[x, dy], dx| {
                leaky_relu_backward(lanes, slope, x, dy, dx);
            })?;
            Ok([Some(dx)])
        },
    )
}

/// 1 or `slope` for each number, by the sign of its value: a constant of the graph.
fn branch(x: &Tensor, slope: f64, lanes: usize) -> Result<Tensor> {
    let value = &halves(&x.detach(), lanes)?[0];
    let positive = value.gt(&value.zeros_like()?)?.to_dtype(x.dtype())?;
    let factor = positive.affine(1.0 - slope, slope)?;
    Tensor::cat(&vec![&factor; lanes], 0)
}
