//! What README's two commands print, as it was when they were last run for it: `docs/output`.
//!
//! Times differ from run to run, so nothing checks these files against a new one: `cargo xtask docs --outputs`
//! makes them anew.

use crate::{child, workspace};
use anyhow::{Context as _, Result, ensure};
use clap::ValueEnum;
use std::env;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

/// One of the two.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum Output {
    /// The main job, on a fresh root
    Reproduce,
    /// The checks: half an hour
    Ci,
}

impl Output {
    /// Runs the command, and keeps what it prints in `folder`.
    pub(super) fn record(self, folder: &Path) -> Result<()> {
        match self {
            Self::Reproduce => record_reproduce(folder),
            Self::Ci => record_ci(folder),
        }
    }
}

/// Keeps the plan, the table and the last words.
fn record_reproduce(folder: &Path) -> Result<()> {
    let root = env::temp_dir().join(format!("cldl-output-{}", std::process::id()));
    let shown = "cargo xtask reproduce --table 4 --scale smoke";
    let root_flag = format!("--root {}", root.display());
    let (stdout, stderr) = says(&format!("{shown} {root_flag}"))?;
    // A folder that stays behind in the temporary directory harms nobody.
    let _ = fs::remove_dir_all(&root);
    let lines = || stderr.lines().filter(|line| !line.trim_start().starts_with("Finished"));
    let plan = lines().take_while(|line| !line.starts_with('['));
    let last = lines().filter(|line| line.starts_with("written to") || line.starts_with("look at"));
    let told = [plan.collect(), vec!["...", ""], stdout.lines().collect(), last.collect()].concat();
    keep(folder, "reproduce.txt", shown, &told)
}

/// Keeps how each check went.
fn record_ci(folder: &Path) -> Result<()> {
    let shown = "cargo xtask ci";
    let (_, stderr) = says(shown)?;
    let told: Vec<&str> = stderr.lines().filter(|line| line.starts_with("ci: ")).collect();
    keep(folder, "ci.txt", shown, &told)
}

/// Both streams of a command that begins with `cargo xtask`.
fn says(command: &str) -> Result<(String, String)> {
    let mut words = command.split(' ').skip(2);
    let mut run = Command::new(env::current_exe()?);
    run.args(words.by_ref()).current_dir(workspace::root()).stdout(Stdio::piped());
    let ended = child::watch(&mut run, |line| eprintln!("{line}"))?;
    ensure!(ended.status.success(), "`{command}` failed ({})", ended.status);
    Ok((ended.stdout, ended.stderr))
}

fn keep(folder: &Path, name: &str, command: &str, lines: &[&str]) -> Result<()> {
    let path = folder.join(name);
    let lines: Vec<&str> = lines.iter().map(|line| line.trim_end()).collect();
    let text = format!("$ {command}\n{}\n", lines.join("\n"));
    fs::create_dir_all(folder)
        .and_then(|()| fs::write(&path, text))
        .with_context(|| format!("can't write `{}`", path.display()))
}
