//! What the commands that measure models share: runs, test images, attack options, progress.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use candle::Device;
use cldl_data::{DataDirs, Dataset, DatasetName, DatasetSpec, Split};
use cldl_eval::{EvalError, Examples, Model, Progress};
use cldl_train::LoadedEnsemble;
use indicatif::ProgressBar;

use crate::common::{self, DataDir};
use crate::failure::Usage;
use crate::progress;
use crate::source::{self, Source};

/// Examples at a time; results do not depend on it.
pub(crate) const BATCH_SIZE: usize = 200;

/// Examples that are attacked if the user does not say how many.
pub(crate) const USUAL_EXAMPLES: usize = 1000;

/// A trained ensemble, and the path or repository that it was asked for by.
pub(crate) struct Loaded {
    pub(crate) name: String,
    pub(crate) inner: LoadedEnsemble,
    /// What is kept of the repository that it came from, as JSON.
    pub(crate) origin: Option<String>,
}

impl Loaded {
    pub(crate) fn read(path: &Path, device: &Device) -> Result<Self> {
        let Source { name, path, origin } = source::find(path)?;
        let inner = cldl_checkpoint::load(&path, device)?;
        if let Some(config) = &inner.config
            && inner.epochs_done < config.epochs
        {
            let (done, epochs) = (inner.epochs_done, config.epochs);
            tracing::warn!("`{name}` is unfinished: trained for {done} of {epochs} epochs");
        }
        Ok(Self { name, inner, origin })
    }

    pub(crate) fn model(&self) -> Model<'_> {
        Model { name: &self.name, digest: &self.inner.digest, classifier: &self.inner.ensemble }
    }

    pub(crate) fn dataset(&self) -> DatasetSpec {
        self.inner.dataset.clone()
    }
}

/// Loads runs that were all trained on one dataset, which is the second result.
pub(crate) fn read_all(
    paths: &[&[PathBuf]],
    device: &Device,
) -> Result<(Vec<Loaded>, DatasetSpec)> {
    let paths = paths.iter().copied().flatten();
    let loaded = paths.map(|path| Loaded::read(path, device)).collect::<Result<Vec<_>>>()?;
    let dataset = loaded.first().context("no run is given")?.dataset();
    match loaded.iter().find(|other| other.dataset() != dataset) {
        None => Ok((loaded, dataset)),
        Some(other) => {
            let (first, other_set) = (&loaded[0].name, other.dataset());
            let message = format!(
                "`{first}` was trained on {dataset}, `{}` on {other_set}: measure them apart",
                other.name
            );
            Err(Usage(message).into())
        }
    }
}

/// Which test images models are measured on.
#[derive(clap::Args)]
pub(crate) struct TestData {
    #[command(flatten)]
    dir: DataDir,
    /// Dataset to measure on; another than the models were trained on takes --force [default: the one
    /// they were trained on]
    #[arg(long, value_name = "NAME")]
    dataset: Option<String>,
    /// Measure on a dataset that the models were not trained on
    #[arg(long)]
    force: bool,
}

impl TestData {
    /// The test images for models that were trained on `trained`.
    pub(crate) fn images(&self, trained: &DatasetSpec) -> Result<Dataset> {
        let mut dirs = self.dir.dirs();
        let spec = match &self.dataset {
            None => trained.clone(),
            Some(name) => dirs.dataset(name)?,
        };
        let differs = |spec: &DatasetSpec| {
            (spec.image_shape(), spec.n_classes()) != (trained.image_shape(), trained.n_classes())
        };
        if differs(&spec) {
            let ([c, h, w], [oc, oh, ow]) = (trained.image_shape(), spec.image_shape());
            return Err(Usage(format!(
                "the models are for {} classes of {c}x{h}x{w} images, `{spec}` has {} of {oc}x{oh}x{ow}",
                trained.n_classes(),
                spec.n_classes()
            ))
            .into());
        }
        if spec.name() != trained.name() && !self.force {
            return Err(Usage(format!(
                "the models were trained on `{trained}`, not on `{spec}`: their accuracy there means \
                 little; --force measures it all the same"
            ))
            .into());
        }
        test_images(&spec, &dirs)
    }
}

pub(crate) fn test_images(spec: &DatasetSpec, dirs: &DataDirs) -> Result<Dataset> {
    Ok(Dataset::load(spec, Split::Test, dirs)?)
}

/// A part of the test images.
#[derive(Clone, Copy)]
pub(crate) enum Part {
    /// Those that results are for: 9,000 of 10,000.
    Evaluation,
    /// Those to choose hyper-parameters on.
    Tuning,
}

impl Part {
    /// The first `n` images of this part of `test`, or as many as is usual.
    pub(crate) fn examples(self, test: &Dataset, n: Option<usize>) -> Result<Examples<'_>> {
        let tuning = test.len() / 10;
        let examples = match self {
            Self::Evaluation => {
                Examples::evaluation(test, n.unwrap_or(USUAL_EXAMPLES.min(test.len() - tuning)))
            }
            Self::Tuning => Examples::tuning(test, n.unwrap_or(USUAL_EXAMPLES.min(tuning))),
        };
        examples.map_err(classify)
    }
}

/// A radius in [0, 1], from a flag.
pub(crate) fn eps(text: &str) -> Result<f64, String> {
    let eps: f64 = text.parse().map_err(|_| format!("`{text}` is not a number"))?;
    if (0.0..=1.0).contains(&eps) { Ok(eps) } else { Err(format!("eps {eps} is outside [0, 1]")) }
}

/// The radii of the paper's tables.
pub(crate) fn usual_eps(dataset: &DatasetSpec) -> [f64; 4] {
    match dataset.like() {
        DatasetName::Mnist => [0.1, 0.15, 0.2, 0.25],
        DatasetName::FashionMnist => [0.08, 0.1, 0.15, 0.2],
        DatasetName::Cifar10 => [0.01, 0.02, 0.03, 0.04],
    }
}

/// A wrong argument is wrong usage; what else fails is a failure.
pub(crate) fn classify(error: EvalError) -> anyhow::Error {
    match error {
        EvalError::Argument(message) => Usage(message).into(),
        other => other.into(),
    }
}

/// Shows a computation as it goes, and stops it when the user wants that.
pub(crate) struct Watch {
    bar: ProgressBar,
    label: String,
}

impl Watch {
    pub(crate) fn start() -> Result<Self> {
        common::stop_on_interrupt()?;
        Ok(Self { bar: progress::bar(0, 0, "passes"), label: String::new() })
    }

    pub(crate) fn see(&mut self, progress: &Progress) -> ControlFlow<()> {
        self.bar.set_length(progress.total);
        self.bar.set_position(progress.done);
        if self.label != progress.label {
            self.label.clone_from(&progress.label);
            self.bar.set_message(self.label.clone());
            if self.bar.is_hidden() {
                let percent = 100 * progress.done / progress.total.max(1);
                progress::line(&self.bar, &format!("{percent:>3} % {}", self.label));
            }
        }
        if common::stopping() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    pub(crate) fn end(self) {
        self.bar.finish_and_clear();
    }
}
