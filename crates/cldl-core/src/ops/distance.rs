//! The mean squared distance of a tensor from a constant one.

use candle::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor, bail};

use super::path::takes_kernels;
use crate::kernels::{scaled_difference, squared_distance};
use crate::tape::with_floats;

/// `mean (x - target)²`, a scalar; `target` takes no gradient.
///
/// In candle's own ops that is five tensors of x's size, there and back; here it is one.
///
/// # Errors
/// If the shapes differ.
pub fn mean_squared_error(x: &Tensor, target: &Tensor) -> Result<Tensor> {
    if x.shape() != target.shape() {
        bail!("mean_squared_error: {:?} and {:?} differ", x.shape(), target.shape());
    }
    let target = target.detach();
    if takes_kernels(x) && takes_kernels(&target) {
        return x.contiguous()?.apply_op1(MeanSquaredError { target });
    }
    (x - target)?.sqr()?.mean_all()
}

struct MeanSquaredError {
    target: Tensor,
}

impl CustomOp1 for MeanSquaredError {
    fn name(&self) -> &'static str {
        "mean-squared-error"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let Some((start, end)) = layout.contiguous_offsets() else {
            bail!("mean_squared_error: not contiguous")
        };
        let x = &x.as_slice::<f32>()?[start..end];
        let sum = with_floats(&self.target, |target| squared_distance(x, target))?;
        Ok((CpuStorage::F32(vec![(sum / x.len() as f64) as f32]), Shape::from(())))
    }

    fn bwd(&self, x: &Tensor, _: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        let scale = (2.0 * f64::from(gradient.to_scalar::<f32>()?) / x.elem_count() as f64) as f32;
        let mut dx = vec![0.0; x.elem_count()];
        with_floats(x, |x| {
            with_floats(&self.target, |target| scaled_difference(scale, x, target, &mut dx))
        })??;
        Tensor::from_vec(dx, x.shape(), x.device()).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use candle::{Device, Tensor, Var};

    use super::mean_squared_error;
    use crate::{Stream, with_candle_ops};

    fn random(purpose: &str, len: usize) -> Tensor {
        let mut stream = Stream::new(2, purpose, &[len as u64]);
        let floats: Vec<f32> = (0..len).map(|_| 2.0 * stream.uniform() - 1.0).collect();
        Tensor::from_vec(floats, (1, len), &Device::Cpu).unwrap()
    }

    /// The value, and the gradient of three times it.
    fn both(len: usize) -> (f32, Vec<f32>) {
        let (x, target) = (Var::from_tensor(&random("x", len)).unwrap(), random("target", len));
        let error = mean_squared_error(&x, &target).unwrap();
        let gradients = (&error * 3.0).unwrap().backward().unwrap();
        let gradient = gradients.get(&x).unwrap().flatten_all().unwrap().to_vec1().unwrap();
        (error.to_scalar().unwrap(), gradient)
    }

    #[test]
    fn both_paths_agree() {
        for len in [1, 63, 64, 1000, 100_003] {
            let ((ours, dx), (candle, expected)) = (both(len), with_candle_ops(|| both(len)));
            assert!((ours - candle).abs() <= 1e-5 * candle, "{len}: {ours} for {candle}");
            let close = |(a, b): (&f32, &f32)| (a - b).abs() <= 1e-6 * b.abs() + 1e-12;
            assert!(dx.iter().zip(&expected).all(close), "{len}");
        }
    }

    #[test]
    fn other_shapes_are_refused() {
        let error = mean_squared_error(&random("x", 3), &random("x", 4)).unwrap_err();
        assert!(error.to_string().contains("differ"), "{error}");
    }
}
