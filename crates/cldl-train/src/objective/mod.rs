//! What a method minimizes, as one differentiable number for each batch.

mod adp;
mod adversarial;
mod baseline;
mod cldl;
mod distill;
mod dverge;
mod gal;
mod second_order;
mod step;
mod trs;

use candle::{DType, Device, Result, Tensor};
use cldl_models::{Ensemble, Mode};

pub use adversarial::Adversarial;
pub use distill::{Distillation, distill};
pub use step::Step;
pub use trs::InnerMaximization;

use crate::{Method, Variant};

/// What an objective says of a batch.
#[derive(Debug)]
pub struct Terms {
    /// A scalar whose gradient in the parameters is the objective's. With terms of input gradients its
    /// *value* is another (see the module `second_order`); [`Terms::loss`] has the objective's own.
    pub surrogate: Tensor,
    /// The objective's value.
    pub loss: f64,
    /// Named terms of the objective, as in the paper: `ce`, or `kl`, `ld` and `gd`.
    pub parts: Vec<(&'static str, f64)>,
}

/// What a method minimizes.
pub trait Objective {
    /// The objective of one step's batch. Running statistics move with each pass in training mode: one
    /// for each member and each set of images that the method trains it on.
    ///
    /// # Errors
    /// If the batch does not fit the ensemble.
    fn terms(&self, ensemble: &Ensemble, step: &Step<'_>) -> Result<Terms>;

    /// Whether a step needs a second batch, drawn independently of the first: [`Step::partner`].
    fn wants_partner(&self) -> bool {
        false
    }
}

impl Method {
    /// The method's objective, with adversarial training on top where `plus_adv` says how.
    pub fn objective(self, variant: Variant, plus_adv: Option<Adversarial>) -> Box<dyn Objective> {
        let objective: Box<dyn Objective> = match self {
            Self::Baseline { smoothing } => Box::new(baseline::Baseline { smoothing }),
            Self::Adp { alpha, beta } => Box::new(adp::Adp { alpha, beta }),
            Self::Gal { alpha } => Box::new(gal::Gal { alpha, variant }),
            Self::Dverge { layer, distillation } => {
                Box::new(dverge::Dverge { layer, distillation })
            }
            Self::Trs { alpha, beta, inner } => Box::new(trs::Trs { alpha, beta, inner, variant }),
            Self::Cldl { gamma, alpha, beta } => {
                Box::new(cldl::Cldl { gamma, alpha, beta, variant })
            }
            Self::Adversarial(adversarial) => Box::new(adversarial),
        };
        match plus_adv {
            None => objective,
            Some(adversarial) => {
                let averages = self.averages_members(variant);
                Box::new(adversarial::PlusAdversarial { objective, adversarial, averages })
            }
        }
    }
}

impl Variant {
    /// The scalar whose input gradient is meant: each example's own loss in the papers, the batch's
    /// mean in the published code. Cosines are free of this scale but for their floor.
    fn reduce(self, per_example: &Tensor) -> Result<Tensor> {
        match self {
            Self::Paper => per_example.sum_all(),
            Self::Official => per_example.mean_all(),
        }
    }
}

/// Each member's logits of `images`, in training mode.
fn train_logits(ensemble: &Ensemble, images: &Tensor) -> Result<Vec<Tensor>> {
    let logits = |member: &cldl_models::Member| Ok(member.forward(images, Mode::Train)?.logits);
    ensemble.members.iter().map(logits).collect()
}

fn sum(scalars: &[Tensor]) -> Result<Tensor> {
    Tensor::stack(scalars, 0)?.sum_all()
}

/// The value of a scalar tensor, outside any graph.
fn scalar(x: &Tensor) -> Result<f64> {
    x.detach().to_device(&Device::Cpu)?.to_dtype(DType::F64)?.to_scalar()
}
