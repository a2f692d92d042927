//! The convolution and its gradients as their definitions say, in f64: what the kernels must match.

use super::ConvShape;

/// Calls `term(input, weight, output)` with the positions of every product of one convolution.
pub(super) fn each_product(shape: &ConvShape, mut term: impl FnMut(usize, usize, usize)) {
    let ConvShape { batch, in_h, in_w, in_ch, out_ch, kernel, stride, padding } = *shape;
    let (out_h, out_w) = (shape.out_h(), shape.out_w());
    for output in 0..batch * out_h * out_w * out_ch {
        let (o, q) = (output % out_ch, output / out_ch % out_w);
        let (p, b) = (output / out_ch / out_w % out_h, output / out_ch / out_w / out_h);
        for tap in 0..kernel * kernel {
            let (i, j) = (tap / kernel, tap % kernel);
            let (h, w) = (p * stride + i, q * stride + j);
            if padding <= h && h - padding < in_h && padding <= w && w - padding < in_w {
                for c in 0..in_ch {
                    let input = ((b * in_h + h - padding) * in_w + w - padding) * in_ch + c;
                    term(input, ((o * in_ch + c) * kernel + i) * kernel + j, output);
                }
            }
        }
    }
}

pub(super) fn forward(
    shape: &ConvShape,
    x: &[f32],
    weight: &[f32],
    bias: Option<&[f32]>,
    biased: usize,
) -> Vec<f64> {
    let mut y = vec![0.0; shape.batch * shape.out_len()];
    each_product(shape, |i, w, o| y[o] += f64::from(x[i]) * f64::from(weight[w]));
    if let Some(bias) = bias {
        let biased = y.chunks_exact_mut(shape.out_ch).take(biased * shape.out_h() * shape.out_w());
        biased.for_each(|y| y.iter_mut().zip(bias).for_each(|(y, b)| *y += f64::from(*b)));
    }
    y
}

pub(super) fn input_grad(shape: &ConvShape, dy: &[f32], weight: &[f32]) -> Vec<f64> {
    let mut dx = vec![0.0; shape.batch * shape.in_len()];
    each_product(shape, |i, w, o| dx[i] += f64::from(dy[o]) * f64::from(weight[w]));
    dx
}

pub(super) fn weight_grad(shape: &ConvShape, x: &[f32], dy: &[f32]) -> Vec<f64> {
    let mut dw = vec![0.0; shape.weight_len()];
    each_product(shape, |i, w, o| dw[w] += f64::from(x[i]) * f64::from(dy[o]));
    dw
}
