//! `cldl verify`

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use candle::Device;
use cldl_eval::Store;
use cldl_eval::table::verify_table;
use cldl_train::{Finding, load_ensemble, verify_run};
use serde_json::{Value, json};

use crate::failure::Usage;
use crate::output::{Grid, Output};

/// Check run directories, tables and outcome stores from their files alone.
///
/// Of a run: that the config is one, that the last checkpoint is whole, by that config and fit to go on
/// from, that the metrics fit, and that a finished run's files have their checksums. Of a table: that
/// every form of it says the same, that the models are those that were measured, and that the outcome
/// store, if it is here, gives the same numbers. Of an outcome store: that every file is whole and where
/// its key belongs. A folder of such folders has each checked. Exits with 1 if anything is wrong.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Run directory, folder of a table, outcome store, or a folder of them
    #[arg(value_name = "DIR", required = true)]
    dirs: Vec<PathBuf>,
    /// Folder where outcomes are kept: a table is counted again from it
    #[arg(long, value_name = "DIR", default_value = "runs/outcomes")]
    store: PathBuf,
    #[command(flatten)]
    output: Output,
}

const EXAMPLES: &str = "Examples:
  cldl verify runs/cldl-3-4-4-*
  cldl verify runs results        everything that was trained and measured here";

impl Args {
    pub(crate) fn run(self) -> Result<()> {
        let mut findings = Vec::new();
        for dir in &self.dirs {
            let found = self.findings(dir)?;
            if found.is_empty() {
                let message = format!(
                    "`{}` is no run directory, table or outcome store, and holds none",
                    dir.display()
                );
                return Err(Usage(message).into());
            }
            findings.extend(found);
        }
        let head = ["folder", "what", "verdict", "found"].map(str::to_owned).to_vec();
        let verdict = |result: &Result<String, String>| if result.is_ok() { "ok" } else { "WRONG" };
        let text = |result: &Result<String, String>| match result {
            Ok(text) | Err(text) => text.clone(),
        };
        let row = |(folder, (what, result)): &(String, Finding)| {
            vec![folder.clone(), what.clone(), verdict(result).to_owned(), text(result)]
        };
        let wrong = findings.iter().filter(|(_, (_, result))| result.is_err()).count();
        let values: Vec<Value> = findings
            .iter()
            .map(|(folder, (what, result))| {
                json!({"folder": folder, "what": what, "ok": result.is_ok(), "found": text(result)})
            })
            .collect();
        let value = json!({"ok": wrong == 0, "checked": findings.len(), "wrong": wrong, "findings": values});
        let grid = Grid { head, rows: findings.iter().map(row).collect() };
        self.output.print(&value, &grid, &format!("{} checks, {wrong} wrong", findings.len()))?;
        if let Some((folder, (what, Err(problem)))) =
            findings.iter().find(|(_, (_, result))| result.is_err())
        {
            let more = if wrong == 1 { String::new() } else { format!(" ({} more)", wrong - 1) };
            bail!("`{folder}`, {what}: {problem}{more}");
        }
        Ok(())
    }

    /// What is found in `dir`, or in the folders below it; each finding with its folder.
    fn findings(&self, dir: &Path) -> Result<Vec<(String, Finding)>> {
        let name = dir.display().to_string();
        let of = |found: Vec<Finding>| found.into_iter().map(|f| (name.clone(), f)).collect();
        if dir.join("config.toml").is_file() {
            return Ok(of(verify_run(dir)));
        }
        if dir.join("table.json").is_file() {
            let digest_of = |run: &str| {
                let run = Path::new(run);
                run.exists().then(|| match load_ensemble(run, &Device::Cpu) {
                    Ok(loaded) => Ok(loaded.digest),
                    Err(error) => Err(error.to_string()),
                })
            };
            return Ok(of(verify_table(dir, &Store::new(&self.store), digest_of)));
        }
        let mut folders = Vec::new();
        for entry in std::fs::read_dir(dir)? {
            let path = entry?.path();
            folders.extend(path.is_dir().then_some(path));
        }
        folders.sort();
        if !folders.is_empty() && folders.iter().all(|folder| is_two_digits(folder)) {
            let (whole, problems) = Store::new(dir).verify()?;
            let remark = Ok(format!("{whole} files are whole"));
            let wrong = problems.into_iter().map(|problem| ("file".to_owned(), Err(problem)));
            return Ok(of(std::iter::once(("outcomes".to_owned(), remark)).chain(wrong).collect()));
        }
        let below = folders.iter().map(|folder| self.findings(folder));
        Ok(below.collect::<Result<Vec<_>>>()?.into_iter().flatten().collect())
    }
}

/// Whether a folder is one of an outcome store's.
fn is_two_digits(folder: &Path) -> bool {
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    name.len() == 2 && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}
