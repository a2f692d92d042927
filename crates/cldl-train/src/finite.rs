//! Numbers that are none, found before they spread: NaN and infinities.

use candle::{DType, Result, Tensor, Var};
use cldl_core::{Classifier as _, input_gradient};
use cldl_losses::{cross_entropy, one_hot};
use cldl_models::Ensemble;

use crate::{Step, Terms};

/// Whether every number of `tensor` is one.
pub(crate) fn is_finite(tensor: &Tensor) -> Result<bool> {
    // 0 · x is 0 for every number, and NaN for what is none.
    let sum = (tensor.detach() * 0.0)?.sum_all()?.to_dtype(DType::F32)?.to_scalar::<f32>()?;
    Ok(sum.to_bits() << 1 == 0)
}

/// The term that is no number, if there is one, and the member that it comes from if that can be told.
pub(crate) fn broken_term(
    terms: &Terms,
    ensemble: &Ensemble,
    step: &Step<'_>,
) -> Result<Option<String>> {
    // The parts first: they say more than the whole.
    let named = terms.parts.iter().copied().chain([("loss", terms.loss)]);
    let mut broken = named.filter(|(_, value)| !value.is_finite());
    let Some((term, value)) = broken.next() else { return Ok(None) };
    let whose = guilty_member(ensemble, step)?.map_or_else(String::new, |(member, what)| {
        format!(" (member {member}'s {what} are no numbers)")
    });
    Ok(Some(format!("the term `{term}` is {value}{whose}")))
}

/// The image of a step that has a pixel which is no number, if there is one.
pub(crate) fn broken_image(step: &Step<'_>) -> Result<Option<String>> {
    for images in [Some(step.images), step.partner].into_iter().flatten() {
        if is_finite(images)? {
            continue;
        }
        for row in 0..images.dims()[0] {
            if !is_finite(&images.get(row)?)? {
                // Only of the batch itself is it known which examples they are.
                let example = step.examples.get(row).filter(|_| step.partner.is_none());
                let which = example.map_or("the batch".to_owned(), |i| format!("image {i}"));
                return Ok(Some(format!("a pixel of {which} is no number")));
            }
        }
    }
    Ok(None)
}

/// The running statistic that is no number, if there is one. The loss of a training does not see it, but no
/// evaluation could use the ensemble.
pub(crate) fn broken_statistic(ensemble: &Ensemble) -> Result<Option<String>> {
    for (name, buffer) in &ensemble.params.buffers {
        if !is_finite(buffer.as_tensor())? {
            return Ok(Some(format!("the statistic {} is no number", owner(name))));
        }
    }
    Ok(None)
}

/// "ce 2.31, ld 0.5": the terms of a loss, each with its value.
pub(crate) fn listed(terms: &Terms) -> String {
    let parts = terms.parts.iter().map(|(name, value)| format!("{name} {value:.3e}"));
    parts.collect::<Vec<_>>().join(", ")
}

/// The first member whose scores are not all numbers, or, if all are, whose input gradients, of which terms
/// may be made, have no length; and which of the two it is.
fn guilty_member(ensemble: &Ensemble, step: &Step<'_>) -> Result<Option<(usize, &'static str)>> {
    for (i, member) in ensemble.members.iter().enumerate() {
        if !is_finite(&member.logits(step.images)?)? {
            return Ok(Some((i, "scores")));
        }
    }
    let labels = one_hot(step.labels, ensemble.config.n_classes, DType::F32)?;
    for (i, member) in ensemble.members.iter().enumerate() {
        let images = Var::from_tensor(step.images)?;
        let loss = cross_entropy(&member.logits(&images)?, &labels)?.sum_all()?;
        if !is_finite(&input_gradient(&loss, &images)?.sqr()?.sum_all()?)? {
            return Ok(Some((i, "input gradients")));
        }
    }
    Ok(None)
}

/// "`model_1.conv1.weight` of member 1": a parameter with the member that it belongs to.
pub(crate) fn owner(parameter: &str) -> String {
    let member = parameter.strip_prefix("model_").and_then(|rest| rest.split('.').next());
    match member {
        Some(member) => format!("`{parameter}` of member {member}"),
        None => format!("`{parameter}`"),
    }
}

#[cfg(test)]
mod tests {
    use candle::{Device, Tensor};

    use super::{is_finite, owner};

    #[test]
    fn one_number_that_is_none_is_found() {
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let mut values = vec![-1.5f32; 1000];
            let whole = Tensor::new(values.as_slice(), &Device::Cpu).unwrap();
            assert!(is_finite(&whole).unwrap());
            values[617] = bad;
            let broken = Tensor::new(values.as_slice(), &Device::Cpu).unwrap();
            assert!(!is_finite(&broken).unwrap(), "{bad}");
        }
        assert!(is_finite(&Tensor::new(&[f32::MAX, f32::MIN], &Device::Cpu).unwrap()).unwrap());
    }

    #[test]
    fn a_parameter_names_its_member() {
        assert_eq!(owner("model_2.conv1.weight"), "`model_2.conv1.weight` of member 2");
        assert_eq!(owner("lcm.fc.weight"), "`lcm.fc.weight`");
    }
}
