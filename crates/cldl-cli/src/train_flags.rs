//! The flags of `cldl train` that say what is trained and how: what a TOML file may say as well.

use std::path::PathBuf;

use cldl_models::Arch;
use cldl_train::Variant;
use serde::Serialize;

/// The options of [`cldl_train::TrainOptions`], field by field.
#[derive(clap::Args, Serialize)]
pub(crate) struct Flags {
    /// Training method, see below [default: cldl]
    #[arg(long, value_name = "NAME", help_heading = "What to train")]
    method: Option<String>,
    /// Dataset: `mnist`, `fashion-mnist`, `cifar-10`, or a folder of your own with a `dataset.toml`
    /// [default: mnist]
    #[arg(long, value_name = "NAME", help_heading = "What to train")]
    dataset: Option<String>,
    /// Architecture of the members: `lenet5` (28x28 gray) or `resnet20` (32x32 RGB) [default: the one
    /// that fits the dataset]
    #[arg(long, value_name = "NAME", help_heading = "What to train")]
    arch: Option<Arch>,
    /// Number of members [default: 3]
    #[arg(long, value_name = "N", help_heading = "What to train")]
    members: Option<usize>,
    /// The papers' equations (`paper`) or what CLDL's authors published (`official`) [default: paper]
    #[arg(long, value_name = "NAME", help_heading = "What to train")]
    variant: Option<Variant>,
    /// Start from the weights of another run, a checkpoint or a repository of the Hub [default: fresh
    /// weights]
    #[arg(long, value_name = "RUN", help_heading = "What to train")]
    init: Option<PathBuf>,

    /// CLDL: weight of the hard label in the soft one, Eq. 6 [default: the paper's best]
    #[arg(long, value_name = "X", allow_negative_numbers = true, help_heading = "The method")]
    gamma: Option<f64>,
    /// CLDL: weight of soft label diversity, Eq. 11 [default: the paper's best]. ADP: of the entropy
    /// (2). GAL: of the gradients' coherence (0.5). TRS: of their similarity (40, official 10)
    #[arg(long, value_name = "X", allow_negative_numbers = true, help_heading = "The method")]
    alpha: Option<f64>,
    /// CLDL: weight of gradient diversity, Eq. 11 [default: the paper's best]. ADP: of the members'
    /// diversity (0.5). TRS: of smoothness (2.5, official 10)
    #[arg(long, value_name = "X", allow_negative_numbers = true, help_heading = "The method")]
    beta: Option<f64>,
    /// Baseline: share of the label that is spread evenly over all classes [default: 0]
    #[arg(long, value_name = "X", allow_negative_numbers = true, help_heading = "The method")]
    label_smoothing: Option<f64>,
    /// DVERGE: the layer to distill, 1 to 5 (LeNet-5) or 20 (ResNet-20) [default: a random one in
    /// each epoch]
    #[arg(long, value_name = "N", help_heading = "The method")]
    layer: Option<usize>,
    /// DVERGE: how far an image is moved, in pixels of [0, 1] [default: 0.07, official 8/255]
    #[arg(long, value_name = "X", allow_negative_numbers = true, help_heading = "The method")]
    distill_eps: Option<f64>,
    /// DVERGE: steps of the distillation [default: 10]
    #[arg(long, value_name = "N", help_heading = "The method")]
    distill_steps: Option<usize>,
    /// Adversarial training on top of the method: the cross-entropy on PGD examples is added
    #[arg(long, help_heading = "The method")]
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    plus_adv: bool,
    /// Adversarial training: radius of PGD [default: 0.3 for MNIST, 0.2 for Fashion-MNIST, 8/255 for
    /// CIFAR-10]
    #[arg(long, value_name = "X", allow_negative_numbers = true, help_heading = "The method")]
    adv_eps: Option<f64>,
    /// Adversarial training: steps of PGD, each of a quarter of the radius [default: 10]
    #[arg(long, value_name = "N", help_heading = "The method")]
    adv_steps: Option<usize>,
    /// ResNet-20: negative slope of its activations [default: 0, ReLU; official 0.1 for GAL and CLDL]
    #[arg(long, value_name = "X", allow_negative_numbers = true, help_heading = "The method")]
    leaky_slope: Option<f64>,
    /// Gaussian noise of this deviation on every other training image [default: 0; official 0.045 for
    /// GAL and CLDL on CIFAR-10]
    #[arg(long, value_name = "X", allow_negative_numbers = true, help_heading = "The method")]
    noise_std: Option<f32>,

    /// Passes over the training images [default: 20 for MNIST, 30 for Fashion-MNIST, 200 for
    /// CIFAR-10; one more under `--variant official`]
    #[arg(long, value_name = "N", help_heading = "How to train")]
    epochs: Option<usize>,
    /// Images of a step [default: 128]
    #[arg(long, value_name = "N", help_heading = "How to train")]
    batch_size: Option<usize>,
    /// Initial learning rate of Adam [default: 0.001]
    #[arg(long, value_name = "X", allow_negative_numbers = true, help_heading = "How to train")]
    lr: Option<f64>,
    /// Names every random draw: initial weights, order, augmentation [default: 0]
    #[arg(long, value_name = "N", help_heading = "How to train")]
    seed: Option<u64>,
    /// Train on the first N images alone
    #[arg(long, value_name = "N", help_heading = "How to train")]
    limit_train: Option<usize>,
}
