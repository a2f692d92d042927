//! Convolution, 2 by 2 max pooling and activation of one example while it is in the cache.
//!
//! The convolution's outputs are four times what is left of them: they are not written to memory.

use super::ConvShape;
use super::forward::by_example;
use super::outputs::Outputs;
use super::windows::Windows;
use crate::kernels::activation::{Backward, Forward};
use crate::kernels::arch::{Registers, arch};
use crate::kernels::pool::{Gather, Grid, Max};
use crate::kernels::scratch::with_scratch;
use crate::kernels::{Finish, Images};
use pulp::{Simd, WithSimd};
use rayon::prelude::*;
use tracing::instrument;

/// `y = leaky_relu(max(conv(x)))`, the maximum over windows of 2 by 2 as in
/// [`max_pool2_forward`](crate::kernels::max_pool2_forward). With two `lanes` the second half of the
/// images are tangents, which the bias does not reach.
///
/// # Shapes
/// - `x`: `[B, H, W, C]`; `weight`: `[O, C, K, K]`; `bias`: `[O]`
/// - `y`: `[B, out_h/2, out_w/2, O]`, overwritten but for the first `known` lanes, which it holds
/// - `argmax`: `[B / lanes, out_h/2, out_w/2, O]`, 0.0 to 3.0: overwritten if no lane is known
///
/// # Panics
/// If the length of a slice contradicts the shape.
#[instrument(level = "trace", skip_all, fields(
    %shape,
    macs = shape.macs_of(shape.batch - known * shape.batch / lanes),
    moved = x.moved() + weight.len() + y.len() + argmax.len(),
))]
#[expect(clippy::too_many_arguments, reason = "a plain function on slices")]
pub fn conv_pool_forward(
    shape: &ConvShape,
    lanes: usize,
    known: usize,
    x: Images<'_>,
    weight: &[f32],
    bias: Option<&[f32]>,
    slope: f32,
    y: &mut [f32],
    argmax: &mut [f32],
) {
    let grid = shape.pooled();
    assert!(x.len() == shape.batch * shape.in_len() && weight.len() == shape.weight_len());
    assert!(bias.is_none_or(|bias| bias.len() == shape.out_ch));
    assert_eq!(y.len(), shape.batch * grid.out_len());
    assert_eq!(argmax.len() * lanes, y.len());
    if !y.is_empty() {
        arch().dispatch(Pooled { shape, grid, lanes, known, x, weight, bias, slope, y, argmax });
    }
}

impl ConvShape {
    /// The outputs as windows see them.
    pub(super) fn pooled(&self) -> Grid {
        Grid { h: self.out_h(), w: self.out_w(), ch: self.out_ch }
    }
}

/// How the maxima of an image come about.
enum Way<'a> {
    /// In registers, where they can.
    Windows(Windows<'a>),
    /// From outputs in the cache.
    Outputs(Outputs),
}

struct Pooled<'a> {
    shape: &'a ConvShape,
    grid: Grid,
    lanes: usize,
    known: usize,
    x: Images<'a>,
    weight: &'a [f32],
    bias: Option<&'a [f32]>,
    slope: f32,
    y: &'a mut [f32],
    argmax: &'a mut [f32],
}

impl WithSimd for Pooled<'_> {
    type Output = ();

    fn with_simd<S: Simd>(self, simd: S) {
        let Self { shape, grid, lanes, known, x, weight, bias, slope, y, argmax } = self;
        let examples = shape.batch / lanes;
        let registers = Registers::of::<S>();
        let way = match Windows::new(shape, registers, weight, bias) {
            Some(windows) => Way::Windows(windows),
            None => Way::Outputs(Outputs::new(simd, shape, weight, bias, examples)),
        };
        let compute = |(example, (mut y, argmax)): (usize, (Vec<&mut [f32]>, &mut [f32]))| {
            for (lane, y) in y.iter_mut().enumerate().skip(known) {
                let (index, is_tangent) = (lane * examples + example, 0 < lane);
                match &way {
                    Way::Windows(windows) => {
                        windows.image(simd, &x, index, is_tangent, y, argmax);
                    }
                    Way::Outputs(outputs) => with_scratch(shape.out_len(), |all| {
                        outputs.image(simd, &x, index, Finish::default(), all);
                        if is_tangent {
                            simd.vectorize(Gather { grid, x: all, y, argmax });
                        } else {
                            simd.vectorize(Max { grid, x: all, y, argmax });
                        }
                    }),
                }
            }
            let [values, tangents @ ..] = &mut y[..] else { return };
            // The tangent first: it needs the value as it is.
            for d in tangents {
                simd.vectorize(Backward { slope, values, d });
            }
            if known == 0 {
                simd.vectorize(Forward { slope, values });
            }
        };
        by_example(y, examples, grid.out_len())
            .into_par_iter()
            .zip(argmax.par_chunks_exact_mut(grid.out_len()))
            .enumerate()
            .for_each(compute);
    }
}
