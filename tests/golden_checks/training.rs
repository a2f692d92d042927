//! Training steps: losses, parameters and running statistics after three steps of Adam.

use anyhow::{Result, ensure};
use cldl_models::Arch;
use cldl_train::{Adam, AdamConfig, Method, Step, Variant};

use crate::case::{Case, Precision, near};

pub(crate) fn check(case: &Case) -> Result<()> {
    let ensemble = case.ensemble()?;
    let method = Method::Cldl { gamma: case.gamma, alpha: case.alpha, beta: case.beta };
    let objective = method.objective(Variant::Paper, None);
    let mut adam = Adam::new(&ensemble.params.trainable, AdamConfig::default())?;
    for (step, expected) in case.training.losses.iter().enumerate() {
        let (x, labels) = case.batch(&format!("step{step}"))?;
        let terms = objective.terms(&ensemble, &Step::of(&x, &labels))?;
        near(
            &format!("loss {step}"),
            terms.loss,
            *expected,
            case.trained_tolerance() * expected.abs(),
        )?;
        adam.step(&terms.surrogate.backward()?, 1e-3)?;
    }
    for (kind, vars, expected) in [
        ("parameters", &ensemble.params.trainable, &case.training.params),
        ("running statistics", &ensemble.params.buffers, &case.training.running),
    ] {
        ensure!(vars.len() == expected.len(), "{} {kind}, expected {}", vars.len(), expected.len());
        for (name, var) in vars {
            let Some(expected) = expected.get(name) else {
                anyhow::bail!("no `{name}` in the case")
            };
            let (name, tolerance) = (format!("trained.{name}"), case.trained_tolerance());
            match (case.arch, case.dtype) {
                // A single bias next to 0 goes by a gradient's sign, which is rounding's.
                (Arch::ResNet20, Precision::F32) => {
                    case.agrees_in_norm(var, expected, &name, tolerance).map(drop)?;
                }
                _ => case.agrees(var, expected, &name, tolerance)?,
            }
        }
    }
    Ok(())
}
