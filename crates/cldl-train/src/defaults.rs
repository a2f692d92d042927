//! What a method takes where its user is silent: the papers' settings, or those of the published code.
//! Where a paper has none for a dataset, they are ours, and say so.

use cldl_data::{Augmentation, DatasetName, Noise};
use cldl_models::Arch;

use crate::{Adversarial, Distillation, InnerMaximization, Method, Variant};

/// What defaults depend on; `dataset` is the published one that a custom one is like.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Defaults {
    pub(crate) dataset: DatasetName,
    pub(crate) arch: Arch,
    pub(crate) variant: Variant,
}

impl Defaults {
    /// CLDL's γ, α, β: the setting that did best in the paper's tables of the dataset.
    pub(crate) fn cldl(self) -> (f64, f64, f64) {
        match self.dataset {
            DatasetName::Mnist => (3.0, 4.0, 4.0),
            DatasetName::FashionMnist => (3.0, 2.0, 4.0),
            DatasetName::Cifar10 => (4.0, 2.0, 4.0),
        }
    }

    /// TRS's weights of similarity and smoothness: the TRS authors' for CIFAR-10, or the 5 · 2 and
    /// 5 · 2 of CLDL's.
    pub(crate) fn trs_weights(self) -> (f64, f64) {
        match self.variant {
            Variant::Paper => (40.0, 2.5),
            Variant::Official => (10.0, 10.0),
        }
    }

    /// TRS's inner maximization, which CLDL's authors left out. The radii are the TRS authors' for
    /// CIFAR-10; for the other datasets ours, from the same rows of the tables: the first and the third.
    pub(crate) fn trs_inner(self) -> Option<InnerMaximization> {
        let (eps_first, eps_last) = match self.dataset {
            DatasetName::Mnist => (0.1, 0.2),
            DatasetName::FashionMnist => (0.08, 0.15),
            DatasetName::Cifar10 => (0.01, 0.03),
        };
        let inner = InnerMaximization { eps_first, eps_last, steps: 6 };
        (self.variant == Variant::Paper).then_some(inner)
    }

    /// DVERGE's distillation: 0.07 in ten steps of a tenth, or 8/255 in ten steps of a quarter. The
    /// step follows a radius that the user sets.
    pub(crate) fn distillation(self, eps: Option<f64>, steps: Option<usize>) -> Distillation {
        let (usual, share) = match self.variant {
            Variant::Paper => (0.07, 0.1),
            Variant::Official => (8.0 / 255.0, 0.25),
        };
        let eps = eps.unwrap_or(usual);
        Distillation { eps, step_size: eps * share, steps: steps.unwrap_or(10) }
    }

    /// PGD in adversarial training: Madry et al.'s radii for CIFAR-10 and MNIST; for Fashion-MNIST ours,
    /// the largest of its tables.
    pub(crate) fn adversarial(self, eps: Option<f64>, steps: Option<usize>) -> Adversarial {
        let usual = match self.dataset {
            DatasetName::Mnist => 0.3,
            DatasetName::FashionMnist => 0.2,
            DatasetName::Cifar10 => 8.0 / 255.0,
        };
        Adversarial { eps: eps.unwrap_or(usual), steps: steps.unwrap_or(10) }
    }

    /// The published code has leaky ReLU (0.1) in the ResNets of GAL and CLDL; the paper does not
    /// mention it.
    pub(crate) fn leaky_slope(self, method: Method) -> f64 {
        if self.arch == Arch::ResNet20 && self.has_extras(method) { 0.1 } else { 0.0 }
    }

    /// Crops and flips for CIFAR-10. The published code also flips digits and clothes, and adds noise
    /// to CIFAR-10's images under GAL and CLDL.
    pub(crate) fn augmentation(self, method: Method) -> Augmentation {
        let cifar = self.dataset == DatasetName::Cifar10;
        Augmentation {
            flip: cifar || self.variant == Variant::Official,
            crop_padding: if cifar { 4 } else { 0 },
            noise: (cifar && self.has_extras(method)).then_some(noise(0.045)),
        }
    }

    /// Passes over the data: what the authors' scripts ask for (20, 30, 200); their loop makes one more.
    pub(crate) fn epochs(self) -> usize {
        let scripts = match self.dataset {
            DatasetName::Mnist => 20,
            DatasetName::FashionMnist => 30,
            DatasetName::Cifar10 => 200,
        };
        scripts + usize::from(self.variant == Variant::Official)
    }

    /// Whether the published code gives this method what the paper does not mention.
    fn has_extras(self, method: Method) -> bool {
        let extras = matches!(method, Method::Gal { .. } | Method::Cldl { .. });
        self.variant == Variant::Official && extras
    }
}

/// Gaussian noise on every other image.
pub(crate) fn noise(std: f32) -> Noise {
    Noise { std, probability: 0.5 }
}

/// The architecture that the papers train on a dataset.
pub(crate) fn arch(dataset: DatasetName) -> Arch {
    match dataset {
        DatasetName::Mnist | DatasetName::FashionMnist => Arch::LeNet5,
        DatasetName::Cifar10 => Arch::ResNet20,
    }
}
