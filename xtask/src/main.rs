//! The project's chores. Runs the `cldl` binary and cargo, and links no candle (of the workspace
//! `cldl-grid` alone), so that it builds in seconds.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "it talks to a person")]

mod bench;
mod browser;
mod check_gpu;
mod child;
mod ci;
mod docs;
mod interrupt;
mod markdown;
mod progress;
mod reproduce;
mod scale;
mod tidy;
mod torture;
mod workspace;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

const EXAMPLES: &str = "\
Examples:
  cargo xtask reproduce --table 4 --scale smoke     the paper's Table 4 in two minutes
  cargo xtask reproduce --table 4 --dry-run         what it would do, and how long it takes
  cargo xtask ci                                    every check, cheapest first
  cargo xtask ci --only test                        one of them";

/// The project's chores: reproduce the paper's tables, check everything.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Debug, Subcommand)]
enum Chore {
    /// Train, attack and print tables of the paper beside ours
    Reproduce(reproduce::Args),
    /// How large a grid is, and how long it takes on how many workers
    Plan(scale::Args),
    /// Run every check: format, tidy, clippy, tests, docs, the GPU features' types
    Ci(ci::Args),
    Bench(bench::Args),
    Docs(docs::Args),
    Torture(torture::Args),
    /// Type-check the features `cuda` and `metal` on a machine that has neither
    CheckGpu(check_gpu::Args),
    /// Do one task of a grid; Slurm jobs call this
    #[command(hide = true)]
    Work(reproduce::work::Args),
}

/// A wrong request, as opposed to a failure: exit code 2.
#[derive(Debug)]
struct Usage(String);

impl std::fmt::Display for Usage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Usage {}

fn main() -> ExitCode {
    let result = match Cli::parse().chore {
        Chore::Reproduce(args) => reproduce::run(&args),
        Chore::Plan(args) => scale::run(&args),
        Chore::Ci(args) => ci::run(&args),
        Chore::Bench(args) => bench::run(&args),
        Chore::Docs(args) => docs::run(&args),
        Chore::Torture(args) => torture::run(&args),
        Chore::CheckGpu(args) => check_gpu::run(&args),
        Chore::Work(args) => reproduce::work::run(&args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(if error.is::<Usage>() { 2 } else { 1 })
        }
    }
}
