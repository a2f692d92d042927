//! Both gradients of a convolution in one pass over the images.
//!
//! An image's output gradient is made, or fetched, once; while it is in the cache the weight's
//! products are added up and the input's gradient is computed.

use super::ConvShape;
use super::input_grad::InputGradients;
use super::padding::Padding;
use super::pooled_grad::PooledGradients;
use super::weight_grad::{WeightGradients, chunk_images};
use crate::kernels::Images;
use crate::kernels::arch::{Registers, arch};
use pulp::{Simd, WithSimd};
use rayon::prelude::*;
use tracing::instrument;

/// Floats of the weight that one task adds up.
const SLICE: usize = 4096;

/// Gradient of a convolution's weight:
///
/// `dw[o, c, i, j] = Σ_{b,p,q} x[b, p·stride + i − padding, q·stride + j − padding, c] · dy[b, p, q, o]`
#[derive(Debug)]
pub struct WeightGrad<'a> {
    /// The convolution's input, `[B, H, W, C]`.
    pub x: Images<'a>,
    /// `[O, C, K, K]`, overwritten.
    pub dw: &'a mut [f32],
}

/// Gradient of a convolution's input:
///
/// `dx[b, h, w, c] = Σ_{o,i,j} dy[b, (h + padding − i) / stride, (w + padding − j) / stride, o] · w[o, c, i, j]`
///
/// over the `i`, `j` for which the divisions leave no remainder.
#[derive(Debug)]
pub struct InputGrad<'a> {
    /// `[O, C, K, K]`.
    pub weight: &'a [f32],
    /// `[B, H, W, C]`, or fewer images: the first ones alone are wanted then.
    pub dx: &'a mut [f32],
    /// Whether the gradient is added to what `dx` holds, or written over it.
    pub add: bool,
}

/// Gradients of a convolution for the gradient `dy` of its output, `[B, out_h, out_w, O]`: those that
/// are asked for.
///
/// # Panics
/// If the length of a slice contradicts the shape.
#[instrument(level = "trace", skip_all, fields(
    %shape,
    macs = of_weight.as_ref().map_or(0, |_| shape.macs())
        + of_input.as_ref().map_or(0, |of| shape.macs_of(of.dx.len() / shape.in_len())),
    moved = dy.moved()
        + of_weight.as_ref().map_or(0, |of| of.x.moved() + of.dw.len())
        + of_input.as_ref().map_or(0, |of| of.weight.len() + (1 + usize::from(of.add)) * of.dx.len()),
))]
pub fn conv_backward(
    shape: &ConvShape,
    dy: Images<'_>,
    of_weight: Option<WeightGrad<'_>>,
    of_input: Option<InputGrad<'_>>,
) {
    assert_eq!(dy.len(), shape.batch * shape.out_len());
    if let Some(WeightGrad { x, dw }) = &of_weight {
        assert!(x.len() == shape.batch * shape.in_len() && dw.len() == shape.weight_len());
    }
    if let Some(InputGrad { weight, dx, .. }) = &of_input {
        assert!(dx.len() <= shape.batch * shape.in_len() && weight.len() == shape.weight_len());
        assert!(dx.len().is_multiple_of(shape.in_len()));
    }
    arch().dispatch(Backward { shape, dy, of_weight, of_input });
}

struct Backward<'a> {
    shape: &'a ConvShape,
    dy: Images<'a>,
    of_weight: Option<WeightGrad<'a>>,
    of_input: Option<InputGrad<'a>>,
}

impl WithSimd for Backward<'_> {
    type Output = ();

    fn with_simd<S: Simd>(self, simd: S) {
        let Self { shape, dy, of_weight, of_input } = self;
        let (mut x, mut dw) = (None, None);
        if let Some(of) = of_weight {
            (x, dw) = (Some(of.x), Some(of.dw));
        }
        let (mut weight, mut dx, mut add) = (None, None, false);
        if let Some(of) = of_input {
            (weight, dx, add) = (Some(of.weight), Some(of.dx), of.add);
        }
        let registers = Registers::of::<S>();
        if let Images::Unpooled(dy) = &dy
            && let Some(gradients) = PooledGradients::new(shape, registers, weight)
        {
            let len = x.map_or(0, |_| gradients.sum_len());
            let sum = each_image(shape, len, dx, |image, sum, dx| {
                if let Some(x) = &x {
                    gradients.add_weight(simd, x, image, dy, sum);
                }
                if let Some(dx) = dx {
                    gradients.input(simd, dy, image, dx, add);
                }
            });
            if let Some(dw) = dw {
                gradients.finish(&sum, dw);
            }
            return;
        }
        let of_weight = x.map(|x| (x, WeightGradients::new(shape, registers)));
        let of_input = weight.map(|weight| InputGradients::new(simd, shape, weight));
        let slack = of_weight.as_ref().map_or(0, |(_, gradients)| gradients.dy_slack());
        let dense = Padding::none(shape.out_len()).with_slack(slack);
        let len = of_weight.as_ref().map_or(0, |(_, gradients)| gradients.sum_len());
        let sum = each_image(shape, len, dx, |image, sum, dx| {
            dense.with(simd, &dy, image, |dy_image| {
                if let Some((x, gradients)) = &of_weight {
                    let next = ahead(shape, x, &dy, image + 1);
                    gradients.image(simd, x, image, dy_image, next, sum);
                }
                if let (Some(gradients), Some(dx)) = (&of_input, dx) {
                    gradients.image(simd, &dy_image[..shape.out_len()], dx, add);
                }
            });
        });
        if let (Some((_, gradients)), Some(dw)) = (of_weight, dw) {
            gradients.finish(simd, &sum, dw);
        }
    }
}

/// Calls `work` with the number of each image, what its chunk of images adds up, `sum_len` numbers, and
/// its part of `dx`, if it has one; returns the sum of all chunks.
fn each_image(
    shape: &ConvShape,
    sum_len: usize,
    dx: Option<&mut [f32]>,
    work: impl Fn(usize, &mut [f32], Option<&mut [f32]>) + Sync,
) -> Vec<f32> {
    // The order of a weight's additions must depend on the shapes alone.
    let chunk = if 0 < sum_len { chunk_images(shape) } else { 1 };
    let mut parts: Vec<Option<&mut [f32]>> = match dx {
        Some(dx) => dx.chunks_mut(chunk * shape.in_len()).map(Some).collect(),
        None => Vec::new(),
    };
    if 0 < sum_len {
        parts.resize_with(shape.batch.div_ceil(chunk), || None);
    }
    let sum_of = |(part, dx): (usize, Option<&mut [f32]>)| {
        let mut sum = vec![0.0; sum_len];
        let mut images = dx.into_iter().flat_map(|dx| dx.chunks_exact_mut(shape.in_len()));
        for image in part * chunk..((part + 1) * chunk).min(shape.batch) {
            work(image, &mut sum, images.next());
        }
        sum
    };
    let sums: Vec<Vec<f32>> = parts.into_par_iter().enumerate().map(sum_of).collect();
    let mut total = vec![0.0; sum_len];
    total.par_chunks_mut(SLICE).enumerate().for_each(|(slice, total)| {
        for sum in &sums {
            total.iter_mut().zip(&sum[slice * SLICE..]).for_each(|(total, sum)| *total += sum);
        }
    });
    total
}

/// What image `index` will read of the input and of the output's gradient.
fn ahead<'a>(shape: &ConvShape, x: &Images<'a>, dy: &Images<'a>, index: usize) -> [&'a [f32]; 3] {
    if shape.batch <= index {
        return Default::default();
    }
    let [x, _] = x.read(index * shape.in_len()..(index + 1) * shape.in_len());
    let [dy, raw] = dy.read(index * shape.out_len()..(index + 1) * shape.out_len());
    [x, dy, raw]
}
