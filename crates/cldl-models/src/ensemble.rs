//! N members as one classifier: the mean of their probabilities.

use candle::{Device, Result, Tensor, bail};
use cldl_core::{Classifier, ParamBuilder, ParamSource, Params, Value};

use crate::{EnsembleConfig, Lcm, Member};

/// Smallest mean probability whose logarithm is taken: the smallest normal f32, so that flushing
/// subnormals to zero can't turn it into log 0.
const TINY: f64 = 1.2e-38;

/// Members trained together, and with CLDL the label confusion model that was trained with them.
pub struct Ensemble {
    /// The shape.
    pub config: EnsembleConfig,
    /// The networks.
    pub members: Vec<Member>,
    /// The label confusion model, where the method has one.
    pub lcm: Option<Lcm>,
    /// Every parameter and buffer by its published name.
    pub params: Params,
}

impl Ensemble {
    /// An ensemble of shape `config` with the tensors of `source`.
    ///
    /// # Errors
    /// If `config` has no member, or `source` lacks a tensor.
    pub fn new(
        config: EnsembleConfig,
        source: &mut dyn ParamSource,
        device: &Device,
    ) -> Result<Self> {
        if config.members == 0 {
            bail!("an ensemble needs at least 1 member");
        }
        let mut params = Params::default();
        let mut p = ParamBuilder::new(&mut params, source);
        let members = (0..config.members)
            .map(|i| Member::new(&mut p.part(&format!("model_{i}")), &config, device))
            .collect::<Result<_>>()?;
        let lcm =
            if config.lcm { Some(Lcm::new(&mut p.part("lcm"), config.n_classes)?) } else { None };
        Ok(Self { config, members, lcm, params })
    }

    /// Logits of each member, in evaluation mode.
    ///
    /// # Errors
    /// If the images do not fit the architecture.
    pub fn member_logits(&self, images: &Tensor) -> Result<Vec<Tensor>> {
        self.members.iter().map(|member| member.logits(images)).collect()
    }
}

impl Classifier for Ensemble {
    fn logits(&self, images: &Tensor) -> Result<Tensor> {
        ensemble_log_probs(&self.member_logits(images)?)
    }
}

/// Scores of an ensemble from its members' logits, each `[B, C]`: log of the mean probability, or the
/// logits themselves if there is one member alone.
///
/// # Errors
/// If there is no member, or shapes differ.
pub fn ensemble_log_probs(member_logits: &[Tensor]) -> Result<Tensor> {
    match member_logits {
        [] => bail!("an ensemble needs at least 1 member"),
        [logits] => Ok(logits.clone()),
        [first, rest @ ..] => {
            let mut sum = Value::softmax(first)?;
            for logits in rest {
                sum = (sum + Value::softmax(logits)?)?;
            }
            let mean = (sum / member_logits.len() as f64)?;
            mean.maximum(&(mean.ones_like()? * TINY)?)?.log()
        }
    }
}

impl std::fmt::Debug for Ensemble {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ensemble").field("config", &self.config).finish_non_exhaustive()
    }
}
