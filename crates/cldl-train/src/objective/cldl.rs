//! CLDL: members learn the soft labels that the label confusion model gives them, and are pushed apart
//! in soft labels and in input gradients (Eqs. 11 and 12).

use candle::{Result, Tensor};
use cldl_core::Value;
use cldl_losses::{
    CosineFloor, GradientProducts, label_diversity, label_diversity_official, member_kl,
    member_kl_official, one_hot, simulated_label_distribution,
};
use cldl_models::{Ensemble, Lcm, Member, Mode};

use super::second_order::{Directions, Part, directions};
use super::{Objective, Step, Terms, scalar, sum};
use crate::Variant;

/// `mean ℓᵢ - α ℓ_ld + β ℓ_gd`: Eq. 12.
pub(super) struct Cldl {
    pub(super) gamma: f64,
    pub(super) alpha: f64,
    pub(super) beta: f64,
    pub(super) variant: Variant,
}

/// A batch's labels in both forms, and the label confusion model.
struct Context<'a> {
    lcm: &'a Lcm,
    labels: &'a Tensor,
    one_hot: Tensor,
}

/// A member's loss of each example, and its label confusion vector.
struct MemberLoss<V> {
    kl: V,
    lcv: V,
}

impl Objective for Cldl {
    fn terms(&self, ensemble: &Ensemble, step: &Step<'_>) -> Result<Terms> {
        let (images, labels) = (step.images, step.labels);
        let Some(lcm) = &ensemble.lcm else {
            candle::bail!("CLDL needs an ensemble with a label confusion model")
        };
        let one_hot = one_hot(labels, ensemble.config.n_classes, images.dtype())?;
        let context = Context { lcm, labels, one_hot };
        if self.beta > 0.0 {
            self.with_gradient_term(ensemble, images, &context)
        } else {
            self.without_gradient_term(ensemble, images, &context)
        }
    }
}

impl Cldl {
    /// β = 0: nothing depends on input gradients, and members are evaluated on the images alone.
    fn without_gradient_term(
        &self,
        ensemble: &Ensemble,
        images: &Tensor,
        context: &Context<'_>,
    ) -> Result<Terms> {
        let losses = ensemble
            .members
            .iter()
            .map(|member| self.member_loss(member, images, context, Mode::Train))
            .collect::<Result<Vec<_>>>()?;
        let kls = losses.iter().map(|l| l.kl.mean_all()).collect::<Result<Vec<_>>>()?;
        let lcvs = losses.into_iter().map(|l| l.lcv).collect::<Vec<_>>();
        self.combine(&kls, &lcvs, context, None)
    }

    fn with_gradient_term(
        &self,
        ensemble: &Ensemble,
        images: &Tensor,
        context: &Context<'_>,
    ) -> Result<Terms> {
        let probe = |i: usize, x: &Tensor| {
            let loss = self.member_loss(&ensemble.members[i], x, context, Mode::Probe)?;
            self.variant.reduce(&loss.kl)
        };
        let phi = |products: &GradientProducts| {
            let alignment = match self.variant {
                Variant::Paper => products.alignment(CosineFloor::EachNorm),
                Variant::Official => products.alignment_official(),
            };
            Ok(vec![Part { name: "gd", weight: self.beta, value: alignment?.mean_all()? }])
        };
        let mut directions = directions(ensemble.members.len(), images, probe, phi)?;

        let (mut kls, mut lcvs, mut tangents) = (Vec::new(), Vec::new(), Vec::new());
        let of_members = std::mem::take(&mut directions.of_members);
        for (member, direction) in ensemble.members.iter().zip(of_members) {
            let loss =
                direction.pass(|images| self.member_loss(member, images, context, Mode::Train))?;
            kls.push(loss.kl.primal()?.mean_all()?);
            tangents.push(self.variant.reduce(&loss.kl.tangent()?)?);
            lcvs.push(loss.lcv.primal()?);
        }
        self.combine(&kls, &lcvs, context, Some((sum(&tangents)?, directions)))
    }

    /// `kls` are the members' mean losses; `gradient_term` the tangents' sum and where it comes from.
    fn combine(
        &self,
        kls: &[Tensor],
        lcvs: &[Tensor],
        context: &Context<'_>,
        gradient_term: Option<(Tensor, Directions)>,
    ) -> Result<Terms> {
        let kl = Tensor::stack(kls, 0)?.mean_all()?;
        let mut surrogate = kl.clone();
        let mut loss = scalar(&kl)?;
        let mut parts = vec![("kl", loss)];
        if lcvs.len() > 1 {
            let ld = self.label_diversity(lcvs, context)?;
            parts.push(("ld", scalar(&ld)?));
            loss -= self.alpha * scalar(&ld)?;
            if self.alpha > 0.0 {
                surrogate = (surrogate - (ld * self.alpha)?)?;
            }
        }
        if let Some((tangent, directions)) = gradient_term {
            parts.extend(directions.parts);
            loss += directions.value;
            surrogate = (surrogate + tangent)?;
        }
        Ok(Terms { surrogate, loss, parts })
    }

    /// ℓᵢ: Eq. 7.
    fn member_loss<V: Value>(
        &self,
        member: &Member,
        images: &V,
        context: &Context<'_>,
        mode: Mode,
    ) -> Result<MemberLoss<V>> {
        let out = member.forward(images, mode)?;
        let lcv = context.lcm.forward(&out.representation, mode)?;
        let kl = match self.variant {
            Variant::Paper => member_kl(&lcv, &out.logits, &context.one_hot, self.gamma),
            Variant::Official => {
                member_kl_official(&lcv, &out.logits, &context.one_hot, self.gamma)
            }
        }?;
        Ok(MemberLoss { kl, lcv })
    }

    /// ℓ_ld: Eq. 9, averaged over the batch.
    fn label_diversity(&self, lcvs: &[Tensor], context: &Context<'_>) -> Result<Tensor> {
        match self.variant {
            Variant::Official => label_diversity_official(lcvs, context.labels),
            Variant::Paper => {
                let slds = lcvs
                    .iter()
                    .map(|lcv| simulated_label_distribution(lcv, &context.one_hot, self.gamma))
                    .collect::<Result<Vec<_>>>()?;
                label_diversity(&slds)?.mean_all()
            }
        }
    }
}
