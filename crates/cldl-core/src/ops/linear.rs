//! x Wᵀ + b and its gradients.

use candle::{Result, Tensor, bail};

use super::conv::bias_gradient;
use super::kernel_op::{graph_op2, graph_op3, run2, wanted};
use super::{add_bias, path::takes_kernels};
use crate::kernels::{linear_forward, linear_input_grad, linear_weight_grad};

/// y = x Wᵀ, plus b on the value half: x `[R, In]`, `weight` `[Out, In]`, `bias` `[Out]`.
pub(crate) fn linear(
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    lanes: usize,
) -> Result<Tensor> {
    let (rows, inputs) = x.dims2()?;
    let (outputs, weight_inputs) = weight.dims2()?;
    if inputs != weight_inputs {
        bail!("linear: weight {:?} does not fit rows {:?}", weight.dims(), x.dims());
    }
    if !takes_kernels(x) {
        return add_bias(&x.matmul(&weight.t()?)?, bias, lanes);
    }
    let input_gradient = move |w: &Tensor, dy: &Tensor| {
        run2("linear input gradient", [dy, w], (rows, inputs), move |[dy, w], dx| {
            linear_input_grad(rows, inputs, outputs, dy, w, dx);
        })
    };
    let weight_gradient = move |x: &Tensor, dy: &Tensor| {
        run2("linear weight gradient", [x, dy], (outputs, inputs), move |[x, dy], dw| {
            linear_weight_grad(rows, inputs, outputs, x, dy, dw);
        })
    };
    match bias {
        None => graph_op2(
            "linear",
            [x, weight],
            (rows, outputs),
            move |[x, w], y| linear_forward(rows, inputs, outputs, x, w, None, 0, y),
            move |[x, w], _, dy| {
                Ok([wanted(x, || input_gradient(w, dy))?, wanted(w, || weight_gradient(x, dy))?])
            },
        ),
        Some(bias) => graph_op3(
            "linear",
            [x, weight, bias],
            (rows, outputs),
            move |[x, w, b], y| {
                linear_forward(rows, inputs, outputs, x, w, Some(b), rows / lanes, y);
            },
            move |[x, w, b], _, dy| {
                Ok([
                    wanted(x, || input_gradient(w, dy))?,
                    wanted(w, || weight_gradient(x, dy))?,
                    wanted(b, || bias_gradient(dy, lanes))?,
                ])
            },
        ),
    }
}
