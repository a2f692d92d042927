//! Derivatives checked against central differences in f64.
//!
//! Each function returns the largest deviation, relative to the derivative's own size, so that a test
//! says what it tolerates. Directional second order needs no function of its own: it is
//! [`gradient_error`] of a function that returns a [`Dual`]'s tangent.

use candle::{DType, Result, Tensor, Var};

use crate::Dual;

/// Step of the central differences: balances truncation (h²) and rounding (1e-16 / h).
const STEP: f64 = 1e-5;

/// Deviation of candle's gradient of the scalar function `f` at `x` from central differences.
///
/// # Example
/// ```
/// use candle::{Device, Tensor};
/// let x = Tensor::new(&[1f64, 2., 3.], &Device::Cpu)?;
/// assert!(cldl_core::gradcheck::gradient_error(|x| x.sqr()?.sum_all(), &x)? < 1e-9);
/// # Ok::<(), candle::Error>(())
/// ```
///
/// # Errors
/// If `f` fails, or its result does not depend on its argument.
pub fn gradient_error(f: impl Fn(&Tensor) -> Result<Tensor>, x: &Tensor) -> Result<f64> {
    let var = Var::from_tensor(&x.to_dtype(DType::F64)?)?;
    let exact = crate::input_gradient(&f(&var)?, &var)?.flatten_all()?.to_vec1::<f64>()?;
    let at = var.flatten_all()?.to_vec1::<f64>()?;
    let mut numeric = Vec::with_capacity(at.len());
    for i in 0..at.len() {
        let shifted = |by: f64| {
            let mut point = at.clone();
            point[i] += by;
            f(&Tensor::from_vec(point, x.dims(), x.device())?)?.to_scalar::<f64>()
        };
        numeric.push((shifted(STEP)? - shifted(-STEP)?) / (2.0 * STEP));
    }
    Ok(deviation(&exact, &numeric))
}

/// Deviation of `dual`'s tangent at `x` along `direction` from central differences of `f`.
///
/// # Errors
/// If either function fails, or their results differ in shape.
pub fn tangent_error(
    f: impl Fn(&Tensor) -> Result<Tensor>,
    dual: impl Fn(&Dual) -> Result<Dual>,
    x: &Tensor,
    direction: &Tensor,
) -> Result<f64> {
    let (x, direction) = (x.to_dtype(DType::F64)?, direction.to_dtype(DType::F64)?);
    let exact = dual(&Dual::new(&x, &direction)?)?.tangent()?.flatten_all()?.to_vec1::<f64>()?;
    let ahead = f(&(&x + (&direction * STEP)?)?)?;
    let behind = f(&(&x - (&direction * STEP)?)?)?;
    let numeric = ((ahead - behind)? / (2.0 * STEP))?.flatten_all()?.to_vec1::<f64>()?;
    Ok(deviation(&exact, &numeric))
}

/// Largest difference over the largest size (at least 1e-6, for derivatives that vanish).
fn deviation(exact: &[f64], numeric: &[f64]) -> f64 {
    let difference = exact.iter().zip(numeric).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    let size = numeric.iter().map(|v| v.abs()).fold(1e-6, f64::max);
    if exact.len() == numeric.len() { difference / size } else { f64::INFINITY }
}

#[cfg(test)]
mod tests {
    use candle::{Device, Tensor};

    use super::gradient_error;

    #[test]
    fn a_wrong_gradient_is_noticed() {
        let x = Tensor::new(&[0.3f64, -1.2], &Device::Cpu).unwrap();
        // `detach` hides half of the derivative.
        let error = gradient_error(|x| (x * x.detach())?.sum_all(), &x).unwrap();
        assert!((error - 0.5).abs() < 1e-6, "{error}");
    }
}
