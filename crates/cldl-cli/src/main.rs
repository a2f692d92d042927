//! `cldl`: robust ensembles for image classification.
//!
//! Results go to stdout, progress and logs to stderr. Exit status: 0 done, 1 failed, 2 wrong usage.

mod attack;
mod bench;
mod common;
mod data;
mod environment;
mod eval;
mod export;
mod failure;
#[cfg(feature = "hub")]
mod hub;
mod import;
mod models;
mod output;
mod progress;
mod published;
mod report;
mod source;
mod status;
mod table;
mod train;
mod train_flags;
mod verify;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Train ensembles that resist adversarial images, attack them, and measure what is left.
#[derive(Parser)]
#[command(version, propagate_version = true, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    /// Say more on stderr (twice: even more); RUST_LOG has the finer filter
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    verbose: u8,
}

const EXAMPLES: &str = "Examples:
  cldl train --method cldl --epochs 3              train three LeNet-5 on MNIST into runs/
  cldl eval clean runs/cldl-3-4-4-*                 clean accuracy
  cldl attack runs/cldl-3-4-4-* --attack pgd --eps 0.1 --out adversarial.safetensors
  cargo xtask reproduce --table 4 --scale smoke     the paper's Table 4, in two minutes";

#[derive(Subcommand)]
enum Command {
    Train(train::Args),
    /// Measure accuracy: on clean images, and under attacks
    Eval(eval::Args),
    /// Attack a model that the attacker knows, and keep the adversarial images
    Attack(attack::Args),
    /// Fill a table of the paper with what was measured
    Table(table::Args),
    Verify(verify::Args),
    Status(status::Args),
    Report(report::ReportArgs),
    Plot(report::PlotArgs),
    Bench(bench::Args),
    Export(export::Args),
    Import(import::Args),
    /// Share checkpoints through the Hugging Face Hub
    #[cfg(feature = "hub")]
    #[command(subcommand)]
    Hub(hub::Command),
    /// Get, check and describe the datasets
    #[command(subcommand)]
    Data(data::Command),
}

fn main() -> ExitCode {
    environment::settle();
    let cli = Cli::parse();
    common::start_logging(cli.verbose);
    let result = match cli.command {
        Command::Train(args) => args.run(),
        Command::Eval(args) => args.run(),
        Command::Attack(args) => args.run(),
        Command::Table(args) => args.run(),
        Command::Verify(args) => args.run(),
        Command::Status(args) => args.run(),
        Command::Report(args) => args.run(),
        Command::Plot(args) => args.run(),
        Command::Bench(args) => args.run(),
        Command::Export(args) => args.run(),
        Command::Import(args) => args.run(),
        #[cfg(feature = "hub")]
        Command::Hub(command) => command.run(),
        Command::Data(command) => command.run(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failure::report(&error),
    }
}
