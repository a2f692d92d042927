//! Whether a run directory is what it says, from its files alone.

use std::fs;
use std::path::Path;

use candle::Device;
use cldl_core::sums::{self, SUMS};
use cldl_core::{Finding, Verdict};
use serde_json::Value;

use crate::checkpoint::{self, MODEL, OPTIMIZER, Saved};
use crate::run::{CONFIG, DONE, METRICS};
use crate::{Position, Run, TrainConfig, TrainError, Trainer};

/// Checks a run directory: that its config is one, that the checkpoint is whole, by that config and fit to
/// go on from, that the metrics are its, and that a finished run's checksums hold.
pub fn verify_run(dir: &Path) -> Vec<Finding> {
    let run = Run::at(dir);
    let (config, said) = match config_of(dir) {
        Ok(both) => both,
        Err(problem) => return vec![(CONFIG.to_owned(), Verdict::Wrong(problem))],
    };
    let mut findings = vec![(CONFIG.to_owned(), Verdict::Ok(said))];
    let finished = dir.join(DONE).exists();
    let latest = match checkpoint::latest(&run.checkpoints()) {
        Ok(latest) => latest,
        Err(error) => {
            findings.push(("checkpoint".to_owned(), Verdict::Wrong(error.to_string())));
            return findings;
        }
    };
    let position = latest.as_ref().map(|(position, _)| *position);
    let checkpoint = match &latest {
        None if finished => Verdict::Wrong("none, in a run that is done".to_owned()),
        None => Verdict::Ok("none yet".to_owned()),
        Some((position, place)) => match loads(place, &config) {
            Err(error) => Verdict::Wrong(error.to_string()),
            Ok(_) => whole(place, *position),
        },
    };
    let sound = !checkpoint.is_wrong();
    findings.push(("checkpoint".to_owned(), checkpoint));
    let epochs = position.unwrap_or_default().epochs;
    if sound {
        findings.push((METRICS.to_owned(), metrics(dir, epochs).into()));
    }
    if !finished {
        let remark = "not yet, so no checksums of config and metrics: the command that began the run goes on";
        findings.push((DONE.to_owned(), Verdict::NotChecked(remark.to_owned())));
        return findings;
    }
    let done = if sound && epochs < config.epochs {
        Err(format!("says that the run is over, after {epochs} of {} epochs", config.epochs))
    } else {
        checksums(dir, position)
    };
    findings.push((DONE.to_owned(), done.into()));
    findings
}

/// A checkpoint that loads: whether its checksums tell that it is the one that was written.
fn whole(place: &Path, position: Position) -> Verdict {
    match names_in(place, SUMS) {
        Ok(names) if names == [MODEL, OPTIMIZER] => Verdict::Ok(format!("whole, {position}")),
        Ok(_) => Verdict::Wrong(format!("its `{SUMS}` is not of its two files")),
        // Older versions wrote none.
        Err(_) if !place.join(SUMS).exists() => {
            Verdict::NotChecked(format!("loads, {position}, but has no `{SUMS}`"))
        }
        Err(problem) => Verdict::Wrong(problem),
    }
}

/// Checks the checksums of a finished run, and that they are of all its files.
fn checksums(dir: &Path, position: Option<Position>) -> Result<String, String> {
    let names = names_in(dir, DONE)?;
    for name in Run::files(position) {
        if !names.contains(&name) {
            return Err(format!("has no checksum of `{name}`"));
        }
    }
    sums::check(dir, DONE).map(|files| format!("{files} files have their checksums"))
}

/// What a list of checksums is of.
fn names_in(folder: &Path, list: &str) -> Result<Vec<String>, String> {
    let path = folder.join(list);
    let text = fs::read_to_string(&path)
        .map_err(|e| format!("`{}` can't be read: {e}", path.display()))?;
    let sums = sums::parse(&text).map_err(|what| format!("`{}`: {what}", path.display()))?;
    Ok(sums.into_iter().map(|(name, _)| name.to_owned()).collect())
}

/// The config of a run, and what can be said of it.
fn config_of(dir: &Path) -> Result<(TrainConfig, String), String> {
    let text = fs::read_to_string(dir.join(CONFIG)).map_err(|e| format!("can't be read: {e}"))?;
    let config: TrainConfig =
        toml::from_str(&text).map_err(|e| format!("is no config: {}", e.message()))?;
    config.check()?;
    let name = dir.file_name().unwrap_or_default().to_string_lossy().into_owned();
    // A name that the settings gave ends in the first digits of their digest.
    let digits = name
        .strip_prefix(&format!("{}-", config.method))
        .filter(|rest| rest.len() == 12 && rest.bytes().all(|byte| byte.is_ascii_hexdigit()));
    if digits.is_some() && name != config.run_name() {
        return Err(format!("its settings name the run `{}`", config.run_name()));
    }
    let (method, dataset, epochs) = (config.method, &config.data.dataset, config.epochs);
    let remark = format!("{method} on {dataset}, {epochs} epochs");
    Ok((config, remark))
}

/// Loads a checkpoint as a training would that goes on from it.
fn loads(place: &Path, config: &TrainConfig) -> Result<Saved, TrainError> {
    let mut trainer = Trainer::new(config, None, &Device::Cpu)?;
    checkpoint::restore(place, config, &trainer.ensemble, &mut trainer.adam, &Device::Cpu)
}

/// Checks that there is a line for each epoch, in order. The line of the epoch after may be there: it is
/// written before its checkpoint.
fn metrics(dir: &Path, epochs: usize) -> Result<String, String> {
    let path = dir.join(METRICS);
    if epochs == 0 && !path.exists() {
        return Ok("none yet".to_owned());
    }
    let text = fs::read_to_string(path).map_err(|e| format!("can't be read: {e}"))?;
    for (number, line) in (1..).zip(text.lines()) {
        let record: Value =
            serde_json::from_str(line).map_err(|e| format!("line {number} is no JSON: {e}"))?;
        if record["epoch"].as_u64() != Some(number) {
            return Err(format!("line {number} is of epoch {}", record["epoch"]));
        }
    }
    let lines = text.lines().count();
    if lines != epochs && lines != epochs + 1 {
        return Err(format!("{lines} lines for {epochs} epochs"));
    }
    Ok(format!("{lines} epochs"))
}
