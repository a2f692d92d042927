//! `cldl eval tuning`

use std::path::PathBuf;

use anyhow::Result;
use serde_json::json;

use super::options::{Basics, BlackboxArgs};
use super::report::Report;
use crate::models::{Loaded, Part};
use crate::output::{Grid, percent};

/// Compare hyper-parameters on the 1,000 test images that are kept for that.
///
/// As `blackbox`, but on images that no table reports on, with a row for each run, best mean first: how
/// the paper's authors chose CLDL's weights (Table 3).
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The runs to compare
    #[arg(value_name = "RUN", required = true)]
    runs: Vec<PathBuf>,
    #[command(flatten)]
    attacker: BlackboxArgs,
    #[command(flatten)]
    basics: Basics,
}

const EXAMPLES: &str = "Examples:
  cldl eval tuning runs/cldl-* --surrogates runs/baseline-n3 runs/baseline-n5
  cldl eval tuning runs/cldl-* --surrogates runs/plain --attacks pgd --eps 0.1,0.2 --csv";

/// One run's numbers.
struct Row {
    run: String,
    method: String,
    clean: Option<f64>,
    attacked: Vec<Option<f64>>,
    mean: Option<f64>,
}

impl Args {
    pub(crate) fn run(self) -> Result<()> {
        self.attacker.measurement(&self.runs, Part::Tuning).run(&self.basics, |report, runs| {
            let method = |run: &Loaded| {
                let config = run.inner.config.as_ref();
                config.map_or("unknown".to_owned(), |config| config.method.to_string())
            };
            let methods: Vec<String> = runs.iter().map(method).collect();
            let rows = rows(report, &methods)?;
            let mut value = report.value(&[])?;
            value["ranking"] = rows
                .iter()
                .map(|row| json!({"run": row.run, "method": row.method, "mean": row.mean}))
                .collect();
            let notes = format!(
                "accuracy in percent on tuning images, best mean over attacks first: protocol {}, \
                 losses {}, {} images; the best of a column has a star",
                report.protocol,
                report.losses(),
                report.examples()
            );
            self.basics.output.print(&value, &grid(&rows, &report.attacks), &notes)
        })
    }
}

/// A row for each run, best mean first; of equal means in the order given.
fn rows(report: &Report<'_>, methods: &[String]) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for ((model, key), method) in report.targets.iter().zip(methods) {
        let attacked = report.attacks.iter().map(|attack| {
            let score = report.attacked(key, *attack, &report.protocol)?;
            Ok(score.and_then(|score| score.percent()))
        });
        let attacked = attacked.collect::<Result<Vec<_>>>()?;
        let known: Option<Vec<f64>> = attacked.iter().copied().collect();
        rows.push(Row {
            run: model.name.to_owned(),
            method: method.clone(),
            clean: report.clean(key)?.and_then(|score| score.percent()),
            mean: known.map(|known| known.iter().sum::<f64>() / known.len() as f64),
            attacked,
        });
    }
    let mean = |row: &Row| row.mean.unwrap_or(f64::NEG_INFINITY);
    rows.sort_by(|a, b| mean(b).total_cmp(&mean(a)));
    Ok(rows)
}

fn grid(rows: &[Row], attacks: &[(cldl_attacks::AttackKind, f64)]) -> Grid {
    let mut head: Vec<String> = ["run", "method", "clean"].map(str::to_owned).to_vec();
    head.extend(attacks.iter().map(|(attack, eps)| format!("{attack} {eps}")));
    head.push("mean".to_owned());
    let numbers = |row: &Row| {
        let all = [row.clean].into_iter().chain(row.attacked.iter().copied()).chain([row.mean]);
        all.collect::<Vec<Option<f64>>>()
    };
    let all: Vec<Vec<Option<f64>>> = rows.iter().map(numbers).collect();
    let best = |column: usize| all.iter().filter_map(|row| row[column]).fold(0.0, f64::max);
    let cells = |row: &Row| {
        let marked = numbers(row).into_iter().enumerate().map(|(column, value)| {
            let star = if value.is_some_and(|value| value >= best(column)) { "*" } else { "" };
            format!("{star}{}", percent(value))
        });
        [row.run.clone(), row.method.clone()].into_iter().chain(marked).collect()
    };
    Grid { head, rows: rows.iter().map(cells).collect() }
}
