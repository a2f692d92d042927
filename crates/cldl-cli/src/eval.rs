//! `cldl eval`

mod blackbox;
mod clean;
mod measurement;
mod options;
mod report;
mod transfer;
mod tuning;
mod whitebox;

use anyhow::Result;
use clap::Subcommand;

/// Measure accuracy: on clean images, and under attacks.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Accuracy on test images as they are
    Clean(clean::Args),
    /// Accuracy under attacks crafted on surrogates, which the attacker trained
    Blackbox(blackbox::Args),
    /// Accuracy under attacks by someone who knows the whole ensemble
    Whitebox(whitebox::Args),
    /// How far what fools one member fools the others
    Transfer(transfer::Args),
    /// Compare hyper-parameters on the 1,000 test images that are kept for that
    Tuning(tuning::Args),
}

impl Args {
    pub(crate) fn run(self) -> Result<()> {
        match self.command {
            Command::Clean(args) => args.run(),
            Command::Blackbox(args) => args.run(),
            Command::Whitebox(args) => args.run(),
            Command::Transfer(args) => args.run(),
            Command::Tuning(args) => args.run(),
        }
    }
}
