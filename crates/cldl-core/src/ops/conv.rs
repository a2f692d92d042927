//! Convolution of `[R, H, W, Ch]` with weights `[O, Ch, K, K]` and its gradients.

use candle::{Result, Tensor, bail};

use super::kernel_op::{graph_op2, graph_op3, run1, run2, wanted};
use super::{add_bias, path::takes_kernels};
use crate::kernels::{ConvShape, bias_grad, conv_forward, conv_input_grad, conv_weight_grad};

/// How a square window moves over an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Geometry {
    /// Pixels from one window to the next.
    pub stride: usize,
    /// Zeros added on each side.
    pub padding: usize,
}

impl Default for Geometry {
    fn default() -> Self {
        Self { stride: 1, padding: 0 }
    }
}

/// y = x ∗ w, plus b on the value half: `[R, H', W', O]`.
pub(crate) fn conv2d(
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    geometry: Geometry,
    lanes: usize,
) -> Result<Tensor> {
    let shape = conv_shape(x, weight, geometry)?;
    if !takes_kernels(x) {
        return conv2d_in_candle(x, weight, bias, geometry, lanes);
    }
    let out = (shape.batch, shape.out_h(), shape.out_w(), shape.out_ch);
    let biased = shape.batch / lanes;
    match bias {
        None => graph_op2(
            "conv2d",
            [x, weight],
            out,
            move |[x, w], y| conv_forward(&shape, x, w, None, 0, y),
            move |[x, w], _, dy| {
                Ok([
                    wanted(x, || input_gradient(&shape, w, dy))?,
                    wanted(w, || weight_gradient(&shape, x, dy))?,
                ])
            },
        ),
        Some(bias) => graph_op3(
            "conv2d",
            [x, weight, bias],
            out,
            move |[x, w, b], y| conv_forward(&shape, x, w, Some(b), biased, y),
            move |[x, w, b], _, dy| {
                Ok([
                    wanted(x, || input_gradient(&shape, w, dy))?,
                    wanted(w, || weight_gradient(&shape, x, dy))?,
                    wanted(b, || bias_gradient(dy, lanes))?,
                ])
            },
        ),
    }
}

fn conv_shape(x: &Tensor, weight: &Tensor, geometry: Geometry) -> Result<ConvShape> {
    let (batch, in_h, in_w, in_ch) = x.dims4()?;
    let (out_ch, weight_ch, kernel, kernel_w) = weight.dims4()?;
    let Geometry { stride, padding } = geometry;
    if weight_ch != in_ch || kernel != kernel_w {
        bail!("conv2d: weight {:?} does not fit images {:?}", weight.dims(), x.dims());
    }
    if stride == 0 || in_h + 2 * padding < kernel || in_w + 2 * padding < kernel {
        bail!(
            "conv2d: no window of {kernel} fits {in_h}x{in_w} (stride {stride}, padding {padding})"
        );
    }
    Ok(ConvShape { batch, in_h, in_w, in_ch, out_ch, kernel, stride, padding })
}

fn input_gradient(shape: &ConvShape, weight: &Tensor, dy: &Tensor) -> Result<Tensor> {
    let shape = *shape;
    let out = (shape.batch, shape.in_h, shape.in_w, shape.in_ch);
    run2("conv2d input gradient", [dy, weight], out, move |[dy, w], dx| {
        conv_input_grad(&shape, dy, w, dx);
    })
}

fn weight_gradient(shape: &ConvShape, x: &Tensor, dy: &Tensor) -> Result<Tensor> {
    let shape = *shape;
    let out = (shape.out_ch, shape.in_ch, shape.kernel, shape.kernel);
    run2("conv2d weight gradient", [x, dy], out, move |[x, dy], dw| {
        conv_weight_grad(&shape, x, dy, dw);
    })
}

/// Sum of the value half over everything but the channel.
pub(super) fn bias_gradient(dy: &Tensor, lanes: usize) -> Result<Tensor> {
    let channels = dy.dims()[dy.rank() - 1];
    run1("bias gradient", dy, channels, move |[dy], db| {
        bias_grad(channels, &dy[..dy.len() / lanes], db);
    })
}

fn conv2d_in_candle(
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    Geometry { stride, padding }: Geometry,
    lanes: usize,
) -> Result<Tensor> {
    let x = x.permute((0, 3, 1, 2))?.contiguous()?;
    let y = x.conv2d(weight, padding, stride, 1, 1)?;
    add_bias(&y.permute((0, 2, 3, 1))?.contiguous()?, bias, lanes)
}
