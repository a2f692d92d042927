//! 2x2 max pooling. Its gradient goes whole to the first maximum of a window, as in PyTorch; candle's
//! own backward pass hands out a quarter of it.

use std::sync::{Arc, OnceLock};

use candle::{Result, Tensor};

use super::kernel_op::{graph_op1, run1};
use super::{halves, path::takes_kernels};
use crate::kernels::{max_pool2_backward, max_pool2_forward};

/// Maximum of each 2x2 window of `[R, H, W, Ch]`: `[R, H/2, W/2, Ch]`; an odd last row or column is
/// dropped. A tangent is taken at the position of its value's maximum.
pub(crate) fn max_pool2(x: &Tensor, lanes: usize) -> Result<Tensor> {
    if !takes_kernels(x) {
        return max_pool2_in_candle(x, lanes);
    }
    let (rows, h, w, ch) = x.dims4()?;
    let values = rows / lanes;
    // Written by the forward pass, read by the backward pass of the same op.
    let winners: Arc<OnceLock<Vec<u8>>> = Arc::default();
    let found = winners.clone();
    graph_op1(
        "max_pool2",
        x,
        (rows, h / 2, w / 2, ch),
        move |[x], y| {
            let mut argmax = vec![0u8; y.len() / lanes];
            max_pool2_forward(values, h, w, ch, lanes, x, y, &mut argmax);
            found.get_or_init(|| argmax);
        },
        move |_, _, dy| {
            let winners = winners.clone();
            let dx = run1("max_pool2 gradient", dy, (rows, h, w, ch), move |[dy], dx| {
                let argmax = winners.get().map_or(&[][..], Vec::as_slice);
                max_pool2_backward(values, h, w, ch, lanes, dy, argmax, dx);
            })?;
            Ok([Some(dx)])
        },
    )
}

fn max_pool2_in_candle(x: &Tensor, lanes: usize) -> Result<Tensor> {
    let (rows, h, w, ch) = x.dims4()?;
    let even = x.narrow(1, 0, h / 2 * 2)?.narrow(2, 0, w / 2 * 2)?.contiguous()?;
    let windows = even.reshape((rows, h / 2, 2, w / 2, 2, ch))?;
    let corner =
        |k: usize| windows.narrow(2, k / 2, 1)?.narrow(4, k % 2, 1)?.squeeze(4)?.squeeze(2);
    let corners = (0..4).map(corner).collect::<Result<Vec<_>>>()?;
    let values: Vec<Tensor> = corners
        .iter()
        .map(|corner| Ok(halves(&corner.detach(), lanes)?[0].clone()))
        .collect::<Result<_>>()?;
    // Corner k wins when it beats every earlier corner and no later one beats it.
    let mut y: Option<Tensor> = None;
    for (k, corner) in corners.iter().enumerate() {
        let mut wins = values[k].ones_like()?;
        for (other, value) in values.iter().enumerate() {
            if other != k {
                let beats = if other < k { values[k].gt(value)? } else { values[k].ge(value)? };
                wins = (wins * beats.to_dtype(x.dtype())?)?;
            }
        }
        let part = (corner * Tensor::cat(&vec![&wins; lanes], 0)?)?;
        y = Some(match y {
            None => part,
            Some(sum) => (sum + part)?,
        });
    }
    y.map_or_else(|| x.narrow(0, 0, 0), Ok)
}
