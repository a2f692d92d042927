//! `cldl table`

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Result;
use candle::Device;
use cldl_core::sums::sha256;
use cldl_data::DatasetName;
use cldl_eval::table::{Request, Sources, Table, json, text, write_table};
use cldl_eval::{Answers, Examples, Store};
use cldl_train::load_ensemble;

use crate::common::{self, DataDir};
use crate::failure::Usage;
use crate::models;

/// Fill a table of the paper with what the outcome store has.
///
/// Computes no accuracy that takes a model: `cldl eval blackbox` does. What is not there yet reads
/// "not run". Writes `table.json`, `table.md`, `table.csv` and `table.tex`.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// What the table is to contain, as JSON; `cargo xtask reproduce` writes it
    #[arg(value_name = "REQUEST.json")]
    request: PathBuf,
    /// Folder where outcomes are kept
    #[arg(long, value_name = "DIR", default_value = "runs/outcomes")]
    store: PathBuf,
    /// Folder for the table's files
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Print the table as one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    data: DataDir,
}

const EXAMPLES: &str = "Example:
  cldl table results/table4-smoke/request.json --out results/table4-smoke";

impl Args {
    pub(crate) fn run(self) -> Result<()> {
        let request = Request::read(&self.request).map_err(models::classify)?;
        let dataset: DatasetName = request
            .dataset
            .parse()
            .map_err(|e| Usage(format!("{}: {e}", self.request.display())))?;
        let test = models::test_images(&dataset.into(), &self.data.dirs())?;
        let examples = Examples::evaluation(&test, request.examples).map_err(models::classify)?;
        let store = Store::new(&self.store);
        let answers = Answers::new(&request, &store, &examples).map_err(models::classify)?;
        let mut digests = Digests::default();
        let mut table = Table::fill(&request, |question| {
            let target = digests.of(question.run)?;
            let surrogates = question.surrogates.iter().map(|run| digests.of(run));
            let surrogates = surrogates.collect::<Result<Vec<_>>>()?;
            anyhow::Ok(answers.percent(&target, &surrogates, question.attack)?)
        })?;
        let request = std::fs::read(&self.request)?;
        table.computed_from = Some(Sources {
            request: sha256(&request),
            examples: examples.digest().to_owned(),
            models: digests.0.into_iter().collect(),
        });
        write_table(&table, &self.out)?;
        common::print(self.json, &json(&table)?, &text(&table))
    }
}

/// Digests of the runs' models, each file read once.
#[derive(Default)]
struct Digests(BTreeMap<String, String>);

impl Digests {
    fn of(&mut self, run: &str) -> Result<String> {
        if let Some(digest) = self.0.get(run) {
            return Ok(digest.clone());
        }
        let digest = load_ensemble(Path::new(run), &Device::Cpu)?.digest;
        Ok(self.0.entry(run.to_owned()).or_insert(digest).clone())
    }
}
