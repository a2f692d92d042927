//! What the commands that attack on a grid of radii share.

use std::path::PathBuf;

use cldl_attacks::{AttackKind, AttackLoss};
use cldl_data::DatasetName;
use cldl_eval::Sets;

use crate::models;

/// Which attacks are made, and where their outcomes are kept.
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
    /// Folder where outcomes are kept: what is there is not computed again
    #[arg(long, value_name = "DIR", default_value = "runs/outcomes")]
    pub(super) store: PathBuf,
}

impl AttackArgs {
    /// Every attack with every radius.
    pub(super) fn attacks(&self, dataset: DatasetName) -> Vec<(AttackKind, f64)> {
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
