//! Objectives: value, terms and the gradient of every parameter.

use anyhow::{Result, ensure};
use cldl_train::{Method, Step, Variant};

use crate::case::{Case, near};

/// The method and variant that a case's objective is, if it is known.
pub(crate) fn method(name: &str, case: &Case) -> Option<(Method, Variant)> {
    let cldl = Method::Cldl { gamma: case.gamma, alpha: case.alpha, beta: case.beta };
    match name {
        "ce" => Some((Method::Baseline { smoothing: 0.0 }, Variant::Paper)),
        "adp" => Some((Method::Adp { alpha: 2.0, beta: 0.5 }, Variant::Paper)),
        "gal" => Some((Method::Gal { alpha: 0.5 }, Variant::Official)),
        "trs" => Some((Method::Trs { alpha: 10.0, beta: 10.0, inner: None }, Variant::Official)),
        "cldl_paper" => Some((cldl, Variant::Paper)),
        "cldl_official" => Some((cldl, Variant::Official)),
        _ => None,
    }
}

pub(crate) fn check(case: &Case, name: &str, method: Method, variant: Variant) -> Result<()> {
    let expected = &case.objectives[name];
    let ensemble = case.ensemble()?;
    let (x, labels) = case.batch("x")?;
    let terms = method.objective(variant, None).terms(&ensemble, &Step::of(&x, &labels))?;
    // Terms are held to the loss they are part of: small ones are differences of large numbers.
    let tolerance = case.value_tolerance() * expected.loss.abs();
    near("loss", terms.loss, expected.loss, tolerance)?;
    for (part, value) in &terms.parts {
        near(part, *value, expected.terms[*part], tolerance)?;
    }
    let gradients = terms.surrogate.backward()?;
    let mut checked = 0;
    for (param, var) in &ensemble.params.trainable {
        match (gradients.get(var.as_tensor()), expected.grads.get(param)) {
            (Some(found), Some(expected)) => {
                case.agrees(
                    found,
                    expected,
                    &format!("{name}.{param}"),
                    case.gradient_tolerance(),
                )?;
                checked += 1;
            }
            (found, expected) => ensure!(
                found.is_none() && expected.is_none(),
                "gradient of {param}: found {}, expected {}",
                found.is_some(),
                expected.is_some()
            ),
        }
    }
    ensure!(checked == expected.grads.len(), "{checked} of {} gradients", expected.grads.len());
    Ok(())
}
