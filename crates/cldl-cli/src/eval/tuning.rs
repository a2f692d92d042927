//! `cldl eval tuning`

use std::path::PathBuf;

use anyhow::Result;
use cldl_eval::{Bench, Examples, Model, Protocol, Store};
use serde_json::json;

use super::options::AttackArgs;
use super::report::Report;
use crate::common::{Compute, DataDir};
use crate::models::{self, BATCH_SIZE, Watch};
use crate::output::{Grid, Output, percent};

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
    /// The models on which attacks are crafted
    #[arg(long, value_name = "RUN", required = true, num_args = 1..)]
    surrogates: Vec<PathBuf>,
    #[command(flatten)]
    attack: AttackArgs,
    /// Random starts of PGD; the other attacks have none
    #[arg(long, value_name = "K", default_value_t = 3)]
    attack_seeds: u64,
    /// Images: the first N of the 1,000
    #[arg(long, value_name = "N", default_value_t = 1000)]
    examples: usize,
    /// How outcomes become a percentage: `official` or `paper`, as for `blackbox`
    #[arg(long, value_name = "NAME", default_value = "official")]
    protocol: Protocol,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    data: DataDir,
    #[command(flatten)]
    compute: Compute,
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
        let device = self.compute.start()?;
        let (loaded, dataset) = models::read_all(&[&self.runs, &self.surrogates], &device)?;
        let (runs, surrogates) = loaded.split_at(self.runs.len());
        let test = models::test_images(dataset, &self.data.dirs())?;
        let examples = Examples::tuning(&test, self.examples).map_err(models::classify)?;
        let store = Store::new(&self.attack.store);
        let bench = Bench { examples: &examples, store: &store, device, batch_size: BATCH_SIZE };
        let targets: Vec<Model<'_>> = runs.iter().map(models::Loaded::model).collect();
        let report = Report {
            store: &store,
            targets: targets.iter().map(|model| (*model, bench.key(model.digest))).collect(),
            surrogates: surrogates.iter().map(models::Loaded::model).collect(),
            attacks: self.attack.attacks(dataset),
            sets: self.attack.sets(self.protocol.losses, self.attack_seeds),
            protocol: self.protocol,
        };
        let mut watch = Watch::start()?;
        let see = &mut |progress: &_| watch.see(progress);
        bench
            .blackbox(&targets, &report.surrogates, &report.attacks, &report.sets, see)
            .map_err(models::classify)?;
        watch.end();

        let methods: Vec<String> =
            runs.iter().map(|run| run.inner.config.method.to_string()).collect();
        let rows = rows(&report, &methods)?;
        let mut value = report.value(&[])?;
        value["ranking"] = rows
            .iter()
            .map(|row| json!({"run": row.run, "method": row.method, "mean": row.mean}))
            .collect();
        let notes = format!(
            "accuracy in percent on tuning images, best mean over attacks first: protocol {}, losses {}, \
             {} images; the best of a column has a star",
            report.protocol,
            report.losses(),
            report.examples()
        );
        self.output.print(&value, &grid(&rows, &report.attacks), &notes)
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
