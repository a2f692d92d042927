//! libFuzzer on the targets of `tests/hostile.rs`.
//!
//! The instrumentation is unstable in rustc; `RUSTC_BOOTSTRAP` lets the stable compiler do it, for this
//! build alone.

use super::{forget, found};
use crate::{child, workspace};
use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use std::num::NonZero;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::ScopedJoinHandle;
use std::time::Instant;

/// The targets, and of 100 executions how many each gets: cheap parsers of binary formats get more.
const TARGETS: [(&str, u64); 12] = [
    ("idx", 15),
    ("cifar", 8),
    ("packed", 13),
    ("dataset", 6),
    ("options", 6),
    ("config", 6),
    ("checkpoint", 12),
    ("published", 4),
    ("pytorch", 12),
    ("outcomes", 10),
    ("request", 4),
    ("grid", 4),
];

const INSTRUMENTATION: &str = "--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares -Zsanitizer=address";

/// Runs every target, and keeps how often and what came of it.
pub(super) fn run(executions: u64) -> Result<()> {
    forget(|name| name == "fuzz.json")?;
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
    // One target at a time on each core.
    let next = AtomicUsize::new(0);
    let work = || -> Result<Vec<(usize, Value)>> {
        let mut rows = Vec::new();
        loop {
            let which = next.fetch_add(1, Ordering::Relaxed);
            let Some((target, share)) = TARGETS.get(which) else { return Ok(rows) };
            // Rounded up: in all they must not be fewer than asked for.
            rows.push((which, fuzz(&program, target, (executions * share).div_ceil(100))?));
        }
    };
    let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
    let mut rows: Vec<(usize, Value)> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..cores).map(|_| scope.spawn(work)).collect();
        let done = |worker: ScopedJoinHandle<'_, Result<Vec<_>>>| {
            worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        };
        workers.into_iter().map(done).collect::<Result<Vec<_>>>()
    })?
    .concat();
    rows.sort_by_key(|(which, _)| *which);
    let rows: Vec<Value> = rows.into_iter().map(|(_, row)| row).collect();
    std::fs::write(found().join("fuzz.json"), serde_json::to_string_pretty(&rows)? + "\n")?;
    let crashed = rows.iter().find(|row| row["crashes"] != 0);
    ensure!(
        crashed.is_none(),
        "{} crashed; the input is in target/torture/crashes",
        crashed.map(|row| row["target"].to_string()).unwrap_or_default()
    );
    Ok(())
}

/// One target; its row.
fn fuzz(program: &Path, target: &str, executions: u64) -> Result<Value> {
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
        .args(["-rss_limit_mb=1024", "-malloc_limit_mb=64"])
        // Names of functions that are new cost more than the executions.
        .args(["-print_funcs=0"])
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
    Ok(json!({"target": target, "executions": executed, "seconds": seconds, "crashes": crashes}))
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

    #[test]
    fn every_target_that_has_regressions_is_fuzzed() {
        let folder = crate::workspace::root().join("fuzz/regressions");
        let entries = std::fs::read_dir(folder).unwrap();
        let mut folders: Vec<_> =
            entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        let mut targets = super::TARGETS.map(|(target, _)| target.to_owned()).to_vec();
        folders.sort();
        targets.sort();
        assert_eq!(folders, targets);
    }
}
