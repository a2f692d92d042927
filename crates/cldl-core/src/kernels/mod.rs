//! CPU kernels on plain f32 slices: the arithmetic behind the differentiable ops, without candle.
//!
//! Activations are contiguous NHWC, weights are in PyTorch's OIHW order. The instruction set
//! (AVX-512, AVX2 with FMA, NEON or plain scalars) is chosen at run time; work is parallel over
//! images, and every sum has an order that depends on the shapes alone, so a result has the same
//! bytes for any number of threads. Hidden from the docs: public for the benchmarks only.
#![allow(
    clippy::inline_always,
    reason = "an intrinsic is one instruction only if it is inlined up to where its set is enabled"
)]
#![cfg_attr(test, allow(clippy::float_cmp, reason = "these numbers have no rounding errors"))]

mod activation;
mod aligned;
mod alone;
mod arch;
mod channels;
mod conv;
mod distance;
mod dots;
mod finish;
mod images;
mod lanes;
mod linear;
mod norm;
mod peak;
mod pool;
mod prefetch;
mod products;
mod rearrange;
mod scratch;
mod sized;
mod slide;
mod step;
mod tile;
mod tiles;
mod turn;
mod unroll;
mod vector;

pub(crate) use aligned::Aligned;

pub use activation::{add_assign, leaky_relu, leaky_relu_backward};
pub use alone::{Alone, Layer, Pass, lenet5_layers, resnet20_layers};
pub use conv::{
    ConvShape, InputGrad, WeightGrad, bias_grad, conv_backward, conv_forward, conv_forward_summed,
    conv_pool_forward,
};
pub use distance::{scaled_difference, squared_distance};
pub use finish::Finish;
pub use images::{Backward, Images, Normed, Unpooled};
pub use linear::{linear_forward, linear_input_grad, linear_weight_grad};
pub use norm::{NormGradient, NormStats, NormSums, channel_affine, norm_sums};
pub use peak::{fma_peak, memory_bandwidth};
pub use pool::{max_pool2_backward, max_pool2_forward};
pub use products::{combine_rows, row_products};
pub use rearrange::{mean_positions, spread_positions, transpose_images};
pub use step::{l1_norms, sign_step};
