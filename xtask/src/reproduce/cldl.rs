//! The `cldl` binary: built, asked and run.

use crate::child::{self, Ended};
use crate::workspace;
use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Folder of the per-example outcomes, under the root.
pub(crate) const STORE: &str = "runs/outcomes";
/// Folder of unpacked data, under the root.
const DATA: &str = "runs/data";

/// The binary, and the folder that it runs in (`runs/` and `results/` are made there).
#[derive(Clone, Debug)]
pub(crate) struct Cldl {
    pub(crate) program: PathBuf,
    pub(crate) root: PathBuf,
    /// Threads to compute with, if not as many as it likes.
    pub(crate) threads: Option<usize>,
    /// Folder of unpacked data, which takes the place of wherever the data lies.
    pub(crate) unpacked: Option<PathBuf>,
}

/// What `cldl data unpack --json` says.
#[derive(Deserialize)]
struct Unpacked {
    data_dir: Option<PathBuf>,
}

/// What `cldl train --dry-run --json` says.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct DryRun {
    pub(crate) run: String,
    pub(crate) state: RunState,
    /// Steps to go.
    pub(crate) steps: f64,
    /// Steps of the whole training.
    pub(crate) total_steps: f64,
    /// One step of the training; none if nobody asked.
    pub(crate) step_seconds: Option<f64>,
    /// One gradient step of the ensemble on one image.
    pub(crate) expected_attack_seconds: Option<f64>,
    pub(crate) checkpoint_bytes: Option<u64>,
    /// The most memory that the training will hold.
    pub(crate) expected_memory_bytes: Option<u64>,
}

impl DryRun {
    /// What is said of a training that nobody has begun, as far as its arguments tell.
    pub(crate) fn imagined(args: &[String]) -> Self {
        Self {
            run: format!("runs/{}", args.join(" ")),
            state: RunState::New,
            steps: 0.0,
            total_steps: 0.0,
            step_seconds: None,
            expected_attack_seconds: None,
            checkpoint_bytes: None,
            expected_memory_bytes: None,
        }
    }
}

/// How far a run is.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum RunState {
    New,
    Partial,
    Done,
}

impl Cldl {
    /// Builds the release binary.
    pub(crate) fn build(root: &Path) -> Result<Self> {
        let mut command = workspace::cargo();
        command
            .args(["build", "--release", "--package", "cldl-cli", "--bin", "cldl", "--locked"])
            .arg("--message-format=json-render-diagnostics")
            .current_dir(root)
            .stdout(Stdio::piped());
        let ended = child::run(&mut command)?;
        ensure!(ended.status.success(), "`cldl` does not build; cargo says why above");
        let program = ended.stdout.lines().rev().find_map(executable);
        let program = program.context("cargo built no binary `cldl`")?;
        Ok(Self { program, root: root.to_path_buf(), threads: None, unpacked: None })
    }

    /// The same with data that is unpacked once, where each of its processes would do it: at first that takes
    /// longer than a step of a training.
    pub(crate) fn with_unpacked(
        &self,
        dataset: &str,
        first: Option<usize>,
        data: &[String],
    ) -> Result<Self> {
        let mut command = self.command("data", &[]);
        command.args(["unpack", dataset, "--out", DATA, "--json"]).args(data);
        if let Some(first) = first {
            command.args(["--first", &first.to_string()]);
        }
        let ended = child::run(command.stdout(Stdio::piped()).stderr(Stdio::piped()))?;
        ensure!(ended.status.success(), "{}", error_line(&ended));
        let Unpacked { data_dir } = parsed("data unpack", &ended.stdout)?;
        Ok(Self { unpacked: data_dir, ..self.clone() })
    }

    /// Asks how far a training is; if `timed`, also what its steps take.
    pub(crate) fn dry_run(&self, args: &[String], timed: bool) -> Result<DryRun> {
        let mut command = self.command("train", args);
        command.args(["--dry-run", "--json"]).stdout(Stdio::piped()).stderr(Stdio::piped());
        if !timed {
            command.arg("--untimed");
        }
        let ended = child::run(&mut command)?;
        ensure!(ended.status.success(), "{}", error_line(&ended));
        parsed("train --dry-run", &ended.stdout)
    }

    /// Writes the table's files into `out` and returns what `table.json` says.
    pub(crate) fn table(
        &self,
        request: &Path,
        out: &Path,
        data: &[String],
    ) -> Result<serde_json::Value> {
        let mut command = self.table_command(request, out, data);
        command.arg("--json").stdout(Stdio::piped()).stderr(Stdio::piped());
        let ended = child::run(&mut command)?;
        ensure!(ended.status.success(), "`cldl table`: {}", error_line(&ended));
        parsed("table", &ended.stdout)
    }

    /// Writes the table's files into `out` and shows the table on stdout.
    pub(crate) fn show_table(&self, request: &Path, out: &Path, data: &[String]) -> Result<()> {
        let ended = child::run(&mut self.table_command(request, out, data))?;
        ensure!(ended.status.success(), "`cldl table` failed ({})", ended.status);
        Ok(())
    }

    /// Writes `report.html` and `pictures/` of the table in `folder`.
    pub(crate) fn report(&self, folder: &Path, examples: &str, data: &[String]) -> Result<()> {
        let mut command = self.command("report", data);
        command.arg(folder).arg("--out").arg(folder.join("report.html"));
        command.arg("--pictures").arg(folder.join("pictures"));
        command.args(["--examples", examples, "--store", STORE, "--json"]);
        let ended = child::run(command.stdout(Stdio::piped()))?;
        ensure!(ended.status.success(), "`cldl report` failed ({})", ended.status);
        Ok(())
    }

    fn table_command(&self, request: &Path, out: &Path, data: &[String]) -> Command {
        let mut command = self.command("table", data);
        command.arg(request).args(["--store", STORE, "--out"]).arg(out);
        command
    }

    fn command(&self, name: &str, args: &[String]) -> Command {
        let mut command = Command::new(&self.program);
        command.arg(name).current_dir(&self.root);
        match &self.unpacked {
            None => command.args(args),
            Some(folder) => command.args(without_data_dir(args)).env("CLDL_DATA_DIR", folder),
        };
        if let Some(threads) = self.threads {
            command.env("RAYON_NUM_THREADS", threads.to_string());
        }
        command
    }

    /// `cldl` with these arguments, the first of which names the command.
    pub(crate) fn task(&self, args: &[String]) -> Command {
        let (name, rest) =
            args.split_first().map_or(("", args), |(name, rest)| (name.as_str(), rest));
        self.command(name, rest)
    }
}

/// The arguments without `--data-dir` and its folder.
fn without_data_dir(args: &[String]) -> Vec<&String> {
    let is_flag = |place: usize| args.get(place).is_some_and(|arg| arg == "--data-dir");
    let is_folder = |place: usize| place.checked_sub(1).is_some_and(is_flag);
    let kept = (0..args.len()).filter(|&place| !is_flag(place) && !is_folder(place));
    kept.map(|place| &args[place]).collect()
}

/// The JSON that `cldl what --json` printed.
pub(crate) fn parsed<T: serde::de::DeserializeOwned>(what: &str, stdout: &str) -> Result<T> {
    serde_json::from_str(stdout)
        .with_context(|| format!("`cldl {what} --json` did not print the JSON expected"))
}

/// The one line that says what went wrong.
fn error_line(ended: &Ended) -> String {
    let lines = || ended.stderr.lines().map(str::trim).filter(|line| !line.is_empty());
    // `cldl:` is its own prefix, `error:` that of its argument parser, which writes more lines below.
    let told = |line: &&str| line.starts_with("cldl:") || line.starts_with("error:");
    let line = lines().find(told).or_else(|| lines().next_back());
    let line =
        line.map(|line| line.trim_start_matches("cldl:").trim_start_matches("error:").trim());
    line.map_or_else(|| format!("`cldl` failed and says nothing ({})", ended.status), str::to_owned)
}

/// The path of `cldl` in one of cargo's messages, if the message is about it.
fn executable(line: &str) -> Option<PathBuf> {
    let message: serde_json::Value = serde_json::from_str(line).ok()?;
    let is_cldl = message["target"]["name"] == "cldl";
    is_cldl.then(|| message["executable"].as_str().map(PathBuf::from)).flatten()
}

#[cfg(test)]
mod tests {
    use super::{executable, without_data_dir};

    #[test]
    fn unpacked_data_takes_the_place_of_a_folder_that_was_named() {
        let args = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let kept =
            |text: &str| without_data_dir(&args(text)).into_iter().cloned().collect::<Vec<_>>();
        assert_eq!(kept("--seed 1 --data-dir d --json"), args("--seed 1 --json"));
        assert_eq!(kept("--seed 1"), args("--seed 1"));
    }

    #[test]
    fn finds_the_binary_in_cargo_s_messages() {
        let library =
            r#"{"reason":"compiler-artifact","target":{"name":"cldl_core"},"executable":null}"#;
        let binary =
            r#"{"reason":"compiler-artifact","target":{"name":"cldl"},"executable":"t/cldl"}"#;
        assert_eq!(executable(library), None);
        assert_eq!(executable(binary).unwrap(), std::path::Path::new("t/cldl"));
    }
}
