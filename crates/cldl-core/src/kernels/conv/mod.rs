//! 2-D convolution (cross-correlation, as in every deep learning library) and its gradients.

mod backward;
mod forward;
mod input_grad;
#[cfg(test)]
mod naive;
mod outputs;
mod padding;
mod planar_grad;
mod pointwise;
mod pooled;
mod pooled_grad;
mod products;
mod rgb_grad;
mod strided_grad;
#[cfg(test)]
mod tests;
mod weight_grad;
mod weight_rows;
mod windows;
mod winograd;

pub use backward::{InputGrad, WeightGrad, conv_backward};
pub use forward::{conv_forward, conv_forward_summed};
pub use pooled::conv_pool_forward;
pub use weight_grad::bias_grad;

/// Shapes of a 2-D convolution with a square kernel, the same stride and zero padding both ways.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConvShape {
    /// Images in the batch; a dual number counts twice.
    pub batch: usize,
    /// Height of an input image.
    pub in_h: usize,
    /// Width of an input image.
    pub in_w: usize,
    /// Channels of the input.
    pub in_ch: usize,
    /// Channels of the output.
    pub out_ch: usize,
    /// Height and width of the kernel.
    pub kernel: usize,
    /// Distance of neighboring windows.
    pub stride: usize,
    /// Rows and columns of zeros on each side of an image.
    pub padding: usize,
}

impl std::fmt::Display for ConvShape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { batch, in_h, in_w, in_ch, out_ch, kernel, stride, .. } = self;
        write!(f, "{batch} of {in_h}x{in_w}, {in_ch} to {out_ch}, {kernel}x{kernel}")?;
        if 1 < *stride { write!(f, ", stride {stride}") } else { Ok(()) }
    }
}

impl ConvShape {
    /// Height of an output image.
    pub fn out_h(&self) -> usize {
        self.windows(self.in_h)
    }

    /// Width of an output image.
    pub fn out_w(&self) -> usize {
        self.windows(self.in_w)
    }

    /// Floats in an input image.
    pub fn in_len(&self) -> usize {
        self.in_h * self.in_w * self.in_ch
    }

    /// Floats in an output image.
    pub fn out_len(&self) -> usize {
        self.out_h() * self.out_w() * self.out_ch
    }

    /// Floats in the weight.
    pub fn weight_len(&self) -> usize {
        self.out_ch * self.in_ch * self.kernel * self.kernel
    }

    /// Multiplications of one pass over the batch, those by padding zeros included.
    pub fn macs(&self) -> usize {
        self.macs_of(self.batch)
    }

    /// The same of so many images.
    fn macs_of(&self, images: usize) -> usize {
        images * self.out_h() * self.out_w() * self.weight_len()
    }

    fn windows(&self, size: usize) -> usize {
        let padded = size + 2 * self.padding;
        assert!(0 < self.kernel && self.kernel <= padded && 0 < self.stride, "{self:?}");
        (padded - self.kernel) / self.stride + 1
    }

    /// Position of a weight in OIHW order.
    fn weight_index(&self, out_ch: usize, in_ch: usize, row: usize, col: usize) -> usize {
        ((out_ch * self.in_ch + in_ch) * self.kernel + row) * self.kernel + col
    }
}
