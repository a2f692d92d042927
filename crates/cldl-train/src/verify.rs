//! Whether a run directory is what it says, from its files alone.

use std::fs;
use std::path::Path;

use candle::Device;
use cldl_core::sums;
use serde_json::Value;

use crate::checkpoint::{self, Saved};
use crate::run::{CONFIG, DONE, METRICS};
use crate::{Position, Run, TrainConfig, TrainError, Trainer};

/// What was looked at, and what was found: a remark, or what is wrong.
pub type Finding = (String, Result<String, String>);

/// Checks a run directory: that its config is one, that the checkpoint is whole, by that config and fit to
/// go on from, that the metrics are its, and that a finished run's checksums hold.
pub fn verify_run(dir: &Path) -> Vec<Finding> {
    let run = Run::at(dir);
    let (config, said) = match config_of(dir) {
        Ok(both) => both,
        Err(problem) => return vec![(CONFIG.to_owned(), Err(problem))],
    };
    let mut findings = vec![(CONFIG.to_owned(), Ok(said))];
    let finished = dir.join(DONE).exists();
    let at = match checkpoint::latest(&run.checkpoints()) {
        Err(error) => return with(findings, "checkpoint", Err(error.to_string())),
        Ok(None) if finished => Err("none, in a run that is done".to_owned()),
        Ok(None) => Ok((Position::default(), "none yet".to_owned())),
        Ok(Some((position, place))) => loads(&place, &config)
            .map(|_| (position, format!("whole, {position}")))
            .map_err(|error| error.to_string()),
    };
    let epochs = at.as_ref().map(|(position, _)| position.epochs).ok();
    findings.push(("checkpoint".to_owned(), at.map(|(_, remark)| remark)));
    if let Some(epochs) = epochs {
        findings.push((METRICS.to_owned(), metrics(dir, epochs)));
    }
    let done = match (finished, epochs) {
        (false, _) => Ok("not yet: the command that began the run goes on with it".to_owned()),
        (true, Some(epochs)) if epochs < config.epochs => {
            Err(format!("says that the run is over, after {epochs} of {} epochs", config.epochs))
        }
        (true, _) => {
            sums::check(dir, DONE).map(|files| format!("{files} files have their checksums"))
        }
    };
    with(findings, DONE, done)
}

fn with(mut findings: Vec<Finding>, what: &str, result: Result<String, String>) -> Vec<Finding> {
    findings.push((what.to_owned(), result));
    findings
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
