//! `cldl eval`

mod blackbox;
mod clean;

use anyhow::Result;
use clap::Subcommand;

/// Measure accuracy: on clean images, or under attacks from other models.
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
}

impl Args {
    pub(crate) fn run(self) -> Result<()> {
        match self.command {
            Command::Clean(args) => args.run(),
            Command::Blackbox(args) => args.run(),
        }
    }
}
