//! `cldl train`

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context as _, Result};
use candle::Device;
use cldl_core::files;
use cldl_core::memory::peak_bytes;
use cldl_data::{DataDirs, Dataset, Split};
use cldl_models::Ensemble;
use cldl_report::{Probe, write_events};
use cldl_train::{
    Interval, Observer, Position, Progress, Run, RunState, TrainConfig, TrainOptions,
};
use indicatif::ProgressBar;
use serde_json::{Map, Value, json};

use crate::common::{self, Compute, DataDir};
use crate::failure::Usage;
use crate::models::{Loaded, usual_eps};
use crate::progress;
use crate::train_flags::Flags;

/// Train an ensemble, or go on with a training that was interrupted.
///
/// The run directory holds `config.toml`, `metrics.jsonl` (a line per epoch), `checkpoint/`, and `done`
/// at the end. The same command goes on where a run stopped, were it in the middle of an epoch; a finished
/// run is left as it is. Equal settings give equal bytes. Ctrl-C ends at the next step and saves.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
pub(crate) struct Args {
    #[command(flatten)]
    flags: Flags,

    /// Read options from a TOML file (`method = "cldl"`, `limit_train = 2000`, ..); flags win
    #[arg(long, value_name = "FILE", help_heading = "Where")]
    config: Option<PathBuf>,
    /// Run directory [default: a name that the settings give, below --runs]
    #[arg(long, value_name = "DIR", help_heading = "Where")]
    out: Option<PathBuf>,
    /// Folder of run directories
    #[arg(long, value_name = "DIR", default_value = "runs", help_heading = "Where")]
    runs: PathBuf,
    /// How often to save inside an epoch: `30s`, `5m`, `1h`, `100steps`; results do not depend on it
    /// [default: 5m, and after each epoch]
    #[arg(long, value_name = "TIME", help_heading = "Where")]
    checkpoint_every: Option<Interval>,
    /// Insist that there is an interrupted run to go on with
    #[arg(long, help_heading = "Where")]
    resume: bool,
    /// Write event files for TensorBoard too, into the run's folder `tensorboard/`
    #[arg(long, help_heading = "Where")]
    tensorboard: bool,
    /// Say what would be done, how long it would take and how much memory, and do nothing
    #[arg(long)]
    dry_run: bool,
    /// With --dry-run: say only how far it is, at once
    #[arg(long, requires = "dry_run", hide = true)]
    untimed: bool,
    /// Print the result as one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    data: DataDir,
    #[command(flatten)]
    compute: Compute,
}

const EXAMPLES: &str = "Methods:
  baseline     every member by cross-entropy, on its own
  adp          members together unsure, and diverse off the true class (Pang et al. 2019)
  gal          input gradients pushed apart (Kariyappa and Qureshi 2019)
  dverge       each member learns from features that fool the others (Yang et al. 2020)
  trs          input gradients pushed apart, losses made smooth (Yang et al. 2021)
  cldl         soft labels learned jointly, pushed apart, and gradients too (Wang and Liu)
  adversarial  every member on PGD examples of its own (Madry et al. 2018)

Examples:
  cldl train                                           CLDL(3,4,4): three LeNet-5 on MNIST
  cldl train --method baseline --epochs 3 --out runs/plain
  cldl train --gamma 3 --alpha 2 --beta 1 --seed 7
  cldl train --method dverge --init runs/plain         as its authors do: from a trained baseline
  cldl train --method gal --plus-adv --adv-eps 0.2     adversarial training on top
  cldl train --limit-train 2000 --epochs 2 --dry-run   how long would that take?";

impl Args {
    pub(crate) fn run(self) -> Result<()> {
        let device = self.compute.start()?;
        let options = self.options()?;
        let mut dirs = self.data.dirs();
        let dataset = dirs.dataset(options.dataset())?;
        let options = options.on(&dataset);
        // A wrong option should not wait for the data.
        options.method()?;
        let data = Dataset::load_first(&dataset, Split::Train, options.examples(), &dirs)?;
        let loaded = options.init().map(|place| Loaded::read(place, &device)).transpose()?;
        let init = loaded.as_ref().map(|loaded| &loaded.inner);
        let config = options.config(&data, init)?;
        let dir = self.out.clone().unwrap_or_else(|| self.runs.join(config.run_name()));
        let checkpoint_every = self.checkpoint_every.unwrap_or_default();
        let run = Run { checkpoint_every, ..Run::at(dir) };
        let state = run.state(&config)?;
        if self.resume && state == RunState::New {
            let message = format!("--resume: `{}` holds no run to go on with", run.dir.display());
            return Err(Usage(message).into());
        }
        if self.dry_run {
            return self.plan(&config, data, &run, state, &dirs, &device);
        }
        common::stop_on_interrupt()?;
        if let Some(origin) = loaded.as_ref().and_then(|loaded| loaded.origin.as_ref()) {
            files::write_atomically(&run.dir.join("init.json"), origin.as_bytes())?;
        }
        let start = Instant::now();
        let mut observer = Bar::new(&config, state);
        observer.probe = probe(&config, &dirs, &device)?;
        observer.events = self.tensorboard.then(|| run.dir.clone());
        cldl_train::train(&config, data, init, &run, &device, &mut observer)?;
        observer.bar.finish_and_clear();
        self.report(&config, &run, state, start.elapsed().as_secs_f64())
    }

    /// The file's options, and the flags over them.
    fn options(&self) -> Result<TrainOptions> {
        let mut options = toml::Table::new();
        if let Some(file) = &self.config {
            let text = std::fs::read_to_string(file)
                .with_context(|| format!("can't read `{}`", file.display()))?;
            let wrong = |e: toml::de::Error| {
                let line = e.span().map_or(1, |span| text[..span.start].matches('\n').count() + 1);
                Usage(format!("`{}`, line {line}: {}", file.display(), e.message()))
            };
            toml::from_str::<TrainOptions>(&text).map_err(wrong)?;
            options = toml::from_str(&text).map_err(wrong)?;
        }
        options.extend(toml::Table::try_from(&self.flags)?);
        Ok(options.try_into()?)
    }

    fn plan(
        &self,
        config: &TrainConfig,
        data: Dataset,
        run: &Run,
        state: RunState,
        dirs: &DataDirs,
        device: &Device,
    ) -> Result<()> {
        let total_steps = config.epochs * config.steps_per_epoch();
        let steps = total_steps - steps_done(config, state);
        let mut value = json!({
            "run": run.dir,
            "state": state_name(state),
            "steps": steps,
            "total_steps": total_steps,
        });
        if self.untimed {
            return common::print(self.json, &value, &format!("{steps} steps to go"));
        }
        let mut observer = Bar::new(config, state);
        observer.probe = probe(config, dirs, device)?;
        let cost = cldl_train::measure(config, data, device, &mut observer)?;
        let seconds = steps as f64 * cost.step_seconds;
        value["step_seconds"] = cost.step_seconds.into();
        value["checkpoint_bytes"] = cost.checkpoint_bytes.into();
        value["expected_seconds"] = seconds.into();
        value["expected_attack_seconds"] = cost.attack_seconds.into();
        value["expected_memory_bytes"] = cost.memory_bytes.into();
        let text = format!(
            "{} in `{}`: {}, {steps} steps to go, about {seconds:.0} s{}",
            config.method,
            run.dir.display(),
            state_name(state),
            cost.memory_bytes.map_or_else(String::new, |bytes| {
                format!(" and {} MB of memory", bytes.div_ceil(1_000_000))
            })
        );
        common::print(self.json, &value, &text)
    }

    fn report(
        &self,
        config: &TrainConfig,
        run: &Run,
        before: RunState,
        seconds: f64,
    ) -> Result<()> {
        let value = json!({
            "run": run.dir,
            "state": "done",
            "method": config.method.to_string(),
            "epochs": config.epochs,
            "seconds": seconds,
            "trained_seconds": run.seconds(),
            "peak_memory_bytes": peak_bytes(),
        });
        let text = if before == RunState::Done {
            format!("`{}` was trained before", run.dir.display())
        } else {
            format!("trained `{}` in {seconds:.1} s", run.dir.display())
        };
        common::print(self.json, &value, &text)
    }
}

fn state_name(state: RunState) -> &'static str {
    match state {
        RunState::New => "new",
        RunState::Partial(_) => "partial",
        RunState::Done => "done",
    }
}

fn steps_done(config: &TrainConfig, state: RunState) -> usize {
    match state {
        RunState::New => 0,
        RunState::Partial(Position { epochs, step }) => epochs * config.steps_per_epoch() + step,
        RunState::Done => config.epochs * config.steps_per_epoch(),
    }
}

/// Shows a training as it goes.
#[expect(clippy::struct_field_names, reason = "a bar is what it has first of all")]
struct Bar {
    bar: ProgressBar,
    epochs: usize,
    /// Looks at the ensemble after each epoch.
    probe: Option<Probe>,
    /// The run whose metrics TensorBoard wants.
    events: Option<PathBuf>,
}

/// Images of the look after each epoch, at most.
const PROBE: usize = 200;

/// A probe of the ensemble in training; none if there are no test images of its data set.
fn probe(config: &TrainConfig, dirs: &DataDirs, device: &Device) -> Result<Option<Probe>> {
    let Ok(test) = Dataset::load(&config.data.dataset, Split::Test, dirs) else {
        tracing::warn!("no test images of {}: epochs are not probed", config.data.dataset);
        return Ok(None);
    };
    let eps = usual_eps(&config.data.dataset)[0];
    // As long as two steps: a short epoch must not wait for its look.
    let images = PROBE.min(2 * config.batch_size);
    Ok(Some(Probe::new(&test, images, eps, config.method.gamma(), device)?))
}

impl Bar {
    fn new(config: &TrainConfig, state: RunState) -> Self {
        let images = |epochs: usize| (epochs * config.data.examples) as u64;
        let done = match state {
            RunState::Partial(at) => images(at.epochs) + (at.step * config.batch_size) as u64,
            _ => 0,
        };
        let bar = progress::bar(images(config.epochs), done, "images");
        bar.set_prefix(config.method.to_string());
        Self { bar, epochs: config.epochs, probe: None, events: None }
    }
}

impl Observer for Bar {
    fn step(&mut self, progress: &Progress<'_>) {
        self.bar.inc(progress.images as u64);
        let parts: Vec<String> =
            progress.parts.iter().map(|(name, value)| format!("{name} {value:.4}")).collect();
        self.bar.set_message(format!(
            "epoch {}/{}  loss {:.4}  {}",
            progress.epoch,
            self.epochs,
            progress.loss,
            parts.join("  ")
        ));
    }

    fn look(&mut self, ensemble: &Ensemble) -> candle::Result<Map<String, Value>> {
        let mut found = Map::new();
        if let Some(probe) = &self.probe {
            found.insert("probe".to_owned(), json!(probe.look(ensemble)?));
        }
        Ok(found)
    }

    fn epoch(&mut self, record: &Value) {
        if let Some(run) = &self.events
            && let Err(error) = write_events(run)
        {
            tracing::warn!("no event file for TensorBoard: {error}");
        }
        let Some(record) = record.as_object() else { return };
        let number = |name: &str| record.get(name).and_then(Value::as_f64).unwrap_or(f64::NAN);
        let terms: Vec<String> = record
            .keys()
            .filter(|name| !["epoch", "lr", "seconds", "probe"].contains(&name.as_str()))
            .map(|name| format!("{name} {:.4}", number(name)))
            .collect();
        let (epoch, seconds) = (number("epoch"), number("seconds"));
        let text = format!("epoch {epoch}/{}  {}  {seconds:.1} s", self.epochs, terms.join("  "));
        progress::line(&self.bar, &text);
        if let Some(seen) = record.get("probe").and_then(seen) {
            progress::line(&self.bar, &seen);
        }
    }

    fn should_stop(&self) -> bool {
        common::stopping()
    }
}

/// What the probe saw, in a line below the epoch's.
fn seen(probe: &Value) -> Option<String> {
    let number = |name: &str| probe.get(name).and_then(Value::as_f64);
    let pairs = probe.get("pairs")?.as_array()?;
    let mean = |name: &str| {
        let sum: f64 = pairs.iter().filter_map(|pair| pair.get(name)?.as_f64()).sum();
        sum / pairs.len() as f64
    };
    let mut text = format!(
        "  {} images: clean {:.1} %, fgsm at eps {} {:.1} %",
        number("examples")?,
        number("clean")?,
        number("eps")?,
        number("fgsm")?
    );
    if !pairs.is_empty() {
        let (cosine, divergence) = (mean("gradient_cosine"), mean("divergence"));
        let pairs = format!(", gradient alignment {cosine:.3}, divergence {divergence:.4}");
        text.push_str(&pairs);
    }
    Some(text)
}
