//! A convolution, its pooling and its activation on the tape: neither the convolution's outputs nor
//! their gradients are written to memory.

use std::sync::Arc;

use candle::{Result, Tensor};

use super::buffer::Buffer;
use super::conv_norm::Conv;
use super::traced::{Data, Param, Traced};
use crate::kernels::{self, Images, Unpooled, leaky_relu_backward};
use crate::ops::conv::Geometry;

/// [`crate::Layers::conv_pool`].
pub(super) fn conv_pool(
    x: &Traced,
    weight: &Tensor,
    bias: Option<&Tensor>,
    geometry: Geometry,
    slope: f64,
) -> Result<Traced> {
    let conv = Conv::new(x, weight, geometry)?;
    let bias = bias.map(|bias| x.param(bias)).transpose()?;
    let (shape, lanes, slope) = (conv.shape, x.lanes(), slope as f32);
    let dims = vec![shape.batch, shape.out_h() / 2, shape.out_w() / 2, shape.out_ch];
    let (mut y, known) = x.result(dims.iter().product());
    let recalled = x.beside_result(y.len() / lanes).filter(|_| known > 0);
    let known = if recalled.is_some() { known } else { 0 };
    let mut argmax = recalled.unwrap_or_else(|| Buffer::stale(y.len() / lanes));
    let b = bias.as_ref().map(Param::floats);
    let (images, w) = (conv.x.images(), conv.weight.floats());
    kernels::conv_pool_forward(&shape, lanes, known, images, w, b, slope, &mut y, &mut argmax);
    let tracked = conv.weight.tracked() || bias.as_ref().is_some_and(Param::tracked);
    let (y, argmax) = (Arc::new(y), Arc::new(argmax));
    x.leave(&y, Some(&argmax));
    let signs = y.clone();
    Ok(x.then(Data::Stored(y), dims, tracked, move |dy, sink| {
        let own = sink.own(dy.len());
        leaky_relu_backward(lanes, slope, &signs, &mut dy[..own]);
        if let Some(bias) = &bias {
            // What a window's other pixels get is 0.
            let values = &dy[..dy.len() / lanes];
            sink.add_param(bias, |db| kernels::bias_grad(shape.out_ch, values, db));
        }
        let dims = [shape.out_h(), shape.out_w(), shape.out_ch];
        conv.backward(Images::Unpooled(Unpooled { dims, dy, argmax: &argmax }), sink);
    }))
}
