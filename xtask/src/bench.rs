//! `cargo xtask bench`: `cldl bench`, alone or side by side with PyTorch.

use crate::Usage;
use crate::child;
use crate::reproduce::Cldl;
use crate::workspace;
use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Command, Stdio};

const EXAMPLES: &str = "\
The comparator is a program that prints a JSON object a line: {\"what\": .., \"seconds\": ..}, and takes --arch,
--members, --batch, --threads, --repeat and --only as `cldl bench` does. Its row `cldl_official`, the form
that the paper's authors published, is set against our `cldl`.

Examples:
  cargo xtask bench
  cargo xtask bench --against pytorch --script pytorch_steps.py --python venv/bin/python --arch resnet20";

/// Measure the steps of `cldl bench`; with --against, alternating with PyTorch, and print the ratios
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// What to compare with: `pytorch`
    #[arg(long, value_name = "NAME")]
    against: Option<String>,
    /// The comparator's program [default: CLDL_PYTORCH_STEPS]
    #[arg(long, value_name = "FILE")]
    script: Option<PathBuf>,
    /// The Python that has torch
    #[arg(long, value_name = "FILE", default_value = "python3")]
    python: PathBuf,
    /// Architecture: `lenet5` or `resnet20`
    #[arg(long, default_value = "lenet5")]
    arch: String,
    /// Number of members
    #[arg(long, default_value_t = 3)]
    members: usize,
    /// Images of a step
    #[arg(long, default_value_t = 128)]
    batch: usize,
    /// Threads of each
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// Rows [default: all]
    #[arg(long, num_args = 1.., value_delimiter = ',')]
    only: Vec<String>,
    /// Runs of each row in a round
    #[arg(long, default_value_t = 3)]
    repeat: usize,
    /// Rounds; in each, both are measured one after the other
    #[arg(long, default_value_t = 3)]
    rounds: usize,
}

/// Seconds of each row, a number for each round.
type Rows = BTreeMap<String, Vec<f64>>;

/// The rows, in the order in which they are printed: name there, name here.
const PAIRS: [[&str; 2]; 9] = [
    ["forward", "forward"],
    ["ce", "ce"],
    ["adp", "adp"],
    ["gal", "gal"],
    ["trs", "trs"],
    ["cldl", "cldl"],
    ["cldl_official", "cldl"],
    ["dverge", "dverge"],
    ["pgd10", "pgd10"],
];

pub(crate) fn run(args: &Args) -> Result<()> {
    let cldl = Cldl::build(&workspace::root())?;
    let from_environment = || std::env::var_os("CLDL_PYTORCH_STEPS").map(PathBuf::from);
    let script = match (args.against.as_deref(), args.script.clone().or_else(from_environment)) {
        (None, _) => None,
        (Some("pytorch"), Some(script)) => Some(script),
        (Some("pytorch"), None) => {
            return Err(Usage("--against pytorch needs --script FILE".to_owned()).into());
        }
        (Some(other), _) => {
            return Err(Usage(format!("--against `{other}`: expected `pytorch`")).into());
        }
    };
    let Some(script) = script else {
        let ended = child::run(Command::new(&cldl.program).arg("bench").args(args.ours()))?;
        ensure!(ended.status.success(), "`cldl bench` failed ({})", ended.status);
        return Ok(());
    };
    let (mut ours, mut theirs) = (Rows::new(), Rows::new());
    for round in 1..=args.rounds.max(1) {
        eprintln!("round {round} of {}", args.rounds.max(1));
        measure(Command::new(&args.python).arg(&script).args(args.theirs()), &mut theirs)?;
        measure(
            Command::new(&cldl.program).args(["bench", "--json"]).args(args.ours()),
            &mut ours,
        )?;
    }
    println!(
        "{} {}, batch {}, {} threads: medians of {} rounds, alternating, each the median of {} runs\n",
        args.members, args.arch, args.batch, args.threads, args.rounds, args.repeat
    );
    println!("| step | PyTorch, s | cldl, s | times faster |");
    println!("| --- | ---: | ---: | ---: |");
    for [there, here] in PAIRS {
        if let (Some(theirs), Some(ours)) = (theirs.get(there), ours.get(here)) {
            let (theirs, ours) = (median(theirs), median(ours));
            println!("| {there} | {theirs:.4} | {ours:.4} | {:.2} |", theirs / ours);
        }
    }
    Ok(())
}

impl Args {
    fn common(&self) -> Vec<String> {
        let pairs = [
            ("--arch", self.arch.clone()),
            ("--members", self.members.to_string()),
            ("--batch", self.batch.to_string()),
            ("--threads", self.threads.to_string()),
            ("--repeat", self.repeat.to_string()),
        ];
        pairs.into_iter().flat_map(|(flag, value)| [flag.to_owned(), value]).collect()
    }

    fn ours(&self) -> Vec<String> {
        self.with_rows(|row| row != "cldl_official")
    }

    fn theirs(&self) -> Vec<String> {
        self.with_rows(|_| true)
    }

    fn with_rows(&self, known: impl Fn(&str) -> bool) -> Vec<String> {
        let mut args = self.common();
        let rows: Vec<String> = self.only.iter().filter(|row| known(row)).cloned().collect();
        if !rows.is_empty() {
            args.push("--only".to_owned());
            args.extend(rows);
        }
        args
    }
}

/// Runs a benchmark and adds its rows.
fn measure(command: &mut Command, rows: &mut Rows) -> Result<()> {
    let program = command.get_program().to_string_lossy().into_owned();
    let ended = child::run(command.stdout(Stdio::piped()))?;
    ensure!(ended.status.success(), "`{program}` failed ({})", ended.status);
    for line in ended.stdout.lines() {
        let row: Value = serde_json::from_str(line)
            .with_context(|| format!("`{program}` printed no JSON: {line}"))?;
        let (Some(what), Some(seconds)) = (row["what"].as_str(), row["seconds"].as_f64()) else {
            anyhow::bail!("`{program}` printed no row: {line}")
        };
        rows.entry(what.to_owned()).or_default().push(seconds);
    }
    Ok(())
}

fn median(seconds: &[f64]) -> f64 {
    let mut sorted = seconds.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::{Rows, measure, median};
    use std::process::Command;

    #[test]
    fn rows_are_read_and_other_output_is_an_error() {
        let mut rows = Rows::new();
        let line = r#"{"what":"ce","seconds":0.5,"system":"x"}"#;
        for _ in 0..2 {
            measure(Command::new("echo").arg(line), &mut rows).unwrap();
        }
        assert_eq!(rows["ce"], [0.5, 0.5]);
        assert!(measure(Command::new("echo").arg("no"), &mut rows).is_err());
        assert!(measure(&mut Command::new("false"), &mut rows).is_err());
        assert!((median(&[3.0, 1.0, 2.0]) - 2.0).abs() < 1e-12);
    }
}
