//! ReLU and leaky ReLU. The derivative at 0 is the slope, so that ReLU's is 0 (candle's own is 1).

use candle::{Result, Tensor};

use super::{halves, path::takes_kernels};
use crate::layers::Layers as _;
use crate::tape::stretch;

/// x where the value is positive, `slope` · x elsewhere; a tangent takes its value's branch.
pub(crate) fn leaky_relu(x: &Tensor, slope: f64, lanes: usize) -> Result<Tensor> {
    if takes_kernels(x) {
        return stretch(x, lanes, |x| x.leaky_relu(slope));
    }
    x * branch(x, slope, lanes)?
}

/// 1 or `slope` for each number, by the sign of its value: a constant of the graph.
fn branch(x: &Tensor, slope: f64, lanes: usize) -> Result<Tensor> {
    let value = &halves(&x.detach(), lanes)?[0];
    let positive = value.gt(&value.zeros_like()?)?.to_dtype(x.dtype())?;
    let factor = positive.affine(1.0 - slope, slope)?;
    Tensor::cat(&vec![&factor; lanes], 0)
}
