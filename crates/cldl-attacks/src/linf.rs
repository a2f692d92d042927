//! Sign-gradient attacks in the L∞ ball: one loop, of which the four attacks are settings.
//!
//! With clean images x, perturbation d, loss L, step size a, for each of `steps` steps:
//!
//! - g = ∇L(x + d); with momentum μ: m = μ m + g / max(‖g‖₁, floor) and m in g's place, the norm over
//!   the pixels of one example;
//! - d ← clamp(d + a · sign g, -eps, eps);
//! - d ← clamp(x + d, 0, 1) - x.
//!
//! The result is the last x + d, not the best. d starts at 0, or at clamp(x + eps · u, 0, 1) - x with u
//! uniform in [-1, 1). sign 0 = 0. Not here: other norms, and attacks that choose their steps.

use candle::{DType, Result, Tensor, Var, bail};
use cldl_core::{Classifier, input_gradient, l1_norms, sign_step};
use serde::{Deserialize, Serialize};

use crate::bounds::{check_input, check_output};
use crate::{AttackLoss, Audit, Start};

/// Whether an attack leads away from the labels that it is given, or towards them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Goal {
    /// Untargeted: the labels are the true ones, any other will do.
    #[default]
    Leave,
    /// Targeted: the labels are those to be predicted.
    Reach,
}

/// How the cross-entropies of a batch become the one number that is differentiated.
///
/// Under the sign this is a scale without effect, but for MIM's floor.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Reduction {
    /// Their sum: the gradient of an example is that of its own loss.
    #[default]
    Sum,
    /// The mean over batches of so many examples (the published evaluation: 200), whatever the size
    /// of this one, so that an example's fate does not depend on its batch. The margin losses are
    /// summed there too.
    Mean(usize),
}

/// A sign-gradient attack in the L∞ ball.
///
/// # Example
/// ```
/// use cldl_attacks::{AttackLoss, Linf};
/// let attack = Linf { loss: AttackLoss::Cw, ..Linf::pgd(0.1, 10) };
/// assert!(attack.random_start && attack.step_size == 0.1 / 5.0);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Linf {
    /// Radius of the ball, in pixels of [0, 1].
    pub eps: f64,
    /// How far a pixel moves in one step, in pixels of [0, 1].
    pub step_size: f64,
    /// Number of steps, at least 1.
    pub steps: usize,
    /// Whether to start at a random point of the ball instead of at the image.
    pub random_start: bool,
    /// μ, the share of the last steps' direction that enters the next (MIM).
    pub momentum: Option<f64>,
    /// The smallest L1 norm by which MIM divides a gradient.
    pub floor: f64,
    /// What is maximized.
    pub loss: AttackLoss,
    /// How the losses of a batch become one.
    pub reduction: Reduction,
    /// Away from the labels, or towards them.
    pub goal: Goal,
}

impl Linf {
    /// FGSM: x' = clamp(x + eps · sign ∇L(x), 0, 1).
    ///
    /// Source: Goodfellow et al. 2015; paper Eq. 2.
    pub fn fgsm(eps: f64) -> Self {
        Self { step_size: eps, ..Self::bim(eps, 1) }
    }

    /// BIM: `steps` steps of size eps / 5 from the image.
    ///
    /// Source: Kurakin et al. 2017; paper Eq. 3.
    pub fn bim(eps: f64, steps: usize) -> Self {
        Self {
            eps,
            step_size: eps / 5.0,
            steps,
            random_start: false,
            momentum: None,
            floor: 1e-6,
            loss: AttackLoss::Ce,
            reduction: Reduction::Sum,
            goal: Goal::Leave,
        }
    }

    /// PGD: BIM from a random point of the ball.
    ///
    /// Source: Madry et al. 2018.
    pub fn pgd(eps: f64, steps: usize) -> Self {
        Self { random_start: true, ..Self::bim(eps, steps) }
    }

    /// MIM: BIM along the accumulated direction, μ = 1.
    ///
    /// Source: Dong et al. 2018; paper Eq. 4.
    pub fn mim(eps: f64, steps: usize) -> Self {
        Self { momentum: Some(1.0), ..Self::bim(eps, steps) }
    }

    /// Refuses settings that make no attack.
    ///
    /// # Errors
    /// If eps or the step size is outside [0, 1], there is no step, or momentum or floor is negative.
    pub fn validate(&self) -> Result<()> {
        for (name, value) in [("eps", self.eps), ("step size", self.step_size)] {
            if !(0.0..=1.0).contains(&value) {
                bail!("{name} {value} is outside [0, 1]");
            }
        }
        if self.steps == 0 {
            bail!("an attack needs at least 1 step");
        }
        if self.reduction == Reduction::Mean(0) {
            bail!("a mean needs at least 1 example");
        }
        for (name, value) in [("momentum", self.momentum.unwrap_or(0.0)), ("floor", self.floor)] {
            if !(0.0..f64::INFINITY).contains(&value) {
                bail!("{name} {value} is not a number from 0 up");
            }
        }
        Ok(())
    }

    /// Attacked images x', with the loop of this module's head.
    ///
    /// # Shapes
    /// - `images`: `[B, Ch, H, W]`, pixels in [0, 1]
    /// - `labels`: `[B]`, u32
    /// - returns the images' shape; ‖x' - x‖∞ ≤ eps (+ 1e-6 of rounding), pixels in [0, 1]; not part
    ///   of any graph
    ///
    /// # Errors
    /// If the settings are invalid, the input does not fit, a loss or a gradient is not finite, or the
    /// result is out of bounds.
    pub fn perturb(
        &self,
        model: &dyn Classifier,
        images: &Tensor,
        labels: &Tensor,
        start: Start<'_>,
    ) -> Result<Tensor> {
        let (attacked, _) = self.climb(model, images, labels, start)?;
        check_output(&images.detach(), &attacked, self.eps)?;
        Ok(attacked)
    }

    /// [`Self::perturb`], and what it did; costs one more pass for the loss at the end.
    ///
    /// # Errors
    /// As [`Self::perturb`].
    pub fn perturb_audited(
        &self,
        model: &dyn Classifier,
        images: &Tensor,
        labels: &Tensor,
        start: Start<'_>,
    ) -> Result<(Tensor, Audit)> {
        let (attacked, first) = self.climb(model, images, labels, start)?;
        let change = check_output(&images.detach(), &attacked, self.eps)?;
        let loss = self.loss.objective(&model.logits(&attacked)?, labels, self.goal)?;
        let audit = Audit {
            examples: change.len(),
            zero_gradients: first.norms.iter().filter(|norm| **norm == 0.0).count(),
            moved: change.iter().filter(|change| 0.0 < **change).count(),
            loss_before: first.losses.iter().sum(),
            loss_after: finite("loss", &loss)?.iter().sum(),
            max_change: change.iter().copied().fold(0.0, f64::max),
        };
        Ok((attacked, audit))
    }

    /// The loop of this module's head up any function: `gradient` gives its gradient at a point.
    /// DVERGE's distillation and adversarial training are made of it. `loss`, `reduction` and `goal`
    /// have no say, and the images may lie outside [0, 1] (noise): the result does not.
    ///
    /// # Shapes
    /// - `images`: `[B, Ch, H, W]`
    /// - returns the same shape, in [0, 1]; not part of any graph
    ///
    /// # Errors
    /// If the settings are invalid, or `gradient` fails.
    pub fn ascend(
        &self,
        images: &Tensor,
        start: Start<'_>,
        mut gradient: impl FnMut(&Var) -> Result<Tensor>,
    ) -> Result<Tensor> {
        self.validate()?;
        let x = images.detach();
        let mut d = x.zeros_like()?;
        if self.random_start {
            d = ((&x + (start.noise(&x)? * self.eps)?)?.clamp(0.0, 1.0)? - &x)?;
        }
        let mut accumulated = x.zeros_like()?;
        for _ in 0..self.steps {
            let mut g = gradient(&Var::from_tensor(&(&x + &d)?)?)?;
            if let Some(momentum) = self.momentum {
                let scale = l1_norms(&g)?.maximum(self.floor)?;
                accumulated = ((accumulated * momentum)? + g.broadcast_div(&scale)?)?;
                g = accumulated.clone();
            }
            d = sign_step(&x, &d, &g, self.step_size, self.eps)?;
        }
        (&x + &d)?.clamp(0.0, 1.0)
    }

    /// The attack, and what its first step saw.
    fn climb(
        &self,
        model: &dyn Classifier,
        images: &Tensor,
        labels: &Tensor,
        start: Start<'_>,
    ) -> Result<(Tensor, Seen)> {
        check_input(images, labels)?;
        let mut first = None;
        let attacked = self.ascend(images, start, |point| {
            let (gradient, seen) = self.gradient(model, point, labels)?;
            first.get_or_insert(seen);
            Ok(gradient)
        })?;
        match first {
            Some(first) => Ok((attacked, first)),
            None => bail!("an attack needs at least 1 step"),
        }
    }

    /// ∇L at `point`, and the numbers that an audit wants.
    fn gradient(
        &self,
        model: &dyn Classifier,
        point: &Var,
        labels: &Tensor,
    ) -> Result<(Tensor, Seen)> {
        let losses = self.loss.objective(&model.logits(point)?, labels, self.goal)?;
        let loss = match (self.reduction, self.loss) {
            (Reduction::Mean(n), AttackLoss::Ce) => (losses.sum_all()? / n as f64)?,
            _ => losses.sum_all()?,
        };
        let losses = finite("loss", &losses)?;
        let gradient = input_gradient(&loss, point)?;
        let norms = finite("gradient", &l1_norms(&gradient)?)?;
        Ok((gradient, Seen { losses, norms }))
    }
}

/// What one step saw of each example.
struct Seen {
    losses: Vec<f64>,
    /// L1 norms of the gradients.
    norms: Vec<f64>,
}

/// The numbers of `values`, in f64.
///
/// # Errors
/// If one is not finite: its sign would be 0, and the attack silently none.
fn finite(what: &str, values: &Tensor) -> Result<Vec<f64>> {
    let values = values.flatten_all()?.to_dtype(DType::F64)?.to_vec1::<f64>()?;
    match values.iter().position(|value| !value.is_finite()) {
        None => Ok(values),
        Some(i) => bail!("the attack's {what} is {} for example {i} of its batch", values[i]),
    }
}
