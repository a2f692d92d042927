//! `cargo xtask torture`: kills, faults, hostile input and fuzzers, and `docs/reliability.md` of what they
//! found.

mod fuzz;
mod report;

use crate::{child, interrupt, scale, workspace};
use anyhow::{Context as _, Result, ensure};
use clap::ValueEnum;
use serde_json::json;
use std::num::NonZero;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Instant;

const EXAMPLES: &str = "\
Examples:
  cargo xtask torture                    all of it: half an hour on two free cores
  cargo xtask torture --kills 500        more kills
  cargo xtask torture --only fuzz        the fuzzers, then the report

What was found is kept in target/torture/; docs/reliability.md is made of it. The
same tests, with fewer kills and without fuzzers, are a part of `cargo xtask ci`.";

/// Kill, starve and feed the binary with broken files, and report what it survives.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Kills in all, over trainings, evaluations and `reproduce`
    #[arg(long, value_name = "N", default_value_t = 100)]
    kills: usize,
    /// Executions of the fuzzers in all
    #[arg(long, value_name = "N", default_value_t = 10_000_000)]
    executions: u64,
    /// Only these parts; the report is always made
    #[arg(long, value_enum, value_name = "PART", value_delimiter = ',')]
    only: Vec<Part>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum Part {
    /// Kills, faults, broken files, load, memory
    Tests,
    /// libFuzzer on every reader of files from elsewhere
    Fuzz,
    /// docs/reliability.md alone, from what was found before
    Report,
}

/// Runs the chore.
pub(crate) fn run(args: &Args) -> Result<()> {
    interrupt::watch()?;
    let wanted = |part| args.only.is_empty() || args.only.contains(&part);
    if wanted(Part::Tests) {
        tests(args.kills)?;
    }
    if wanted(Part::Fuzz) {
        fuzz::run(args.executions)?;
    }
    let path = workspace::root().join("docs/reliability.md");
    let text = report::markdown(&found())?;
    std::fs::write(&path, text).with_context(|| format!("can't write `{}`", path.display()))?;
    eprintln!("written to {}", path.display());
    Ok(())
}

/// Where what was found is kept.
fn found() -> PathBuf {
    workspace::root().join("target/torture")
}

fn tests(kills: usize) -> Result<()> {
    // What an earlier run found must not stand for what this one does not reach.
    forget(|name| name != "fuzz.json")?;
    let began = Instant::now();
    // The tests run the binaries that lie beside them.
    build(&["build", "--release", "--workspace", "--bins", "--locked"])?;
    // The build without optimization must give the same bytes.
    build(&["build", "--package", "cldl-cli", "--no-default-features", "--locked"])?;
    let mut command = workspace::cargo();
    command
        .args(["test", "--release", "--workspace", "--test", "torture", "--locked"])
        // One after the other: kills are timed.
        .args(["--", "--test-threads", "1"])
        .env("CLDL_TORTURE", kills.to_string())
        .env("CLDL_TORTURE_DEBUG", workspace::root().join("target/debug/cldl"))
        .env("CLDL_TORTURE_OUT", found());
    ensure!(child::run(&mut command)?.status.success(), "something did not survive; see above");
    let compiler = child::run(Command::new("rustc").arg("--version").stdout(Stdio::piped()))?;
    let run = json!({
        "machine": scale::machine(),
        "cores": std::thread::available_parallelism().map_or(1, NonZero::get),
        "compiler": compiler.stdout.trim(),
        "minutes": began.elapsed().as_secs().div_ceil(60),
    });
    std::fs::write(found().join("run.json"), serde_json::to_string_pretty(&run)? + "\n")?;
    Ok(())
}

/// Removes what was found before, where `old` says so of a file's name.
fn forget(old: impl Fn(&str) -> bool) -> Result<()> {
    std::fs::create_dir_all(found())?;
    for entry in std::fs::read_dir(found())? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if path.is_file() && name.ends_with(".json") && old(&name) {
            std::fs::remove_file(&path)?;
        }
    }
    Ok(())
}

fn build(arguments: &[&str]) -> Result<()> {
    let built = child::run(workspace::cargo().args(arguments))?.status.success();
    ensure!(built, "`cargo {}` failed", arguments.join(" "));
    Ok(())
}
