//! Both gradients of a convolution in one pass over the images.
//!
//! An image's output gradient is made, or fetched, once; while it is in the cache the weight's
//! products are added up and the input's gradient is computed.

use super::ConvShape;
use super::input_grad::InputGradients;
use super::padding::Padding;
use super::weight_grad::{WeightGradients, chunk_images};
use crate::kernels::Images;
use crate::kernels::arch::arch;
use pulp::{Simd, WithSimd};
use rayon::prelude::*;
use tracing::instrument;

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
        let weights = of_weight.map(|WeightGrad { x, dw }| {
            let gradients = WeightGradients::new(shape, S::F32_LANES);
            (gradients, x, dw)
        });
        let inputs = of_input.map(|InputGrad { weight, dx, add }| {
            (InputGradients::new(shape, S::F32_LANES, weight), dx, add)
        });
        let dy_slack = weights.as_ref().map_or(0, |(gradients, ..)| gradients.dy_slack());
        let dense = Padding::none(shape.out_len()).with_slack(dy_slack);

        // The order of a weight's additions must depend on the shapes alone.
        let chunk = if weights.is_some() { chunk_images(shape) } else { 1 };
        let weights_of = weights.as_ref().map(|(gradients, x, _)| (gradients, x));
        let (inputs_of, dx, add) = match inputs {
            Some((gradients, dx, add)) => (Some(gradients), Some(dx), add),
            None => (None, None, false),
        };
        let work = |(first, mut dx): (usize, Option<&mut [f32]>)| {
            let mut sum = weights_of.map_or_else(Vec::new, |(gradients, _)| gradients.zeros());
            let mut images = dx.as_deref_mut().map(|dx| dx.chunks_exact_mut(shape.in_len()));
            for image in first..(first + chunk).min(shape.batch) {
                dense.with(simd, &dy, image, |dy_image| {
                    if let Some((gradients, x)) = weights_of {
                        let next = ahead(shape, x, &dy, image + 1);
                        gradients.image(simd, x, image, dy_image, next, &mut sum);
                    }
                    if let (Some(gradients), Some(images)) = (&inputs_of, &mut images)
                        && let Some(dx) = images.next()
                    {
                        gradients.image(simd, &dy_image[..shape.out_len()], dx, add);
                    }
                });
            }
            sum
        };
        let mut chunks: Vec<Option<&mut [f32]>> = match dx {
            Some(dx) => dx.chunks_mut(chunk * shape.in_len()).map(Some).collect(),
            None => Vec::new(),
        };
        if weights.is_some() {
            chunks.resize_with(shape.batch.div_ceil(chunk), || None);
        }
        let starts = (0..chunks.len()).map(|k| k * chunk).collect::<Vec<_>>();
        let partials: Vec<Vec<f32>> = starts.into_par_iter().zip(chunks).map(work).collect();
        if let Some((gradients, _, dw)) = weights {
            gradients.finish(&partials, dw);
        }
    }
}

/// What image `index` will read of the input and of the output's gradient.
fn ahead<'a>(shape: &ConvShape, x: &Images<'a>, dy: &Images<'a>, index: usize) -> [&'a [f32]; 3] {
    if shape.skips_input() || shape.batch <= index {
        return Default::default();
    }
    let [x, _] = x.read(index * shape.in_len()..(index + 1) * shape.in_len());
    let [dy, raw] = dy.read(index * shape.out_len()..(index + 1) * shape.out_len());
    [x, dy, raw]
}
