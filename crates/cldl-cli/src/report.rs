//! `cldl report` and `cldl plot`: what runs and tables show.

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Result;
use cldl_core::files;
use cldl_report::{Kind, ReportError, Section, Settings, Study, all_sections, page, section};
use serde_json::json;

use crate::common::{self, Compute, DataDir};
use crate::failure::Usage;
use crate::models::{self, Watch};

/// Show runs and tables as one HTML file: tables, curves, maps, adversarial examples.
///
/// The file needs no network and no other file. What takes a model is computed from the runs'
/// checkpoints (also of the runs that a table names, if they are there) and kept in the outcome store;
/// what can't be shown says so in a line.
#[derive(clap::Args)]
#[command(after_help = REPORT_EXAMPLES)]
pub(crate) struct ReportArgs {
    #[command(flatten)]
    subject: Subject,
    /// The file
    #[arg(long, value_name = "FILE.html", default_value = "report.html")]
    out: PathBuf,
    /// Write every picture into this folder too: as SVG, as PNG, and its numbers as CSV
    #[arg(long, value_name = "DIR")]
    pictures: Option<PathBuf>,
    /// Print what was written as one JSON object
    #[arg(long)]
    json: bool,
}

const REPORT_EXAMPLES: &str = "Examples:
  cldl report runs/cldl-3-4-4-* --out report.html
  cldl report runs/baseline-* runs/cldl-* --pictures pictures    several runs side by side
  cldl report results/table4-smoke --out table4.html              a table, and the runs behind it";

/// Draw one picture, with its numbers as CSV beside it.
#[derive(clap::Args)]
#[command(after_help = PLOT_EXAMPLES)]
pub(crate) struct PlotArgs {
    /// Picture: `robustness` (accuracy against eps), `planes` (decisions around an image), `gallery`
    /// (adversarial examples), `labels` (label dependencies), `transfer` (among members), `pairs` (of
    /// members, over training), `learning` (curves) or `audit` (among runs)
    #[arg(value_name = "KIND")]
    kind: Kind,
    #[command(flatten)]
    subject: Subject,
    /// The file; if there are several pictures, the others get a number
    #[arg(long, value_name = "FILE.svg|FILE.png")]
    out: PathBuf,
    /// Print what was written as one JSON object
    #[arg(long)]
    json: bool,
}

const PLOT_EXAMPLES: &str = "Examples:
  cldl plot robustness results/table4-smoke --out robustness.svg
  cldl plot labels runs/cldl-3-4-4-* --out labels.png
  cldl plot planes runs/baseline-* runs/cldl-3-4-4-* --out planes.svg";

/// What is shown, and how it is measured.
#[derive(clap::Args)]
struct Subject {
    /// Run directories, checkpoints, and folders with a `table.json` of `cargo xtask reproduce`
    #[arg(value_name = "PATH", required = true)]
    paths: Vec<PathBuf>,
    /// Test images that attacks are measured on
    #[arg(long, value_name = "N", default_value_t = 200)]
    examples: usize,
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
    /// Folder where outcomes are kept: what is there is not computed again
    #[arg(long, value_name = "DIR", default_value = "runs/outcomes")]
    store: PathBuf,
    #[command(flatten)]
    data: DataDir,
    #[command(flatten)]
    compute: Compute,
}

impl ReportArgs {
    pub(crate) fn run(self) -> Result<()> {
        let start = Instant::now();
        files::check_writable(&self.out)?;
        let study = self.subject.read()?;
        let mut watch = Watch::start()?;
        let sections = all_sections(&study, &mut |progress: &_| watch.see(progress));
        let sections = sections.map_err(classify)?;
        watch.end();
        let html = page(&title(&study), &self.subject.subtitle(), &sections)?;
        files::write_atomically(&self.out, html.as_bytes())?;
        let pictures = || sections.iter().flat_map(|section| &section.pictures);
        if let Some(folder) = &self.pictures {
            pictures().try_for_each(|picture| picture.save_all(folder))?;
        }
        let names: Vec<&str> = pictures().map(|picture| picture.name.as_str()).collect();
        let value = json!({
            "report": self.out,
            "pictures": names,
            "folder": self.pictures,
            "sections": sections.iter().map(|section| &section.id).collect::<Vec<_>>(),
            "seconds": start.elapsed().as_secs_f64(),
        });
        let folder = self.pictures.as_ref();
        let folder =
            folder.map_or_else(String::new, |f| format!(", pictures in `{}`", f.display()));
        let text = format!(
            "report of {} sections and {} pictures: `{}`{folder}",
            sections.len(),
            names.len(),
            self.out.display()
        );
        common::print(self.json, &value, &text)
    }
}

impl PlotArgs {
    pub(crate) fn run(self) -> Result<()> {
        if !self.out.extension().is_some_and(|ending| ending == "svg" || ending == "png") {
            let message = format!("`{}`: pictures end in .svg or .png", self.out.display());
            return Err(Usage(message).into());
        }
        files::check_writable(&self.out)?;
        let study = self.subject.read()?;
        let mut watch = Watch::start()?;
        let section = section(self.kind, &study, &mut |progress: &_| watch.see(progress));
        let Section { pictures, notes, .. } = section.map_err(classify)?;
        watch.end();
        if pictures.is_empty() {
            anyhow::bail!("nothing to draw: {}", notes.join("; "));
        }
        let mut written = Vec::new();
        for (i, picture) in pictures.iter().enumerate() {
            written.extend(picture.save(&numbered(&self.out, i))?);
        }
        let value = json!({ "kind": self.kind.as_str(), "files": written, "notes": notes });
        let files: Vec<String> =
            written.iter().map(|file| format!("`{}`", file.display())).collect();
        let text = [&[format!("written to {}", files.join(", "))], &notes[..]].concat().join("\n");
        common::print(self.json, &value, &text)
    }
}

impl Subject {
    fn read(&self) -> Result<Study> {
        let device = self.compute.start()?;
        let settings = Settings {
            examples: self.examples.max(1),
            eps: self.eps.clone(),
            store: self.store.clone(),
            device,
        };
        let mut study = Study::read(&self.paths, &self.data.dirs(), settings).map_err(classify)?;
        if let (true, Some(test)) = (self.eps.is_empty(), &study.test) {
            study.settings.eps = models::usual_eps(&test.spec).to_vec();
        }
        Ok(study)
    }

    fn subtitle(&self) -> String {
        let paths: Vec<String> = self.paths.iter().map(|path| path.display().to_string()).collect();
        format!("of {}", paths.join(", "))
    }
}

fn title(study: &Study) -> String {
    match (study.tables.as_slice(), study.runs.as_slice()) {
        ([(_, table)], _) => format!("Table {}. {}", table.table, table.title),
        ([], [run]) => format!("{} on {}", run.label, run.inner.dataset),
        ([], [run, ..]) => {
            format!("{} ensembles on {}", study.runs.len(), run.inner.dataset)
        }
        (tables, _) => {
            let numbers = tables.iter().map(|(_, table)| table.table.to_string());
            format!("Tables {}", numbers.collect::<Vec<_>>().join(", "))
        }
    }
}

/// `out` for the first picture, `out-2` for the second, ..
fn numbered(out: &Path, i: usize) -> PathBuf {
    if i == 0 {
        return out.to_path_buf();
    }
    let part =
        |part: Option<&std::ffi::OsStr>| part.unwrap_or_default().to_string_lossy().into_owned();
    let name = format!("{}-{}.{}", part(out.file_stem()), i + 1, part(out.extension()));
    out.with_file_name(name)
}

/// A wrong argument is wrong usage; what else fails is a failure.
fn classify(error: ReportError) -> anyhow::Error {
    match error {
        ReportError::Argument(message) => Usage(message).into(),
        ReportError::Eval(error) => models::classify(error),
        other => other.into(),
    }
}
