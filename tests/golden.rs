//! The golden cases: numbers written by an independent PyTorch program, on both paths of the ops.
//!
//! `cargo test --release --workspace --test golden` reads `tests/golden/*.json`, or the folder that
//! `CLDL_GOLDEN_DIR` names. Every part of every case is a test of its own, once with the CPU kernels
//! and once in candle's own ops, the path that GPUs take. Cases in f64 hold that path, which they
//! alone can take, to 1e-6; `tests/golden/make_f64.py` wrote them.

#[path = "golden_checks/attacks.rs"]
mod attacks;
#[path = "golden_checks/case.rs"]
mod case;
#[path = "golden_checks/forward.rs"]
mod forward;
#[path = "golden_checks/objectives.rs"]
mod objectives;
#[path = "golden_checks/training.rs"]
mod training;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use cldl_core::with_candle_ops;
use libtest_mimic::{Arguments, Trial};

use crate::case::{Case, Precision};

type Check = Box<dyn Fn(&Case) -> Result<()> + Send + Sync>;

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    match cases().map(|cases| cases.iter().flat_map(trials).collect()) {
        Ok(trials) => libtest_mimic::run(&arguments, trials).exit_code(),
        Err(error) => {
            // The cases can't be read: a failing test of that name says why.
            let reason = format!("{error:#}");
            let unreadable = Trial::test("golden cases", move || Err(reason.into()));
            libtest_mimic::run(&arguments, vec![unreadable]).exit_code()
        }
    }
}

fn cases() -> Result<Vec<Arc<Case>>> {
    let folder = std::env::var_os("CLDL_GOLDEN_DIR").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/golden")),
        PathBuf::from,
    );
    let entries =
        folder.read_dir().with_context(|| format!("can't read `{}`", folder.display()))?;
    let mut paths: Vec<PathBuf> = entries
        .map(|entry| Ok(entry?.path()))
        .collect::<std::io::Result<Vec<_>>>()?
        .into_iter()
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .collect();
    paths.sort();
    ensure!(!paths.is_empty(), "no *.json in `{}`", folder.display());
    paths.iter().map(|path| Case::read(path).map(Arc::new)).collect()
}

/// Every part of a case, on both paths; parts that are not known are listed as ignored.
fn trials(case: &Arc<Case>) -> Vec<Trial> {
    let mut parts: Vec<(String, Option<Check>)> = Vec::new();
    parts.push(("forward".into(), Some(Box::new(forward::members))));
    parts.push(("feature maps".into(), Some(Box::new(forward::feature_maps))));
    for index in 0..case.attacks.len() {
        let name = format!("attack {}", case.attacks[index].name());
        parts.push((name, Some(Box::new(move |case| attacks::check(case, index)))));
    }
    parts.push(("dverge distillation".into(), Some(Box::new(attacks::distillation))));
    for name in case.objectives.keys() {
        let check = objectives::method(name, case).map(|(method, variant)| {
            let key = name.clone();
            Box::new(move |case: &Case| objectives::check(case, &key, method, variant)) as Check
        });
        parts.push((format!("objective {name}"), check));
    }
    parts.push(("training steps".into(), Some(Box::new(training::check))));

    let mut trials = Vec::new();
    for (part, check) in parts {
        let check = check.map(Arc::new);
        // The kernels are in f32.
        let paths: &[_] = match case.dtype {
            Precision::F32 => &["kernels", "candle"],
            Precision::F64 => &["candle"],
        };
        for &path in paths {
            let (case, check) = (case.clone(), check.clone());
            let name = format!("{} {part} ({path})", case.name);
            let known = check.is_some();
            let run = move || {
                let check = check.context("not known")?;
                Ok(if path == "candle" { with_candle_ops(|| check(&case)) } else { check(&case) }
                    .map_err(|error| format!("{error:#}"))?)
            };
            trials.push(Trial::test(name, run).with_ignored_flag(!known));
        }
    }
    trials
}
