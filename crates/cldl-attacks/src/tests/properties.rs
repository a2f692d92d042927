//! What must hold for every attack on every model: bounds, identities, independence of the batch.

use crate::{AttackKind, AttackLoss, Goal, Linf, Start};
use candle::{Device, Result, Tensor};
use cldl_core::{Classifier, Stream};
use proptest::prelude::*;

const SHAPE: [usize; 3] = [2, 4, 4];
const PIXELS: usize = 32;
const CLASSES: usize = 5;

/// Two layers with a tanh between: enough for gradients to change from step to step.
struct Net {
    hidden: Tensor,
    out: Tensor,
}

impl Net {
    fn new(seed: u64) -> Self {
        Self { hidden: draw(seed, "hidden", &[PIXELS, 8]), out: draw(seed, "out", &[8, CLASSES]) }
    }
}

impl Classifier for Net {
    fn logits(&self, images: &Tensor) -> Result<Tensor> {
        images.flatten_from(1)?.matmul(&self.hidden)?.tanh()?.matmul(&self.out)
    }
}

fn draw(seed: u64, purpose: &str, shape: &[usize]) -> Tensor {
    let mut stream = Stream::new(seed, purpose, &[]);
    let values: Vec<f32> =
        (0..shape.iter().product()).map(|_| 2.0 * stream.uniform() - 1.0).collect();
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
}

/// Images with many pixels at the box's border, and labels.
fn batch(seed: u64, size: usize) -> (Tensor, Tensor) {
    let [channels, height, width] = SHAPE;
    let wide = draw(seed, "images", &[size, channels, height, width]);
    let images = (wide * 0.8).unwrap().affine(1.0, 0.5).unwrap().clamp(0.0, 1.0).unwrap();
    let mut stream = Stream::new(seed, "labels", &[]);
    let labels: Vec<u32> = (0..size).map(|_| stream.below(CLASSES as u32)).collect();
    (images, Tensor::new(labels, &Device::Cpu).unwrap())
}

fn pixels(images: &Tensor) -> Vec<f32> {
    images.flatten_all().unwrap().to_vec1().unwrap()
}

fn any_attack() -> impl Strategy<Value = Linf> {
    let kind = prop::sample::select(&AttackKind::ALL[..]);
    let loss = prop::sample::select(&AttackLoss::ALL[..]);
    let eps = prop_oneof![Just(0.0), Just(1.0), 0.0..0.5];
    (kind, loss, eps, 1usize..6)
        .prop_map(|(kind, loss, eps, steps)| Linf { loss, ..kind.attack(eps, steps) })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn attacked_images_stay_in_ball_and_box(attack in any_attack(), seed in 0u64..1000) {
        let (images, labels) = batch(seed, 3);
        let start = Start::Seed(seed);
        let (attacked, audit) =
            attack.perturb_audited(&Net::new(seed), &images, &labels, start).unwrap();
        for (clean, dirty) in pixels(&images).iter().zip(pixels(&attacked)) {
            prop_assert!((0.0..=1.0).contains(&dirty));
            prop_assert!(f64::from((clean - dirty).abs()) <= attack.eps + 1e-6);
        }
        prop_assert!(audit.examples == 3 && audit.max_change <= attack.eps + 1e-6);
        let same = attack.perturb(&Net::new(seed), &images, &labels, start).unwrap();
        prop_assert_eq!(pixels(&same), pixels(&attacked));
    }

    #[test]
    fn radius_0_changes_nothing(attack in any_attack(), seed in 0u64..1000) {
        let (images, labels) = batch(seed, 2);
        let attack = Linf { eps: 0.0, ..attack };
        let attacked =
            attack.perturb(&Net::new(seed), &images, &labels, Start::Seed(0)).unwrap();
        prop_assert_eq!(pixels(&attacked), pixels(&images));
    }

    #[test]
    fn fgsm_is_one_step_of_bim(eps in 0.0..0.5, seed in 0u64..1000) {
        let (images, labels) = batch(seed, 2);
        let net = Net::new(seed);
        let run = |attack: Linf| {
            pixels(&attack.perturb(&net, &images, &labels, Start::Seed(0)).unwrap())
        };
        let bim = Linf { step_size: eps, ..Linf::bim(eps, 1) };
        prop_assert_eq!(run(Linf::fgsm(eps)), run(bim));
    }

    #[test]
    fn an_example_fares_the_same_in_any_batch(attack in any_attack(), seed in 0u64..1000) {
        let (images, labels) = batch(seed, 4);
        let net = Net::new(seed);
        let numbers = [3, 1, 4, 2];
        let whole = Start::Examples { seed, numbers: &numbers };
        let whole = attack.perturb(&net, &images, &labels, whole).unwrap();
        for i in 0..4 {
            let (image, label) =
                (images.narrow(0, i, 1).unwrap(), labels.narrow(0, i, 1).unwrap());
            let start = Start::Examples { seed, numbers: &numbers[i..=i] };
            let alone = attack.perturb(&net, &image, &label, start).unwrap();
            prop_assert_eq!(pixels(&alone), pixels(&whole.get(i).unwrap()));
        }
    }
}

#[test]
fn seeds_matter_to_random_starts_alone() {
    let (images, labels) = batch(1, 2);
    let net = Net::new(1);
    for kind in AttackKind::ALL {
        let run = |seed| {
            let attack = kind.attack(0.1, 3);
            pixels(&attack.perturb(&net, &images, &labels, Start::Seed(seed)).unwrap())
        };
        assert_eq!(run(0) != run(1), kind.is_random(), "{kind}");
    }
}

#[test]
fn losses_rise_and_targets_are_approached() {
    let (images, labels) = batch(2, 16);
    let net = Net::new(2);
    for loss in [AttackLoss::Ce, AttackLoss::Cw] {
        for goal in [Goal::Leave, Goal::Reach] {
            let attack = Linf { loss, goal, ..Linf::bim(0.2, 10) };
            let (_, audit) =
                attack.perturb_audited(&net, &images, &labels, Start::Seed(0)).unwrap();
            assert!(0.05 < audit.mean_loss_rise(), "{loss} {goal:?}: {audit}");
        }
    }
}
