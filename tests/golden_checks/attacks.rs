//! The attacks: adversarial examples, their distance, the loss reached and the predictions.
//!
//! An attack takes the sign of a gradient. Where that gradient nearly vanishes, rounding decides, so a
//! few pixels may differ; norms and probes are compared with that in mind, never pixel by pixel.

use anyhow::{Context as _, Result, ensure};
use candle::{D, DType, Device, Tensor};
use cldl_attacks::{AttackKind, AttackLoss, Goal, Linf, Start};
use cldl_core::Classifier as _;
use cldl_models::Mode;
use cldl_train::{Distillation, distill};

use crate::case::{Attack, Case, Distilled, near, uniform};

/// Share of the pixels whose sign may fall either way.
const UNDECIDED: f64 = 2e-3;

pub(crate) fn check(case: &Case, index: usize) -> Result<()> {
    let expected = &case.attacks[index];
    let (x, labels) = case.batch("x")?;
    let ensemble = case.ensemble()?;
    let noise: Vec<f32> = uniform("pgd.noise", case.seed, x.elem_count()).collect();
    let noise = Tensor::from_vec(noise, x.dims(), &Device::Cpu)?.to_dtype(x.dtype())?;

    let attack = attack(expected)?;
    let attacked = attack.perturb(&ensemble, &x, &labels, Start::Noise(&noise))?;
    let scores = ensemble.logits(&attacked)?;
    let objective = attack.loss.objective(&scores, &labels, Goal::Leave)?.sum_all()?;

    case.attacked_agrees(&attacked, &expected.adv, &expected.name(), expected.eps, UNDECIDED)?;
    let linf = (attacked - x)?.abs()?.max_all()?.to_dtype(DType::F64)?.to_scalar::<f64>()?;
    near("L∞ distance", linf, expected.linf, 1e-6)?;
    let objective = objective.to_dtype(DType::F64)?.to_scalar::<f64>()?;
    near("objective", objective, expected.objective, 2e-3 * (1.0 + expected.objective.abs()))?;
    let predictions = scores.argmax(D::Minus1)?.to_vec1::<u32>()?;
    ensure!(predictions == expected.predictions, "predictions are {predictions:?}");
    Ok(())
}

/// The attack that a case describes. Its `cw` is the published form of the loss.
fn attack(expected: &Attack) -> Result<Linf> {
    let kind: AttackKind = expected.kind.parse().map_err(anyhow::Error::msg)?;
    let loss = match expected.loss.as_str() {
        "ce" => AttackLoss::Ce,
        "cw" => AttackLoss::CwOfficial,
        other => None.with_context(|| format!("unknown loss `{other}`"))?,
    };
    Ok(Linf { loss, ..kind.attack(expected.eps, expected.steps) })
}

/// DVERGE's distilled images, one for each member.
pub(crate) fn distillation(case: &Case) -> Result<()> {
    let expected = &case.dverge_distillation;
    let (source, _) = case.batch("x")?;
    let (target, _) = case.batch("target")?;
    let ensemble = case.ensemble()?;
    let Distilled { layer, eps, step_size, steps, .. } = *expected;
    let how = Distillation { eps, step_size, steps };
    for (i, (member, summary)) in ensemble.members.iter().zip(&expected.images).enumerate() {
        let distilled = distill(member, &source, &target, layer, &how, Mode::Eval)?;
        case.attacked_agrees(&distilled, summary, &format!("distilled{i}"), eps, UNDECIDED)?;
    }
    Ok(())
}
