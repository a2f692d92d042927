//! What the commands that attack on a grid of radii share.

use std::path::PathBuf;

use cldl_attacks::{AttackKind, AttackLoss};
use cldl_data::DatasetSpec;
use cldl_eval::{Protocol, Sets};

use super::measurement::Measurement;
use crate::common::Compute;
use crate::models::{self, Part, TestData};
use crate::output::Output;

/// What every evaluation takes: how it is shown, where the data are, where to compute.
#[derive(clap::Args)]
pub(super) struct Basics {
    #[command(flatten)]
    pub(super) output: Output,
    #[command(flatten)]
    pub(super) data: TestData,
    #[command(flatten)]
    pub(super) compute: Compute,
}

/// Attacks by someone who has models of their own.
#[derive(clap::Args)]
pub(super) struct BlackboxArgs {
    /// The models on which attacks are crafted
    #[arg(long, value_name = "RUN", required = true, num_args = 1..)]
    pub(super) surrogates: Vec<PathBuf>,
    #[command(flatten)]
    pub(super) attack: AttackArgs,
    /// Random starts of PGD; the other attacks have none
    #[arg(long, value_name = "K", default_value_t = 3)]
    pub(super) attack_seeds: u64,
    /// How outcomes become a percentage: `official` (right on every set, among the images right
    /// before) or `paper` (mean over sets, among all images)
    #[arg(long, value_name = "NAME", default_value = "official")]
    pub(super) protocol: Protocol,
}

/// Attacks by someone who knows the model.
#[derive(clap::Args)]
pub(super) struct WhiteboxArgs {
    #[command(flatten)]
    pub(super) attack: AttackArgs,
    /// Random starts of PGD; an image counts if it stays right under all of them
    #[arg(long, value_name = "K", default_value_t = 5)]
    pub(super) restarts: u64,
}

/// Which attacks are made on which images, and where their outcomes are kept.
#[derive(clap::Args)]
pub(super) struct AttackArgs {
    /// Attacks: `bim`, `fgsm`, `mim`, `pgd` [default: all]
    #[arg(long, value_name = "NAME", num_args = 1.., value_delimiter = ',')]
    attacks: Vec<AttackKind>,
    /// Radii in pixels of [0, 1] [default: those of the paper's tables]
    #[arg(
        long,
        value_name = "X",
        num_args = 1..,
        value_delimiter = ',',
        value_parser = models::eps,
        allow_negative_numbers = true
    )]
    eps: Vec<f64>,
    /// Losses that attacks maximize: `ce`, `cw`, `cw-official` [default: ce; the protocol's under
    /// black-box attacks]
    #[arg(long, value_name = "NAME", num_args = 1.., value_delimiter = ',')]
    losses: Vec<AttackLoss>,
    /// Steps of size eps/5; FGSM takes one of size eps
    #[arg(long, value_name = "N", default_value_t = 10)]
    steps: usize,
    /// Images under attack: the first N of those that the command takes [default: 1000, or all if
    /// there are fewer]
    #[arg(long, value_name = "N")]
    pub(super) examples: Option<usize>,
    /// Folder where outcomes are kept: what is there is not computed again
    #[arg(long, value_name = "DIR", default_value = "runs/outcomes")]
    pub(super) store: PathBuf,
}

impl BlackboxArgs {
    /// How `targets` do on `part` of the test images.
    pub(super) fn measurement<'a>(&'a self, targets: &'a [PathBuf], part: Part) -> Measurement<'a> {
        Measurement {
            targets,
            surrogates: &self.surrogates,
            attack: &self.attack,
            starts: self.attack_seeds,
            protocol: self.protocol,
            part,
        }
    }
}

impl AttackArgs {
    /// Every attack with every radius.
    pub(super) fn attacks(&self, dataset: &DatasetSpec) -> Vec<(AttackKind, f64)> {
        let eps = usual(&self.eps, &models::usual_eps(dataset));
        let attacks = usual(&self.attacks, &AttackKind::ALL);
        attacks.iter().flat_map(|attack| eps.iter().map(|eps| (*attack, *eps))).collect()
    }

    /// Losses (or the `usual` ones), so many random starts, and steps.
    pub(super) fn sets(&self, usual_losses: &[AttackLoss], seeds: u64) -> Sets {
        let losses = usual(&self.losses, usual_losses);
        Sets { losses, seeds: (0..seeds).collect(), steps: self.steps }
    }
}

/// What is given, or else what is usual.
fn usual<T: Clone>(given: &[T], usual: &[T]) -> Vec<T> {
    if given.is_empty() { usual.to_vec() } else { given.to_vec() }
}
