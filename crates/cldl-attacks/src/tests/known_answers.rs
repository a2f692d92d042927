//! Attacks whose result is worked out by hand, and settings and models that are refused.

use crate::{AttackKind, AttackLoss, Goal, Linf, Reduction, Start};
use candle::{Device, Result, Tensor};
use cldl_core::Classifier;

/// Scores z = W x: the gradient of z_j is row j of W, wherever x is.
struct Linear(Tensor);

impl Linear {
    fn new(rows: &[[f32; 3]; 2]) -> Self {
        Self(Tensor::new(rows, &Device::Cpu).unwrap())
    }
}

impl Classifier for Linear {
    fn logits(&self, images: &Tensor) -> Result<Tensor> {
        images.flatten_from(1)?.matmul(&self.0.t()?)
    }
}

fn image(pixels: [f32; 3]) -> Tensor {
    Tensor::new(&[[[pixels]]], &Device::Cpu).unwrap()
}

fn label(y: u32) -> Tensor {
    Tensor::new(&[y], &Device::Cpu).unwrap()
}

fn assert_pixels(attacked: &Tensor, expected: [f32; 3]) {
    let found = attacked.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    for (found, expected) in found.iter().zip(expected) {
        assert!((found - expected).abs() < 1e-6, "{found} for {expected}");
    }
}

/// Class 1 gains on class 0 along w_1 - w_0 = (-2, 4, 0): signs (-, +, 0).
fn two_classes() -> Linear {
    Linear::new(&[[1.0, -1.0, 0.0], [-1.0, 3.0, 0.0]])
}

#[test]
fn a_linear_model_is_attacked_along_its_weights() {
    let x = image([0.5, 0.95, 0.3]);
    for (kind, steps) in [(AttackKind::Fgsm, 1), (AttackKind::Bim, 5), (AttackKind::Mim, 5)] {
        // Away from 0 is towards 1. The second pixel stops at the box; the third has no gradient.
        for (goal, y) in [(Goal::Leave, 0), (Goal::Reach, 1)] {
            let attack = Linf { goal, ..kind.attack(0.1, steps) };
            let attacked = attack.perturb(&two_classes(), &x, &label(y), Start::Seed(0)).unwrap();
            assert_pixels(&attacked, [0.4, 1.0, 0.3]);
        }
    }
}

#[test]
fn the_margin_loss_stops_when_another_class_leads() {
    let x = image([0.5, 0.1, 0.3]);
    // z_0 - z_1 = 2 · 0.5 - 4 · 0.1 = 0.6; each step of 0.05 takes 0.3 off: after three the margin is
    // -0.3 < -0.1 and nothing moves any more.
    let attack = Linf { loss: AttackLoss::Cw, step_size: 0.05, ..Linf::bim(0.4, 10) };
    let attacked = attack.perturb(&two_classes(), &x, &label(0), Start::Seed(0)).unwrap();
    assert_pixels(&attacked, [0.35, 0.25, 0.3]);
}

#[test]
fn pgd_starts_at_the_given_noise() {
    let x = image([0.5, 0.5, 0.98]);
    let noise = image([0.5, -1.0, 1.0]);
    let attack = Linf { step_size: 0.02, ..Linf::pgd(0.1, 1) };
    let attacked = attack.perturb(&two_classes(), &x, &label(0), Start::Noise(&noise)).unwrap();
    assert_pixels(&attacked, [0.5 + 0.05 - 0.02, 0.5 - 0.1 + 0.02, 1.0]);
}

/// Scores whose gradient at label 0 is tiny and turns around once the first pixel has moved.
struct Saturated;

impl Classifier for Saturated {
    /// z_0 = 1e-8 s, z_1 = 0 with s = (x_0 - 0.42)²; so dCE_0/dx_0 = -p_1 · 2e-8 (x_0 - 0.42).
    fn logits(&self, images: &Tensor) -> Result<Tensor> {
        let s = (images.flatten_from(1)?.narrow(1, 0, 1)? - 0.42)?.sqr()?;
        Tensor::cat(&[&(&s * 1e-8)?, &s.zeros_like()?], 1)
    }
}

#[test]
fn below_the_floor_mim_weighs_gradients_by_their_size() {
    // The pixel goes 0.5, 0.45, 0.40: there the gradient turns, at a quarter of the first one's size.
    let x = image([0.5, 0.5, 0.5]);
    let attack = Linf { step_size: 0.05, ..Linf::mim(0.4, 3) };
    let run = |attack: Linf| attack.perturb(&Saturated, &x, &label(0), Start::Seed(0)).unwrap();
    // Norms of 1e-9 lie under the floor 1e-6: m keeps the sizes, 0.08 + 0.03 - 0.02 > 0: onward.
    assert_pixels(&run(attack), [0.35, 0.5, 0.5]);
    // Without a floor each term has norm 1: m = 1 + 1 - 1, onward as well; but at μ = 0.4 the turn
    // wins only if terms are normalized: 0.16 + 0.4 - 1 < 0 against 0.0128 + 0.012 - 0.02 > 0.
    let forgetful = Linf { momentum: Some(0.4), ..attack };
    assert_pixels(&run(forgetful), [0.35, 0.5, 0.5]);
    assert_pixels(&run(Linf { floor: 1e-30, ..forgetful }), [0.45, 0.5, 0.5]);
}

#[test]
fn the_mean_reaches_the_floor_where_the_sum_does_not() {
    /// As [`Saturated`], but the gradient is 5e-6 at the start: above the floor, under it over 200.
    struct Weak;
    impl Classifier for Weak {
        fn logits(&self, images: &Tensor) -> Result<Tensor> {
            Saturated.logits(images)? * 6e3
        }
    }
    let x = image([0.5, 0.5, 0.5]);
    let sum = Linf { step_size: 0.05, momentum: Some(0.4), ..Linf::mim(0.4, 3) };
    let mean = Linf { reduction: Reduction::Mean(200), ..sum };
    let run = |attack: Linf| attack.perturb(&Weak, &x, &label(0), Start::Seed(0)).unwrap();
    assert_pixels(&run(sum), [0.45, 0.5, 0.5]);
    assert_pixels(&run(mean), [0.35, 0.5, 0.5]);
}

#[test]
fn an_audit_shows_an_attack_that_does_nothing() {
    /// Log-probabilities (1 - p, p) with p_0 = 0.6 + 0.1 x_0, as an ensemble gives them.
    struct Unsure;
    impl Classifier for Unsure {
        fn logits(&self, images: &Tensor) -> Result<Tensor> {
            let p = images.flatten_from(1)?.narrow(1, 0, 1)?.affine(0.1, 0.6)?;
            Tensor::cat(&[&p, &p.affine(-1.0, 1.0)?], 1)?.log()
        }
    }
    let x = image([0.5, 0.5, 0.5]);
    for (loss, moved) in [(AttackLoss::CwOfficial, 0), (AttackLoss::Cw, 1), (AttackLoss::Ce, 1)] {
        let attack = Linf { loss, ..Linf::bim(0.1, 10) };
        let (_, audit) = attack.perturb_audited(&Unsure, &x, &label(0), Start::Seed(0)).unwrap();
        assert_eq!((audit.examples, audit.moved, audit.zero_gradients), (1, moved, 1 - moved));
        assert_eq!(moved == 1, 0.0 < audit.mean_loss_rise(), "{loss}: {audit}");
    }
}

#[test]
fn settings_outside_their_range_are_refused() {
    let x = image([0.5, 0.5, 0.5]);
    let refused = |attack: Linf| {
        let attacked = attack.perturb(&two_classes(), &x, &label(0), Start::Seed(0));
        attacked.unwrap_err().to_string()
    };
    assert!(refused(Linf::fgsm(1.5)).starts_with("eps 1.5 is outside [0, 1]"));
    assert!(refused(Linf::bim(-0.1, 10)).starts_with("eps -0.1 is outside [0, 1]"));
    assert!(refused(Linf::bim(f64::NAN, 10)).starts_with("eps NaN is outside [0, 1]"));
    assert!(refused(Linf::pgd(0.1, 0)).contains("at least 1 step"));
    assert!(refused(Linf { step_size: 2.0, ..Linf::fgsm(0.1) }).contains("step size 2"));
    assert!(refused(Linf { momentum: Some(-1.0), ..Linf::fgsm(0.1) }).contains("momentum -1"));
    assert!(refused(Linf { reduction: Reduction::Mean(0), ..Linf::fgsm(0.1) }).contains("mean"));
    let x = image([0.5, 1.5, 0.5]);
    let outside = Linf::fgsm(0.1).perturb(&two_classes(), &x, &label(0), Start::Seed(0));
    assert!(outside.unwrap_err().to_string().contains("outside [0, 1]"));
}

#[test]
fn broken_arithmetic_is_an_error_not_an_idle_attack() {
    let model = Linear::new(&[[f32::NAN; 3], [0.0; 3]]);
    let x = image([0.5, 0.5, 0.5]);
    let attacked = Linf::fgsm(0.1).perturb(&model, &x, &label(0), Start::Seed(0));
    assert!(attacked.unwrap_err().to_string().contains("loss is NaN for example 0"));
}
