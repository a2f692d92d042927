//! The convolution of a batch.

use super::ConvShape;
use super::outputs::Outputs;
use crate::kernels::arch::arch;
use crate::kernels::norm::{ExampleSums, norm_sums_of};
use crate::kernels::{Finish, Images, NormSums};
use pulp::{Simd, WithSimd};
use rayon::prelude::*;
use tracing::instrument;

/// Convolution of a batch with a weight:
///
/// `y[b, p, q, o] = bias[o] + Σ_{i,j,c} x[b, p·stride + i − padding, q·stride + j − padding, c] · w[o, c, i, j]`
///
/// The bias is added to the first `biased` images only: the rest of a dual number is its tangent,
/// which constants do not reach. Then `finish`, on numbers alone: dual numbers have `biased` half.
///
/// # Shapes
/// - `x`: `[B, H, W, C]`; `weight`: `[O, C, K, K]`; `bias`: `[O]`
/// - `y`: `[B, out_h, out_w, O]`, overwritten
///
/// # Panics
/// If the length of a slice contradicts the shape.
#[instrument(level = "trace", skip_all, fields(
    %shape, macs = shape.macs(), moved = x.moved() + weight.len() + y.len()
))]
pub fn conv_forward(
    shape: &ConvShape,
    x: Images<'_>,
    weight: &[f32],
    bias: Option<&[f32]>,
    biased: usize,
    finish: Finish<'_>,
    y: &mut [f32],
) {
    assert!(finish.residual.is_none_or(|residual| residual.len() == y.len()));
    let forward =
        Forward { shape, lanes: 1, known: 0, x, weight, bias, biased, finish, y, after: NoSums };
    arch().dispatch(forward);
}

/// [`conv_forward`] without bias and finish, and the sums that a normalization of the result needs,
/// taken of each example while it is still in the cache.
///
/// # Shapes
/// - as in [`conv_forward`]; with two `lanes` the second half of the images are tangents
/// - `y`: of the first `known` lanes it holds the results already
///
/// # Panics
/// If the length of a slice contradicts the shape.
#[instrument(level = "trace", skip_all, fields(
    %shape,
    macs = shape.macs_of(shape.batch - known * shape.batch / lanes),
    moved = x.moved() + weight.len() + y.len(),
))]
pub fn conv_forward_summed(
    shape: &ConvShape,
    lanes: usize,
    known: usize,
    x: Images<'_>,
    weight: &[f32],
    y: &mut [f32],
) -> NormSums {
    let (bias, finish) = (None, Finish::default());
    let forward =
        Forward { shape, lanes, known, x, weight, bias, biased: 0, finish, y, after: Sums };
    norm_sums_of(shape.out_ch, &arch().dispatch(forward))
}

struct Forward<'a, A> {
    shape: &'a ConvShape,
    lanes: usize,
    /// Lanes whose outputs are there.
    known: usize,
    x: Images<'a>,
    weight: &'a [f32],
    bias: Option<&'a [f32]>,
    biased: usize,
    finish: Finish<'a>,
    y: &'a mut [f32],
    after: A,
}

/// What is done with an example's outputs: those of an image, or of an image and its tangent.
trait After: Copy + Sync {
    type Output: Send;

    fn take<S: Simd>(self, simd: S, ch: usize, example: &[&mut [f32]]) -> Self::Output;
}

#[derive(Clone, Copy)]
struct NoSums;

impl After for NoSums {
    type Output = ();

    fn take<S: Simd>(self, _: S, _: usize, _: &[&mut [f32]]) {}
}

#[derive(Clone, Copy)]
struct Sums;

impl After for Sums {
    type Output = NormSums;

    fn take<S: Simd>(self, simd: S, ch: usize, example: &[&mut [f32]]) -> NormSums {
        let tangent = example.get(1).map(|tangent| &**tangent);
        simd.vectorize(ExampleSums { ch, value: &*example[0], tangent })
    }
}

impl<A: After> WithSimd for Forward<'_, A> {
    type Output = Vec<A::Output>;

    fn with_simd<S: Simd>(self, simd: S) -> Vec<A::Output> {
        let Self { shape, lanes, known, x, weight, bias, biased, finish, y, after } = self;
        assert_eq!(x.len(), shape.batch * shape.in_len());
        assert_eq!(y.len(), shape.batch * shape.out_len());
        let images = Outputs::new(simd, shape, weight, bias, biased);
        let examples = shape.batch / lanes;
        let compute = |(example, mut outputs): (usize, Vec<&mut [f32]>)| {
            for (lane, y) in outputs.iter_mut().enumerate().skip(known) {
                images.image(simd, &x, lane * examples + example, finish, y);
            }
            after.take(simd, shape.out_ch, &outputs)
        };
        by_example(y, examples, shape.out_len()).into_par_iter().enumerate().map(compute).collect()
    }
}

/// The images of each example, of `len` floats: its value and its tangents.
pub(super) fn by_example(y: &mut [f32], examples: usize, len: usize) -> Vec<Vec<&mut [f32]>> {
    let mut images: Vec<Vec<_>> = (0..examples).map(|_| Vec::with_capacity(2)).collect();
    for (image, y) in y.chunks_exact_mut(len).enumerate() {
        images[image % examples].push(y);
    }
    images
}
