//! Label diversity: how far members' soft labels disagree off the true class (Eqs. 8 and 9).

use candle::{D, DType, Result, Tensor, bail};

/// Label diversity ℓ_ld: rewards members whose simulated label distributions disagree off the true
/// class.
///
/// Eq. 9 over the pairwise divergences of Eq. 8:
///
/// `ℓ_ld = log( 2 / (N(N-1)) · Σ_{i<j} exp JSD(sᵢ\y ‖ sⱼ\y) )`,
/// `JSD(p ‖ q) = ½ Σₖ pₖ log(pₖ/mₖ) + ½ Σₖ qₖ log(qₖ/mₖ)`, `m = ½ (p + q)`.
///
/// sᵢ\y is sᵢ without its largest entry, not renormalized.
///
/// # Shapes
/// - `slds`: N tensors `[B, C]`, rows sum to 1; N at least 2
/// - returns `[B]`, nats, in `[0, ln 2]`; 0 where all members agree
///
/// # Errors
/// If there are fewer than two members, or shapes differ.
pub fn label_diversity(slds: &[Tensor]) -> Result<Tensor> {
    let rest = slds
        .iter()
        .map(|sld| without(sld, &sld.detach().argmax(D::Minus1)?))
        .collect::<Result<Vec<_>>>()?;
    let exps = each_pair(&rest, |p, q| jsd_terms(p, q)?.sum(D::Minus1)?.exp())?;
    Tensor::stack(&exps, 0)?.mean(0)?.log()
}

/// [`label_diversity`] as published, a scalar: `log( 1/#pairs Σ_{i<j} exp JSDᵢⱼ + 1e-6 )`, where JSDᵢⱼ
/// compares the label confusion vectors without the true label's entry, in bits, as a mean over
/// batch and classes.
///
/// # Shapes
/// - `lcvs`: N tensors `[B, C]`, rows sum to 1; N at least 2
/// - `labels`: `[B]`, u32
/// - returns a scalar, at most 1/(C-1)
///
/// # Errors
/// If there are fewer than two members, or shapes differ.
pub fn label_diversity_official(lcvs: &[Tensor], labels: &Tensor) -> Result<Tensor> {
    let rest = lcvs.iter().map(|lcv| without(lcv, labels)? + 1e-30).collect::<Result<Vec<_>>>()?;
    let exps =
        each_pair(&rest, |p, q| (jsd_terms(p, q)?.mean_all()? / std::f64::consts::LN_2)?.exp())?;
    (Tensor::stack(&exps, 0)?.mean(0)? + crate::TINY)?.log()
}

/// The summands over k of JSD(p ‖ q).
fn jsd_terms(p: &Tensor, q: &Tensor) -> Result<Tensor> {
    let log_m = ((p + q)? * 0.5)?.log()?;
    let from_p = (p * (p.log()? - &log_m)?)?;
    let from_q = (q * (q.log()? - &log_m)?)?;
    (from_p + from_q)? * 0.5
}

/// Rows `[B, C]` without the entry at `index` `[B]`: `[B, C - 1]`, in order.
pub(crate) fn without(rows: &Tensor, index: &Tensor) -> Result<Tensor> {
    let (batch, n_classes) = rows.dims2()?;
    let index = index.to_dtype(DType::U32)?.reshape((batch, 1))?;
    let k = Tensor::arange(0u32, n_classes as u32 - 1, rows.device())?;
    let k = k.unsqueeze(0)?.broadcast_as((batch, n_classes - 1))?.contiguous()?;
    // Entries from the removed one on move up by one.
    let kept = (&k + k.broadcast_ge(&index)?.to_dtype(DType::U32)?)?;
    rows.gather(&kept, 1)
}

/// `f` of each pair of members i < j.
pub(crate) fn each_pair(
    members: &[Tensor],
    f: impl Fn(&Tensor, &Tensor) -> Result<Tensor>,
) -> Result<Vec<Tensor>> {
    if members.len() < 2 {
        bail!("a diversity term needs at least 2 members, got {}", members.len());
    }
    let pairs = (0..members.len()).flat_map(|j| (0..j).map(move |i| (i, j)));
    pairs.map(|(i, j)| f(&members[i], &members[j])).collect()
}

#[cfg(test)]
mod tests {
    use candle::{Device, Tensor};
    use proptest::prelude::*;

    use super::{label_diversity, label_diversity_official, without};

    fn sld(logits: &[f64]) -> Tensor {
        let logits = Tensor::from_slice(logits, (2, logits.len() / 2), &Device::Cpu).unwrap();
        cldl_core::Value::softmax(&logits).unwrap()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn label_diversity_is_symmetric_bounded_and_zero_on_agreement(
            a in prop::collection::vec(-3.0..3.0, 10),
            b in prop::collection::vec(-3.0..3.0, 10),
        ) {
            let (p, q) = (sld(&a), sld(&b));
            let ld = |x: &Tensor, y: &Tensor| {
                label_diversity(&[x.clone(), y.clone()]).unwrap().to_vec1::<f64>().unwrap()
            };
            for (forth, back) in ld(&p, &q).into_iter().zip(ld(&q, &p)) {
                prop_assert!((forth - back).abs() < 1e-12);
                prop_assert!((-1e-12..=std::f64::consts::LN_2).contains(&forth));
            }
            prop_assert!(ld(&p, &p).iter().all(|v| v.abs() < 1e-12));
            let labels = Tensor::new(&[1u32, 4], &Device::Cpu).unwrap();
            let official = label_diversity_official(&[p, q], &labels).unwrap();
            let official = official.to_scalar::<f64>().unwrap();
            prop_assert!((-1e-6..=0.25 + 1e-6).contains(&official));
        }
    }

    #[test]
    fn without_removes_one_entry_of_each_row() {
        let rows = Tensor::new(&[[1f32, 2., 3.], [4., 5., 6.]], &Device::Cpu).unwrap();
        let rest = without(&rows, &Tensor::new(&[1u32, 0], &Device::Cpu).unwrap()).unwrap();
        assert_eq!(rest.to_vec2::<f32>().unwrap(), [[1., 3.], [5., 6.]]);
    }

    #[test]
    fn one_member_alone_has_no_diversity() {
        let error = label_diversity(&[sld(&[0.0; 6])]).unwrap_err().to_string();
        assert!(error.contains("at least 2 members, got 1"), "{error}");
    }
}
