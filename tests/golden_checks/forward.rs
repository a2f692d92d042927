//! Forward passes in evaluation mode: representation, logits, LCV, SLD, ensemble output, feature maps.

use anyhow::Result;
use cldl_core::Classifier as _;
use cldl_losses::{one_hot, simulated_label_distribution};
use cldl_models::Mode;

use crate::case::Case;

pub(crate) fn members(case: &Case) -> Result<()> {
    let ensemble = case.ensemble()?;
    let (x, labels) = case.batch("x")?;
    case.agrees(&x, &case.x, "x", case.value_tolerance())?;
    anyhow::ensure!(labels.to_vec1::<u32>()? == case.labels, "labels differ");
    let one_hot = one_hot(&labels, 10, x.dtype())?;
    for (i, (member, expected)) in ensemble.members.iter().zip(&case.eval_forward).enumerate() {
        let out = member.forward(&x, Mode::Eval)?;
        case.agrees(
            &out.representation,
            &expected.representation,
            &format!("v{i}"),
            case.value_tolerance(),
        )?;
        case.table_agrees(&format!("logits {i}"), &out.logits, &expected.logits)?;
        if let Some(lcm) = &ensemble.lcm {
            let lcv = lcm.forward(&out.representation, Mode::Eval)?;
            let sld = simulated_label_distribution(&lcv, &one_hot, case.gamma)?;
            case.table_agrees(&format!("lcv {i}"), &lcv, &expected.lcv)?;
            case.table_agrees(&format!("sld {i}"), &sld, &expected.sld)?;
        }
    }
    case.table_agrees("ensemble log-probs", &ensemble.logits(&x)?, &case.ensemble_log_probs)
}

pub(crate) fn feature_maps(case: &Case) -> Result<()> {
    let ensemble = case.ensemble()?;
    let (x, _) = case.batch("x")?;
    for (layer, expected) in &case.feature_maps {
        let map = ensemble.members[0].features(&x, *layer, Mode::Eval)?;
        let map = if map.rank() == 4 { map.permute((0, 3, 1, 2))?.contiguous()? } else { map };
        case.agrees(&map, expected, &format!("layer{layer}"), case.value_tolerance())?;
    }
    Ok(())
}
