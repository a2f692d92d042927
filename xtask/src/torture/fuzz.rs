//! libFuzzer on the targets of `tests/hostile.rs`.
//!
//! The instrumentation is unstable in rustc; `RUSTC_BOOTSTRAP` lets the stable compiler do it, for this
//! build alone.

use super::found;
use crate::{child, workspace};
use anyhow::{Context as _, Result, ensure};
use serde_json::json;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

/// The targets, and of 100 executions how many each gets: cheap parsers of binary formats get more.
const TARGETS: [(&str, u64); 10] = [
    ("idx", 25),
    ("cifar", 10),
    ("packed", 15),
    ("dataset", 6),
    ("options", 6),
    ("config", 6),
    ("checkpoint", 12),
    ("outcomes", 12),
    ("request", 4),
    ("grid", 4),
];

const INSTRUMENTATION: &str = "--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares -Zsanitizer=address";

/// Runs every target, and keeps how often and what came of it.
pub(super) fn run(executions: u64) -> Result<()> {
    let root = workspace::root();
    let build = root.join("target/fuzz");
    let triple = "x86_64-unknown-linux-gnu";
    let mut command = workspace::cargo();
    command
        .args(["build", "--release", "--target", triple, "--manifest-path", "fuzz/Cargo.toml"])
        .env("CARGO_TARGET_DIR", &build)
        .env("RUSTC_BOOTSTRAP", "1")
        .env("RUSTFLAGS", INSTRUMENTATION);
    ensure!(child::run(&mut command)?.status.success(), "the fuzzers do not build");
    let program = build.join(triple).join("release/hostile");
    let mut rows = Vec::new();
    for (target, share) in TARGETS {
        let (row, crashed) = fuzz(&program, target, executions * share / 100)?;
        rows.push(row);
        std::fs::create_dir_all(found())?;
        std::fs::write(found().join("fuzz.json"), serde_json::to_string_pretty(&rows)? + "\n")?;
        ensure!(!crashed, "`{target}` crashed; the input is in target/torture/crashes");
    }
    Ok(())
}

/// One target; its row, and whether it crashed.
fn fuzz(program: &Path, target: &str, executions: u64) -> Result<(serde_json::Value, bool)> {
    let corpus = found().join("corpus").join(target);
    let crashes = found().join("crashes");
    std::fs::create_dir_all(&corpus)?;
    std::fs::create_dir_all(&crashes)?;
    let mut command = Command::new(program);
    command
        .args([
            &format!("-runs={executions}"),
            "-max_len=4096",
            "-timeout=10",
            "-print_final_stats=1",
        ])
        // No more than the file may honestly claim: a reader that allocates 64 MB at once is stopped.
        .args(["-rss_limit_mb=1024", "-malloc_limit_mb=64", "-verbosity=1"])
        .arg(format!("-artifact_prefix={}/{target}-", crashes.display()))
        .arg(&corpus)
        .arg(workspace::root().join("fuzz/regressions").join(target))
        .env("CLDL_TARGET", target)
        .env("ASAN_OPTIONS", "detect_leaks=0")
        .stderr(Stdio::piped());
    let began = Instant::now();
    let ended = child::run(&mut command)?;
    let seconds = began.elapsed().as_secs_f64();
    let executed = executed(&ended.stderr).with_context(|| {
        let lines: Vec<&str> = ended.stderr.lines().rev().take(20).collect();
        format!("`{target}` says nothing of its executions: {}", lines.join(" / "))
    })?;
    let crashed = !ended.status.success();
    eprintln!("fuzz {target}: {executed} executions in {seconds:.0} s, crashed: {crashed}");
    let crashes = u32::from(crashed);
    let row =
        json!({"target": target, "executions": executed, "seconds": seconds, "crashes": crashes});
    Ok((row, crashed))
}

/// The number of executions in libFuzzer's final statistics.
fn executed(log: &str) -> Option<u64> {
    let line = log.lines().find_map(|line| line.strip_prefix("stat::number_of_executed_units:"))?;
    line.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    #[test]
    fn executions_are_read_from_the_statistics() {
        let log = "#1 INITED\nstat::number_of_executed_units: 250000\nstat::peak_rss_mb: 44\n";
        assert_eq!(super::executed(log), Some(250_000));
        assert_eq!(super::executed("#1 INITED"), None);
        let shares: u64 = super::TARGETS.iter().map(|(_, share)| share).sum();
        assert_eq!(shares, 100);
    }
}
