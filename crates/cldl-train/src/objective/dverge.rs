//! DVERGE (Yang et al. 2020): each member learns from the features that fool the others.

use candle::{Result, Tensor, bail};
use cldl_core::Stream;
use cldl_losses::one_hot;
use cldl_models::{Ensemble, Mode};

use super::second_order::member_cross_entropy;
use super::{Distillation, Objective, Step, Terms, distill, scalar, sum};

/// `Σᵢ Σ_{j≠i} CE(fᵢ(x'ⱼ), y)`, where x'ⱼ lies near x and looks like another image to member j's layer.
pub(super) struct Dverge {
    /// The layer, or a random one in each epoch.
    pub(super) layer: Option<usize>,
    pub(super) distillation: Distillation,
}

impl Objective for Dverge {
    fn terms(&self, ensemble: &Ensemble, step: &Step<'_>) -> Result<Terms> {
        let Some(partner) = step.partner else {
            bail!("DVERGE needs a second batch of images to distill")
        };
        let layer = self.layer.unwrap_or_else(|| {
            let mut stream = Stream::new(step.seed, "dverge layer", &[step.epoch as u64]);
            1 + stream.below(ensemble.config.arch.n_layers() as u32) as usize
        });
        let one_hot = one_hot(step.labels, ensemble.config.n_classes, step.images.dtype())?;
        let members = &ensemble.members;
        // The batch's statistics, as in training; running ones are left to the training passes.
        let distilled = members
            .iter()
            .map(|m| distill(m, step.images, partner, layer, &self.distillation, Mode::Probe))
            .collect::<Result<Vec<Tensor>>>()?;
        let mut losses = Vec::new();
        for (i, member) in members.iter().enumerate() {
            for (j, images) in distilled.iter().enumerate() {
                if i != j {
                    let loss = member_cross_entropy(member, images, &one_hot, Mode::Train)?;
                    losses.push(loss.mean_all()?);
                }
            }
        }
        let surrogate = sum(&losses)?;
        let loss = scalar(&surrogate)?;
        Ok(Terms { surrogate, loss, parts: vec![("ce", loss / losses.len() as f64)] })
    }

    fn wants_partner(&self) -> bool {
        true
    }
}
