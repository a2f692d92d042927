//! Single layers of tensors: on the CPU in f32 a stretch of one layer (see [`crate::tape`]), elsewhere
//! and in f64 in candle's own ops, against which the kernels are tested.
//!
//! Every function takes `lanes`: 1 for a batch of numbers, 2 for a batch of dual numbers (values
//! stacked over tangents, see [`crate::Dual`]).

pub(crate) mod activation;
pub(crate) mod conv;
pub(crate) mod distance;
pub(crate) mod linear;
pub(crate) mod norm;
pub(crate) mod path;
pub(crate) mod pool;
pub(crate) mod products;
pub(crate) mod step;

use candle::{Result, Tensor};

/// 1 for each example of the value half, 0 for each of the tangent half: shape `[R, 1, .., 1]`.
/// Constants that are added (biases) have no derivative along the direction.
fn value_rows(x: &Tensor, lanes: usize) -> Result<Tensor> {
    let rows = x.dims()[0];
    let mut shape = vec![1; x.rank()];
    shape[0] = rows;
    let mask: Vec<f32> = (0..rows).map(|row| f32::from(u8::from(row < rows / lanes))).collect();
    Tensor::from_vec(mask, shape, x.device())?.to_dtype(x.dtype())
}

/// x + bias, the bias (per channel) on the value half alone: the candle path of every bias.
fn add_bias(x: &Tensor, bias: Option<&Tensor>, lanes: usize) -> Result<Tensor> {
    match bias {
        None => Ok(x.clone()),
        Some(bias) if lanes == 1 => x.broadcast_add(bias),
        Some(bias) => x.broadcast_add(&value_rows(x, lanes)?.broadcast_mul(bias)?),
    }
}

/// The value half of x, and x as both halves' list of parts (one or two tensors).
fn halves(x: &Tensor, lanes: usize) -> Result<Vec<Tensor>> {
    x.chunk(lanes, 0)
}
