//! TRS (Yang et al. 2021): members' input gradients pushed apart, and their losses made smooth.

use candle::{Result, Tensor, Var};
use cldl_attacks::{Linf, Start};
use cldl_core::{Dual, input_gradient, rehearse};
use cldl_losses::{CosineFloor, GradientProducts, one_hot};
use cldl_models::{Ensemble, Member, Mode};
use serde::{Deserialize, Serialize};

use super::second_order::{Part, cross_entropies, member_cross_entropy};
use super::{Objective, Step, Terms, scalar, sum};
use crate::Variant;

/// `Σᵢ CEᵢ + α mean_{i<j} |cos(gᵢ, gⱼ)| + β mean_i 2‖gᵢ‖²` with gᵢ = ∇ₓCEᵢ.
///
/// With an inner maximization, half of the smoothness is taken where the gradients are largest nearby.
/// The authors of the CLDL paper published the form without it ("Cos-l2"), with the mean of the CEᵢ.
pub(super) struct Trs {
    pub(super) alpha: f64,
    pub(super) beta: f64,
    pub(super) inner: Option<InnerMaximization>,
    pub(super) variant: Variant,
}

/// The search for the point near an image where the members' gradients are largest.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InnerMaximization {
    /// Radius of the ball in the first epoch, in pixels of [0, 1].
    pub eps_first: f64,
    /// Radius in the last epoch; it grows linearly.
    pub eps_last: f64,
    /// Sign steps of a third of the radius, from a uniform start.
    pub steps: usize,
}

impl Objective for Trs {
    fn terms(&self, ensemble: &Ensemble, step: &Step<'_>) -> Result<Terms> {
        let one_hot = one_hot(step.labels, ensemble.config.n_classes, step.images.dtype())?;
        let members = &ensemble.members;
        let floor = match self.variant {
            Variant::Paper => CosineFloor::EachNorm,
            Variant::Official => CosineFloor::Product,
        };
        let share = if self.inner.is_some() { 0.5 } else { 1.0 };
        let mut terms = cross_entropies(members, step.images, &one_hot, self.variant, |g| {
            let cos = g.alignment(floor)?.mean_all()?;
            Ok(vec![Part { name: "cos", weight: self.alpha, value: cos }, self.smooth(g, share)?])
        })?;
        if let Some(inner) = &self.inner {
            let steepest = inner.steepest(members, step, &one_hot)?;
            let nearby = cross_entropies(members, &steepest, &one_hot, self.variant, |g| {
                Ok(vec![self.smooth(g, share)?])
            })?;
            terms.tangent = (terms.tangent + nearby.tangent)?;
            terms.value += nearby.value;
            terms.parts[1].1 = share * (terms.parts[1].1 + nearby.parts[0].1);
        }
        if self.variant == Variant::Official {
            return terms.averaged();
        }
        let ce = sum(&terms.losses)?;
        let total = scalar(&ce)?;
        let parts = [vec![("ce", total / members.len() as f64)], terms.parts].concat();
        Ok(Terms { surrogate: (ce + terms.tangent)?, loss: total + terms.value, parts })
    }
}

impl Trs {
    /// The smoothness term, of which `share` counts.
    fn smooth(&self, products: &GradientProducts, share: f64) -> Result<Part> {
        let value = products.mean_smoothness()?.mean_all()?;
        Ok(Part { name: "smooth", weight: self.beta * share, value })
    }
}

impl InnerMaximization {
    fn eps(&self, step: &Step<'_>) -> f64 {
        self.eps_first + (self.eps_last - self.eps_first) * step.progress()
    }

    /// Climbs `Σᵢ ‖gᵢ‖²` within the ball.
    fn steepest(&self, members: &[Member], step: &Step<'_>, one_hot: &Tensor) -> Result<Tensor> {
        let eps = self.eps(step);
        let climb = Linf { step_size: eps / 3.0, ..Linf::pgd(eps, self.steps) };
        let start = step.noise("trs start")?;
        climb.ascend(step.images, Start::Noise(&start), |point| {
            let slopes = members.iter().map(|member| slope(member, point, one_hot));
            Tensor::stack(&slopes.collect::<Result<Vec<_>>>()?, 0)?.sum(0)
        })
    }
}

/// H g, half of the gradient of ‖g‖²: that of the tangent of the member's loss along g, held constant.
fn slope(member: &Member, point: &Var, one_hot: &Tensor) -> Result<Tensor> {
    let loss = |x: &Tensor| member_cross_entropy(member, x, one_hot, Mode::Probe)?.sum_all();
    let (gradient, rehearsal) = rehearse(|| input_gradient(&loss(point)?, point))?;
    let x = Var::from_tensor(&point.as_detached_tensor())?;
    let dual = Dual::new(&x, &gradient)?;
    let loss = rehearsal.perform(|| member_cross_entropy(member, &dual, one_hot, Mode::Probe))?;
    input_gradient(&loss.tangent()?.sum_all()?, &x)
}

#[cfg(test)]
mod tests {
    use candle::{Device, Tensor, Var};
    use cldl_core::{Params, with_candle_ops};
    use cldl_losses::one_hot;
    use cldl_models::{Arch, Ensemble, EnsembleConfig};

    use super::{InnerMaximization, Step, slope};

    /// Largest difference of a slope in our kernels and in candle's ops, as a share of the largest number.
    fn slopes_apart(arch: Arch, seed: u64) -> f32 {
        let device = Device::Cpu;
        let shape = [&[4], &arch.image_shape()[..]].concat();
        let config = EnsembleConfig {
            arch,
            members: 1,
            n_classes: 10,
            leaky_slope: 0.0,
            mean: vec![0.5; shape[1]],
            std: vec![0.3; shape[1]],
            lcm: false,
        };
        let ensemble = Ensemble::new(config, &mut Params::fresh(seed, &device), &device).unwrap();
        let pixels = (0..shape.iter().product()).map(|i| (i * 37 % 101) as f32 / 101.0);
        let images = Tensor::from_vec(pixels.collect(), shape, &device).unwrap();
        let images = Var::from_tensor(&images).unwrap();
        let labels = Tensor::new(&[3u32, 1, 4, 1], &device).unwrap();
        let one_hot = one_hot(&labels, 10, images.dtype()).unwrap();
        let slope = || {
            let slope = slope(&ensemble.members[0], &images, &one_hot).unwrap();
            slope.flatten_all().unwrap().to_vec1::<f32>().unwrap()
        };
        let (ours, candle) = (slope(), with_candle_ops(slope));
        let size = candle.iter().fold(0.0f32, |size, number| size.max(number.abs()));
        assert!(0.0 < size);
        ours.iter().zip(&candle).fold(0.0f32, |apart, (a, b)| apart.max((a - b).abs())) / size
    }

    /// Of a few networks: in one of them a number next to a kink may fall on either side of it.
    #[test]
    fn the_slope_is_that_of_candles_ops() {
        for arch in [Arch::LeNet5, Arch::ResNet20] {
            let apart = [1, 3, 4].map(|seed| slopes_apart(arch, seed));
            let close = apart.iter().filter(|apart| **apart <= 5e-5).count();
            assert!(2 <= close, "{arch}: {apart:?}");
        }
    }

    #[test]
    fn the_radius_grows_linearly_over_the_epochs() {
        let inner = InnerMaximization { eps_first: 0.1, eps_last: 0.2, steps: 6 };
        let x = Tensor::zeros((1, 1, 1, 1), candle::DType::F32, &Device::Cpu).unwrap();
        let eps = |epoch| inner.eps(&Step { epoch, epochs: 5, ..Step::of(&x, &x) });
        for (epoch, expected) in [(0, 0.1), (2, 0.15), (4, 0.2)] {
            assert!((eps(epoch) - expected).abs() < 1e-12);
        }
    }
}
