//! A step of a sign-gradient attack, and the norm that momentum divides by.

use candle::{Result, Tensor, bail};

use super::path::takes_kernels;
use crate::kernels;
use crate::tape::with_floats;

/// `clamp(x + clamp(d + step_size · sign g, -eps, eps), 0, 1) - x`: the perturbation d of images x after
/// a step of size `step_size` along the gradient g; `sign 0 = 0`. Not part of any graph.
///
/// In candle's own ops that is ten tensors of the images' size; here it is one.
///
/// # Shapes
/// - `x`, `d`, `g`, and what is returned: the same
///
/// # Errors
/// If the shapes differ.
pub fn sign_step(x: &Tensor, d: &Tensor, g: &Tensor, step_size: f64, eps: f64) -> Result<Tensor> {
    if x.shape() != d.shape() || x.shape() != g.shape() {
        bail!("sign_step: {:?}, {:?} and {:?} differ", x.shape(), d.shape(), g.shape());
    }
    if [x, d, g].into_iter().all(takes_kernels) {
        let mut moved = with_floats(d, <[f32]>::to_vec)?;
        let (step_size, eps) = (step_size as f32, eps as f32);
        with_floats(x, |x| {
            with_floats(g, |g| kernels::sign_step(step_size, eps, x, g, &mut moved))
        })??;
        return Tensor::from_vec(moved, x.shape(), x.device());
    }
    let (x, d, g) = (x.detach(), d.detach(), g.detach());
    let moved = (d + (g.sign()? * step_size)?)?.clamp(-eps, eps)?;
    (&x + moved)?.clamp(0.0, 1.0)? - &x
}

/// `‖x‖₁` of each example. Not part of any graph.
///
/// # Shapes
/// - `x`: `[B, ..]`
/// - returns `[B, 1, .., 1]`
///
/// # Errors
/// If `x` is a scalar.
pub fn l1_norms(x: &Tensor) -> Result<Tensor> {
    let (x, batch) = (x.detach(), x.dim(0)?);
    if takes_kernels(&x) && 0 < x.elem_count() {
        let norms = with_floats(&x, |floats| kernels::l1_norms(floats.len() / batch, floats))?;
        let mut dims = vec![1; x.rank()];
        dims[0] = batch;
        return Tensor::from_vec(norms, dims, x.device());
    }
    (1..x.rank()).try_fold(x.abs()?, |norm, dim| norm.sum_keepdim(dim))
}

#[cfg(test)]
mod tests {
    use candle::{Device, Tensor};

    use super::{l1_norms, sign_step};
    use crate::{Stream, with_candle_ops};

    fn random(purpose: &str, dims: (usize, usize, usize)) -> Tensor {
        let len = dims.0 * dims.1 * dims.2;
        let mut stream = Stream::new(3, purpose, &[len as u64]);
        // Every seventh is 0: its sign too.
        let float = |i: usize| if i.is_multiple_of(7) { 0.0 } else { 1.4 * stream.uniform() - 0.2 };
        Tensor::from_vec((0..len).map(float).collect::<Vec<f32>>(), dims, &Device::Cpu).unwrap()
    }

    fn bits(x: &Tensor) -> Vec<u32> {
        x.flatten_all().unwrap().to_vec1::<f32>().unwrap().into_iter().map(f32::to_bits).collect()
    }

    #[test]
    fn a_step_is_that_of_candles_ops_to_the_bit() {
        for dims in [(1, 1, 1), (3, 5, 7), (70, 30, 31)] {
            let [x, d, g] = ["x", "d", "g"].map(|purpose| random(purpose, dims));
            let d = (d * 0.1).unwrap();
            let g = (g - 0.3).unwrap();
            let step = || sign_step(&x, &d, &g, 0.03, 0.1).unwrap();
            assert_eq!(bits(&step()), bits(&with_candle_ops(step)));
        }
    }

    #[test]
    fn norms_are_those_of_candles_ops() {
        for dims in [(1, 1, 1), (3, 5, 7), (2, 30, 31)] {
            let x = random("x", dims);
            let norms = || l1_norms(&x).unwrap();
            let (ours, candle) = (norms(), with_candle_ops(norms));
            assert_eq!(ours.dims(), candle.dims());
            let far =
                ((ours - &candle).unwrap().abs().unwrap() / (candle + 1e-9).unwrap()).unwrap();
            assert!(far.max_all().unwrap().to_scalar::<f32>().unwrap() <= 1e-5);
        }
    }

    #[test]
    fn a_norm_of_what_is_not_finite_is_not_finite() {
        let x = Tensor::new(&[[1.0f32, f32::NAN], [f32::INFINITY, 0.0]], &Device::Cpu).unwrap();
        let norms = l1_norms(&x).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
        assert!(norms.iter().all(|norm| !norm.is_finite()));
    }

    #[test]
    fn other_shapes_are_refused() {
        let (x, y) = (random("x", (1, 2, 3)), random("x", (3, 2, 1)));
        assert!(sign_step(&x, &x, &y, 0.1, 0.1).unwrap_err().to_string().contains("differ"));
    }
}
