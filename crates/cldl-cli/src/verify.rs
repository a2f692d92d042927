//! `cldl verify`

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use candle::Device;
use cldl_core::{Finding, Verdict};
use cldl_eval::Store;
use cldl_eval::table::verify_table;
use cldl_train::{load_ensemble, verify_run};
use serde_json::{Value, json};

use crate::failure::Usage;
use crate::output::{Grid, Output};

/// Check run directories, tables and outcome stores from their files alone.
///
/// Of a run: that the config is one, that the last checkpoint is whole, by that config and fit to go on
/// from, that the metrics fit, and that a finished run's files have their checksums. Of a table: that
/// every form of it says the same, that it shows what its request asks for, that the models are those
/// that were measured, and that the outcome store gives the same numbers. Of an outcome store: that every
/// file is whole and where its key belongs. A folder of such folders has each checked. Exits with 1 if
/// anything is wrong; what lacks the files that it takes to check it is said to be not checked.
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
        let row = |(folder, (what, verdict)): &(String, Finding)| {
            [folder, what, verdict.name(), verdict.remark()].map(str::to_owned).to_vec()
        };
        let is_wrong = |(_, (_, verdict)): &&(String, Finding)| verdict.is_wrong();
        let wrong = findings.iter().filter(is_wrong).count();
        let silent =
            |(_, (_, verdict)): &&(String, Finding)| matches!(verdict, Verdict::NotChecked(_));
        let not_checked: Vec<String> = findings
            .iter()
            .filter(silent)
            .map(|(folder, (what, verdict))| {
                format!("not checked: `{folder}`, {what}: {}", verdict.remark())
            })
            .collect();
        let values: Vec<Value> = findings
            .iter()
            .map(|(folder, (what, verdict))| {
                json!({"folder": folder, "what": what, "ok": !verdict.is_wrong(),
                       "verdict": verdict.name(), "found": verdict.remark()})
            })
            .collect();
        let checked = findings.len() - not_checked.len();
        let value = json!({"ok": wrong == 0, "checked": checked, "not_checked": not_checked.len(),
                           "wrong": wrong, "findings": values});
        let grid = Grid { head, rows: findings.iter().map(row).collect() };
        let sum = match not_checked.len() {
            0 => format!("{checked} checks, {wrong} wrong"),
            n => format!("{checked} checks, {wrong} wrong; {n} not checked"),
        };
        self.output.print(&value, &grid, &[not_checked, vec![sum]].concat().join("\n"))?;
        if let Some((folder, (what, verdict))) = findings.iter().find(is_wrong) {
            let more = if wrong == 1 { String::new() } else { format!(" ({} more)", wrong - 1) };
            bail!("`{folder}`, {what}: {}{more}", verdict.remark());
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
        if let Some(finding) = bereft(dir) {
            return Ok(of(vec![finding]));
        }
        let mut folders = Vec::new();
        for entry in std::fs::read_dir(dir)? {
            let path = entry?.path();
            folders.extend(path.is_dir().then_some(path));
        }
        folders.sort();
        if folders.iter().any(|folder| is_of_a_store(folder)) {
            return Ok(of(outcomes(dir)?));
        }
        let below = folders.iter().map(|folder| self.findings(folder));
        Ok(below.collect::<Result<Vec<_>>>()?.into_iter().flatten().collect())
    }
}

/// What is wrong with every file of an outcome store, if anything.
fn outcomes(dir: &Path) -> Result<Vec<Finding>> {
    let (whole, problems) = Store::new(dir).verify()?;
    let remark = Verdict::Ok(format!("{whole} files are whole"));
    let wrong = problems.into_iter().map(|problem| ("file".to_owned(), Verdict::Wrong(problem)));
    Ok(std::iter::once(("outcomes".to_owned(), remark)).chain(wrong).collect())
}

/// What is said of a folder that has lost the file by which it would be known: nothing is passed over.
fn bereft(dir: &Path) -> Option<Finding> {
    let has = |names: &[&'static str]| names.iter().copied().find(|name| dir.join(name).exists());
    if let Some(name) = has(&["checkpoint", "metrics.jsonl", "done"]) {
        let problem = format!("is not here, beside a run's `{name}`");
        return Some(("config.toml".to_owned(), Verdict::Wrong(problem)));
    }
    let name = has(&["table.md", "table.csv", "table.tex", "request.json"])?;
    let remark = format!("is not here: nothing to compare `{name}` with");
    Some(("table.json".to_owned(), Verdict::NotChecked(remark)))
}

/// Whether a folder is one of an outcome store's: two digits, with outcomes.
fn is_of_a_store(folder: &Path) -> bool {
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    let is_outcome = |path: &Path| path.extension().is_some_and(|ending| ending == "safetensors");
    name.len() == 2
        && name.bytes().all(|byte| byte.is_ascii_hexdigit())
        && std::fs::read_dir(folder)
            .is_ok_and(|entries| entries.flatten().any(|entry| is_outcome(&entry.path())))
}
