//! What goes in and what comes out: pixels in [0, 1], changes within eps.

use candle::{DType, Result, Tensor, bail};

/// What rounding may add to eps: x + (x' - x) is not x' to the last bit.
const ROUNDING: f64 = 1e-6;

/// Refuses images that are no batch, or have a pixel outside [0, 1], and labels that do not fit.
///
/// # Errors
/// One line that says what is wrong.
pub(crate) fn check_input(images: &Tensor, labels: &Tensor) -> Result<()> {
    if images.rank() < 2 || images.elem_count() == 0 {
        bail!("an attack takes images [B, Ch, H, W], found shape {:?}", images.dims());
    }
    if labels.dims() != [images.dims()[0]] || labels.dtype() != DType::U32 {
        bail!(
            "an attack takes one u32 label an image: {} images, labels of shape {:?} and type {:?}",
            images.dims()[0],
            labels.dims(),
            labels.dtype()
        );
    }
    let (low, high) = range(images)?;
    if low < 0.0 || 1.0 < high {
        bail!(
            "pixels lie in [{low}, {high}], outside [0, 1]: normalization belongs into the model, not \
             into the images"
        );
    }
    Ok(())
}

/// Largest change of a pixel of each example, after a check that it is within `eps` and that
/// `attacked` has its pixels in [0, 1].
///
/// # Errors
/// If it is not: the attack has a bug, or ran on broken arithmetic.
pub(crate) fn check_output(images: &Tensor, attacked: &Tensor, eps: f64) -> Result<Vec<f64>> {
    let (low, high) = range(attacked)?;
    let change = (attacked - images)?.abs()?.flatten_from(1)?.max(1)?;
    let change = change.to_dtype(DType::F64)?.to_vec1::<f64>()?;
    let largest = change.iter().copied().fold(0.0, f64::max);
    if low < 0.0 || 1.0 < high || eps + ROUNDING < largest {
        bail!("the attack left its bounds: pixels in [{low}, {high}], change {largest}, eps {eps}");
    }
    Ok(change)
}

/// Smallest and largest pixel.
fn range(images: &Tensor) -> Result<(f64, f64)> {
    let scalar = |x: Tensor| x.to_dtype(DType::F64)?.to_scalar::<f64>();
    // A maximum can pass over NaN, a sum can't.
    if !scalar(images.sum_all()?)?.is_finite() {
        bail!("a pixel is not a finite number");
    }
    Ok((scalar(images.min_all()?)?, scalar(images.max_all()?)?))
}

#[cfg(test)]
mod tests {
    use candle::{Device, Result, Tensor};

    use super::{check_input, check_output};

    fn image(pixels: [f32; 2]) -> Tensor {
        Tensor::new(&[[[pixels]]], &Device::Cpu).unwrap()
    }

    #[test]
    fn images_outside_the_box_are_refused() {
        let label = Tensor::new(&[0u32], &Device::Cpu).unwrap();
        let message = |pixels| -> Result<()> { check_input(&image(pixels), &label) };
        assert!(message([0.0, 1.0]).is_ok());
        for pixels in [[-0.1, 0.5], [0.5, 1.1]] {
            assert!(message(pixels).unwrap_err().to_string().contains("outside [0, 1]"));
        }
        for pixels in [[0.5, f32::NAN], [f32::INFINITY, 0.5]] {
            assert!(message(pixels).unwrap_err().to_string().contains("finite"));
        }
    }

    #[test]
    fn labels_must_fit() {
        let labels = Tensor::new(&[0u32, 1], &Device::Cpu).unwrap();
        assert!(check_input(&image([0.5, 0.5]), &labels).is_err());
        let signed = Tensor::new(&[0i64], &Device::Cpu).unwrap();
        assert!(check_input(&image([0.5, 0.5]), &signed).is_err());
    }

    #[test]
    fn a_change_beyond_eps_is_an_error() {
        let clean = image([0.5, 0.9]);
        assert!((check_output(&clean, &image([0.6, 0.8]), 0.1).unwrap()[0] - 0.1).abs() < 1e-6);
        assert!(check_output(&clean, &image([0.7, 0.9]), 0.1).is_err());
        assert!(check_output(&clean, &image([0.5, 1.01]), 0.2).is_err());
    }
}
