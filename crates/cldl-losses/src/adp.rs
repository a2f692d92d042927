//! The two regularizers of ADP (Pang et al. 2019): members together should be unsure, and should
//! disagree on what else an image might be.

use candle::{D, DType, Result, Tensor, bail};

use crate::jsd::without;

/// Guard of the entropy's logarithm.
const ENTROPY_GUARD: f64 = 1e-20;
/// What keeps the determinant away from 0 where members agree.
const RIDGE: f64 = 1e-6;
/// Smallest length that a member's non-target probabilities are divided by: the published code has
/// none, and divides 0 by 0 where a member is certain.
const SMALLEST_NORM: f64 = 1e-18;

/// Shannon entropy of the members' mean prediction: `H(p̄) = -Σₖ p̄ₖ log p̄ₖ`, `p̄ = 1/N Σᵢ pᵢ`.
///
/// # Shapes
/// - `probabilities`: N tensors `[B, C]`, rows sum to 1; N at least 1
/// - returns `[B]`, nats, in `[0, ln C]`
///
/// # Errors
/// If there is no member, or shapes differ.
///
/// Source: Pang et al. 2019.
pub fn ensemble_entropy(probabilities: &[Tensor]) -> Result<Tensor> {
    if probabilities.is_empty() {
        bail!("an ensemble needs at least 1 member");
    }
    let mean = Tensor::stack(probabilities, 0)?.mean(0)?;
    (&mean * (&mean + ENTROPY_GUARD)?.log()?)?.sum(D::Minus1)?.neg()
}

/// Ensemble diversity `log det(M̃ᵀM̃ + 1e-6 I)`: the logarithm of the squared volume that the members'
/// non-target predictions span. M̃'s columns are the members' probabilities without the true class,
/// scaled to length 1.
///
/// # Shapes
/// - `probabilities`: N tensors `[B, C]`, rows sum to 1; N at least 1
/// - `labels`: `[B]`, u32
/// - returns `[B]`, at most `N ln(1 + 1e-6)`; about `(N - 1) ln 1e-6` where all members agree
///
/// # Errors
/// If there is no member, or shapes differ.
///
/// Source: Pang et al. 2019, with the ridge of the published code.
pub fn ensemble_diversity(probabilities: &[Tensor], labels: &Tensor) -> Result<Tensor> {
    let columns = probabilities.iter().map(|p| unit_length(&without(p, labels)?));
    let columns = Tensor::stack(&columns.collect::<Result<Vec<_>>>()?, 1)?;
    // Members that nearly agree make a nearly singular matrix: f32 would lose its volume.
    let wide = if columns.device().is_metal() { columns.dtype() } else { DType::F64 };
    let columns = columns.to_dtype(wide)?;
    let n = columns.dim(1)?;
    let ridge = (Tensor::eye(n, wide, columns.device())? * RIDGE)?;
    let gram = columns.matmul(&columns.t()?)?.broadcast_add(&ridge)?;
    log_det(&gram)?.to_dtype(probabilities[0].dtype())
}

fn unit_length(rows: &Tensor) -> Result<Tensor> {
    let squares = rows.sqr()?.sum_keepdim(D::Minus1)?;
    let floor = (squares.zeros_like()? + SMALLEST_NORM * SMALLEST_NORM)?;
    rows.broadcast_div(&squares.maximum(&floor)?.sqrt()?)
}

/// log det of positive definite matrices `[B, n, n]`, as the sum over pivots of Gaussian elimination.
fn log_det(matrices: &Tensor) -> Result<Tensor> {
    let mut rest = matrices.clone();
    let mut pivots = Vec::new();
    for left in (0..matrices.dim(D::Minus1)?).rev() {
        let pivot = rest.narrow(1, 0, 1)?.narrow(2, 0, 1)?;
        if left > 0 {
            let column = rest.narrow(1, 1, left)?.narrow(2, 0, 1)?;
            let row = rest.narrow(1, 0, 1)?.narrow(2, 1, left)?;
            let eliminated = column.broadcast_mul(&row)?.broadcast_div(&pivot)?;
            rest = (rest.narrow(1, 1, left)?.narrow(2, 1, left)? - eliminated)?;
        }
        pivots.push(pivot.flatten_all()?.log()?);
    }
    Tensor::stack(&pivots, 0)?.sum(0)
}

#[cfg(test)]
mod tests {
    use candle::{Device, Tensor};
    use cldl_core::gradcheck::gradient_error;
    use proptest::prelude::*;

    use super::{ensemble_diversity, ensemble_entropy, log_det};

    fn probabilities(logits: &[f64], classes: usize) -> Tensor {
        let logits = Tensor::from_slice(logits, (logits.len() / classes, classes), &Device::Cpu);
        cldl_core::Value::softmax(&logits.unwrap()).unwrap()
    }

    fn values(x: &Tensor) -> Vec<f64> {
        x.to_vec1().unwrap()
    }

    #[test]
    fn log_det_of_a_matrix_worked_by_hand() {
        // det = 4 (3 · 2 - 1) - 1 (2 - 0) = 18
        let matrix = [[[4f64, 1., 0.], [1., 3., 1.], [0., 1., 2.]]];
        let found = values(&log_det(&Tensor::new(&matrix, &Device::Cpu).unwrap()).unwrap());
        assert!((found[0] - 18f64.ln()).abs() < 1e-12, "{found:?}");
    }

    #[test]
    fn entropy_is_that_of_the_mean() {
        let certain = |k: usize| {
            let mut p = [0f64; 4];
            p[k] = 1.0;
            Tensor::new(&[p], &Device::Cpu).unwrap()
        };
        let alike = values(&ensemble_entropy(&[certain(1), certain(1)]).unwrap());
        let torn = values(&ensemble_entropy(&[certain(1), certain(2)]).unwrap());
        assert!(alike[0].abs() < 1e-12 && (torn[0] - 2f64.ln()).abs() < 1e-12);
    }

    #[test]
    fn certain_members_have_a_finite_diversity_with_a_finite_gradient() {
        let p = candle::Var::new(&[[0f32, 1.0, 0.0, 0.0]], &Device::Cpu).unwrap();
        let label = Tensor::new(&[1u32], &Device::Cpu).unwrap();
        let diversity = ensemble_diversity(&[p.as_tensor().clone(), p.as_tensor().clone()], &label);
        let diversity = diversity.unwrap().sum_all().unwrap();
        let gradient = cldl_core::input_gradient(&diversity, &p).unwrap();
        assert!(diversity.to_scalar::<f32>().unwrap().is_finite());
        assert!(
            gradient.flatten_all().unwrap().to_vec1::<f32>().unwrap().iter().all(|g| g.is_finite())
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn diversity_is_bounded_free_of_order_and_least_on_agreement(
            logits in prop::collection::vec(-2.0..2.0, 30),
            label in 0u32..10,
        ) {
            let label = Tensor::new(&[label], &Device::Cpu).unwrap();
            let p: Vec<Tensor> = logits.chunks(10).map(|row| probabilities(row, 10)).collect();
            let of = |members: [usize; 3]| {
                let members = members.map(|i| p[i].clone());
                values(&ensemble_diversity(&members, &label).unwrap())[0]
            };
            prop_assert!(of([0, 1, 2]) <= 3.0 * 1e-6_f64.ln_1p() + 1e-12);
            prop_assert!((of([0, 1, 2]) - of([2, 0, 1])).abs() < 1e-6);
            prop_assert!((of([0, 0, 0]) - 2.0 * 1e-6_f64.ln()).abs() < 1.2);
        }

        #[test]
        fn gradients_agree_with_finite_differences(
            logits in prop::collection::vec(-2.0..2.0, 18),
        ) {
            let labels = Tensor::new(&[0u32, 4, 2], &Device::Cpu).unwrap();
            let other = probabilities(&logits.iter().map(|z: &f64| z.sin()).collect::<Vec<_>>(), 6);
            let logits = Tensor::from_slice(&logits, (3, 6), &Device::Cpu).unwrap();
            let f = |z: &Tensor| {
                let members = [cldl_core::Value::softmax(z)?, other.clone()];
                let diversity = ensemble_diversity(&members, &labels)?;
                (diversity - ensemble_entropy(&members)?)?.sum_all()
            };
            prop_assert!(gradient_error(f, &logits).unwrap() < 1e-5);
        }
    }
}
