//! 2x2 max pooling. Its gradient goes whole to the first maximum of a window, as in PyTorch; candle's
//! own backward pass hands out a quarter of it.

use candle::{Result, Tensor};

use super::{halves, path::takes_kernels};
use crate::layers::Layers as _;
use crate::tape::{Traced, stretch};

/// Maximum of each 2x2 window of `[R, H, W, Ch]`: `[R, H/2, W/2, Ch]`; an odd last row or column is
/// dropped. A tangent is taken at the position of its value's maximum.
pub(crate) fn max_pool2(x: &Tensor, lanes: usize) -> Result<Tensor> {
    if takes_kernels(x) {
        return stretch(x, lanes, Traced::max_pool2);
    }
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
