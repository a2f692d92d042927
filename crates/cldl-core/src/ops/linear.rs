//! x Wᵀ + b.

use candle::{Result, Tensor};

use super::{add_bias, path::takes_kernels};
use crate::layers::Layers as _;
use crate::tape::stretch;

/// y = x Wᵀ, plus b on the value half: x `[R, In]`, `weight` `[Out, In]`, `bias` `[Out]`.
pub(crate) fn linear(
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    lanes: usize,
) -> Result<Tensor> {
    if takes_kernels(x) {
        return stretch(x, lanes, |x| x.linear(weight, bias));
    }
    add_bias(&x.matmul(&weight.t()?)?, bias, lanes)
}
