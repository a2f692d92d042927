//! `cldl eval blackbox`

use std::path::PathBuf;

use anyhow::Result;
use cldl_attacks::{AttackKind, AttackLoss};
use cldl_eval::{Bench, Examples, Key, Model, Protocol, Score, Sets, Store, robust_accuracy};
use comfy_table::{Table, presets};
use serde_json::{Value, json};

use crate::common::{self, Compute, DataDir};
use crate::models::{self, BATCH_SIZE, Watch};

/// Accuracy under attacks crafted on surrogates.
///
/// Every adversarial set is crafted once, on each surrogate alone, and shown to all targets; which
/// image each target got right is kept in the store. What the store has is not computed again, so that
/// an interrupted command goes on where it was, and another protocol costs nothing.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The targets: run directories, checkpoint directories or model files
    #[arg(value_name = "RUN", required = true)]
    targets: Vec<PathBuf>,
    /// The models on which attacks are crafted
    #[arg(long, value_name = "RUN", required = true, num_args = 1..)]
    surrogates: Vec<PathBuf>,
    /// Attacks: `bim`, `fgsm`, `mim`, `pgd` [default: all]
    #[arg(long, value_name = "NAME", num_args = 1.., value_delimiter = ',')]
    attacks: Vec<AttackKind>,
    /// Radii in pixels of [0, 1] [default: those of the paper's tables]
    #[arg(
        long,
        value_name = "X",
        num_args = 1..,
        value_delimiter = ',',
        value_parser = models::eps,
        allow_negative_numbers = true
    )]
    eps: Vec<f64>,
    /// Losses that attacks maximize: `ce`, `cw`, `cw-official` [default: the protocol's]
    #[arg(long, value_name = "NAME", num_args = 1.., value_delimiter = ',')]
    losses: Vec<AttackLoss>,
    /// Random starts of PGD; the other attacks have none
    #[arg(long, value_name = "K", default_value_t = 3)]
    attack_seeds: u64,
    /// Steps of size eps/5; FGSM takes one of size eps
    #[arg(long, value_name = "N", default_value_t = 10)]
    steps: usize,
    /// Test images under attack: the first N of the 9,000 that are not for tuning
    #[arg(long, value_name = "N", default_value_t = 1000)]
    examples: usize,
    /// How outcomes become a percentage: `official` (right on every set, among the images right
    /// before) or `paper` (mean over sets, among all images)
    #[arg(long, value_name = "NAME", default_value = "official")]
    protocol: Protocol,
    /// Folder where outcomes are kept
    #[arg(long, value_name = "DIR", default_value = "runs/outcomes")]
    store: PathBuf,
    /// Print the result as one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    data: DataDir,
    #[command(flatten)]
    compute: Compute,
}

const EXAMPLES: &str = "Examples:
  cldl eval blackbox runs/cldl-* --surrogates runs/baseline-n3 runs/baseline-n5
  cldl eval blackbox runs/cldl-* --surrogates runs/plain --attacks pgd --eps 0.1 --protocol paper";

/// What is known at the end, to be shown.
struct Report<'a> {
    store: &'a Store,
    targets: Vec<(Model<'a>, Key)>,
    surrogates: Vec<Model<'a>>,
    attacks: Vec<(AttackKind, f64)>,
    sets: Sets,
    protocol: Protocol,
}

impl Args {
    pub(crate) fn run(self) -> Result<()> {
        let device = self.compute.start()?;
        let (loaded, dataset) = models::read_all(&[&self.targets, &self.surrogates], &device)?;
        let (targets, surrogates) = loaded.split_at(self.targets.len());
        let test = models::test_images(dataset, &self.data.dirs())?;
        let examples = Examples::evaluation(&test, self.examples).map_err(models::classify)?;
        let store = Store::new(&self.store);
        let bench = Bench { examples: &examples, store: &store, device, batch_size: BATCH_SIZE };
        let targets: Vec<Model<'_>> = targets.iter().map(models::Loaded::model).collect();
        let report = Report {
            store: &store,
            targets: targets.iter().map(|model| (*model, bench.key(model.digest))).collect(),
            surrogates: surrogates.iter().map(models::Loaded::model).collect(),
            attacks: self.attacks(&usual(&self.eps, &models::usual_eps(dataset))),
            sets: Sets {
                losses: usual(&self.losses, self.protocol.losses),
                seeds: (0..self.attack_seeds).collect(),
                steps: self.steps,
            },
            protocol: self.protocol,
        };
        let mut watch = Watch::start()?;
        let see = &mut |progress: &_| watch.see(progress);
        bench
            .blackbox(&targets, &report.surrogates, &report.attacks, &report.sets, see)
            .map_err(models::classify)?;
        watch.end();
        common::print(self.json, &report.value()?, &report.text()?)
    }

    /// Every attack with every radius.
    fn attacks(&self, eps: &[f64]) -> Vec<(AttackKind, f64)> {
        let attacks = usual(&self.attacks, &AttackKind::ALL);
        attacks.iter().flat_map(|attack| eps.iter().map(|eps| (*attack, *eps))).collect()
    }
}

/// What is given, or else what is usual.
fn usual<T: Clone>(given: &[T], usual: &[T]) -> Vec<T> {
    if given.is_empty() { usual.to_vec() } else { given.to_vec() }
}

impl Report<'_> {
    fn clean(&self, target: &Key) -> Result<Option<Score>> {
        Ok(self.store.load(target)?.map(|record| Score::of(&record.outcome)))
    }

    fn attacked(&self, target: &Key, attack: (AttackKind, f64)) -> Result<Option<Score>> {
        let from: Vec<String> = self.surrogates.iter().map(|s| s.digest.to_owned()).collect();
        let (sets, protocol) = (&self.sets, &self.protocol);
        Ok(robust_accuracy(self.store, target, &from, sets, attack, protocol)?)
    }

    fn text(&self) -> Result<String> {
        let mut table = Table::new();
        table.load_style(presets::ASCII_MARKDOWN);
        let names = self.targets.iter().map(|(model, _)| model.name.to_owned());
        table.set_header(["attack".to_owned(), "eps".to_owned()].into_iter().chain(names));
        let percent = |score: Option<Score>| match score.and_then(|score| score.percent()) {
            Some(percent) => format!("{percent:.2}"),
            None => "-".to_owned(),
        };
        let mut row = vec!["clean".to_owned(), String::new()];
        for (_, key) in &self.targets {
            row.push(percent(self.clean(key)?));
        }
        table.add_row(row);
        for (attack, eps) in &self.attacks {
            let mut row = vec![attack.to_string(), eps.to_string()];
            for (_, key) in &self.targets {
                row.push(percent(self.attacked(key, (*attack, *eps))?));
            }
            table.add_row(row);
        }
        let losses: Vec<&str> = self.sets.losses.iter().map(|loss| loss.as_str()).collect();
        let count = self.targets.first().map_or(0, |(_, key)| key.count);
        Ok(format!(
            "{table}\naccuracy in percent: protocol {}, losses {}, {count} examples",
            self.protocol,
            losses.join(" and ")
        ))
    }

    fn value(&self) -> Result<Value> {
        let scored = |score: Option<Score>| {
            json!({
                "percent": score.and_then(|score| score.percent()),
                "right": score.map(|score| score.right),
                "total": score.map(|score| score.total),
                "interval": score.and_then(|score| score.interval()),
            })
        };
        let mut targets = Vec::new();
        for (model, key) in &self.targets {
            let mut rows = Vec::new();
            for (attack, eps) in &self.attacks {
                let mut row = json!({"attack": attack, "eps": eps});
                extend(&mut row, scored(self.attacked(key, (*attack, *eps))?));
                rows.push(row);
            }
            let clean = scored(self.clean(key)?);
            let (run, digest) = (model.name, model.digest);
            targets.push(json!({"run": run, "digest": digest, "clean": clean, "attacks": rows}));
        }
        Ok(json!({
            "protocol": self.protocol.name,
            "losses": self.sets.losses,
            "attack_seeds": self.sets.seeds.len(),
            "steps": self.sets.steps,
            "examples": self.targets.first().map(|(_, key)| key.count),
            "targets": targets,
            "sets": self.audits()?,
        }))
    }

    /// What each attack did to the images, set by set.
    fn audits(&self) -> Result<Vec<Value>> {
        let mut sets = Vec::new();
        let Some((_, key)) = self.targets.first() else { return Ok(sets) };
        for surrogate in &self.surrogates {
            for (attack, eps) in &self.attacks {
                for spec in self.sets.of(*attack, *eps)? {
                    let mut set = json!({"surrogate": surrogate.name});
                    extend(&mut set, json!(spec));
                    let record = self.store.load(&key.attacked(surrogate.digest, spec))?;
                    extend(&mut set, json!({"audit": record.and_then(|record| record.audit)}));
                    sets.push(set);
                }
            }
        }
        Ok(sets)
    }
}

/// Adds the entries of one JSON object to another.
fn extend(object: &mut Value, more: Value) {
    if let (Value::Object(object), Value::Object(more)) = (object, more) {
        object.extend(more);
    }
}
