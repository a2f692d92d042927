//! Convolution of `[R, H, W, Ch]` with weights `[O, Ch, K, K]`.

use candle::{Result, Tensor, bail};

use super::{add_bias, path::takes_kernels};
use crate::kernels::ConvShape;
use crate::layers::Layers as _;
use crate::tape::stretch;

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
    if takes_kernels(x) {
        return stretch(x, lanes, |x| x.conv2d(weight, bias, geometry));
    }
    conv_shape(x.dims(), weight, geometry)?;
    let Geometry { stride, padding } = geometry;
    let x = x.permute((0, 3, 1, 2))?.contiguous()?;
    let y = x.conv2d(weight, padding, stride, 1, 1)?;
    add_bias(&y.permute((0, 2, 3, 1))?.contiguous()?, bias, lanes)
}

/// The shapes of a convolution of images of shape `dims`.
pub(crate) fn conv_shape(dims: &[usize], weight: &Tensor, geometry: Geometry) -> Result<ConvShape> {
    let &[batch, in_h, in_w, in_ch] = dims else { bail!("conv2d: {dims:?} are no images") };
    let (out_ch, weight_ch, kernel, kernel_w) = weight.dims4()?;
    let Geometry { stride, padding } = geometry;
    if weight_ch != in_ch || kernel != kernel_w {
        bail!("conv2d: weight {:?} does not fit images {dims:?}", weight.dims());
    }
    if stride == 0 || in_h + 2 * padding < kernel || in_w + 2 * padding < kernel {
        bail!(
            "conv2d: no window of {kernel} fits {in_h}x{in_w} (stride {stride}, padding {padding})"
        );
    }
    Ok(ConvShape { batch, in_h, in_w, in_ch, out_ch, kernel, stride, padding })
}
