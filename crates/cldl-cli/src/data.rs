//! `cldl data fetch | unpack | verify | info`

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use cldl_data::{
    DatasetName, FetchOptions, Fetched, FileState, SplitInfo, fetch, fetch_dir, info, unpacked,
    verify,
};
use comfy_table::{Table, presets};
use serde_json::json;

use crate::common::{self, DataDir};
use crate::progress;

#[derive(clap::Subcommand)]
pub(crate) enum Command {
    Fetch(Fetch),
    Unpack(Unpack),
    /// Check the datasets' files against the published checksums
    Verify(Which),
    /// Describe datasets: sizes, classes, mean and deviation of the pixels
    Info(Info),
}

/// Download datasets from their published mirrors, or from the Hub.
///
/// Files that are there already are checked and kept; an interrupted download goes on where it was;
/// nothing is put in place before its checksum is right.
#[derive(clap::Args)]
pub(crate) struct Fetch {
    #[command(flatten)]
    which: Which,
    /// Download from this base URL instead of the published mirrors (may be repeated)
    #[arg(long, value_name = "URL")]
    mirror: Vec<String>,
    /// Where to download from: the published mirrors, or the datasets' repositories on the Hugging Face Hub, whose images are
    /// turned back into the published files; checksums are the same
    #[cfg(feature = "hub")]
    #[arg(long, value_name = "SOURCE", default_value = "mirrors", conflicts_with = "mirror")]
    from: From,
}

#[cfg(feature = "hub")]
#[derive(Clone, Copy, PartialEq, clap::ValueEnum)]
enum From {
    Mirrors,
    Hub,
}

/// Put an unpacked copy of a packed dataset into a folder, for commands to start sooner.
///
/// Says which folder below it to name by `--data-dir` or `CLDL_DATA_DIR`. What is there already is not made
/// again; a dataset that is not packed is left where it is. `cargo xtask reproduce` does it on its own.
#[derive(clap::Args)]
pub(crate) struct Unpack {
    /// `mnist`, `fashion-mnist` or `cifar-10`
    #[arg(value_name = "DATASET")]
    dataset: DatasetName,
    /// Folder for copies
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Only the files that hold the first N training images, and the test images [default: all]
    #[arg(long, value_name = "N")]
    first: Option<usize>,
    /// Print the result as one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    data: DataDir,
}

#[derive(clap::Args)]
pub(crate) struct Which {
    /// `mnist`, `fashion-mnist` or `cifar-10` [default: mnist and fashion-mnist]
    #[arg(value_name = "DATASET")]
    datasets: Vec<DatasetName>,
    /// Print the result as one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    data: DataDir,
}

/// The files of a dataset of your own lie in a folder with a `dataset.toml`.
#[derive(clap::Args)]
#[command(after_help = CUSTOM)]
pub(crate) struct Info {
    /// `mnist`, `fashion-mnist`, `cifar-10` or a folder [default: mnist and fashion-mnist]
    #[arg(value_name = "DATASET", default_values = ["mnist", "fashion-mnist"])]
    datasets: Vec<String>,
    /// Print the result as one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    data: DataDir,
}

const CUSTOM: &str = "A dataset of your own, letters/dataset.toml:
  format = \"idx\"                      # or \"cifar-binary\", whose images are 3x32x32
  classes = [\"alpha\", \"beta\", \"gamma\"]
  # Left out: idx images are 1x28x28; files are called as MNIST's or CIFAR-10's; mean and std, which
  # models subtract and divide by, are those of the training images.
  image_shape = [1, 28, 28]
  train = [\"train-images\", \"train-labels\"]
  test = [\"test-images\", \"test-labels\"]
  mean = [0.17]
  std = [0.33]

  cldl data info letters
  cldl train --dataset letters";

impl Command {
    pub(crate) fn run(self) -> Result<()> {
        match self {
            Self::Fetch(args) => args.run(),
            Self::Unpack(args) => args.run(),
            Self::Verify(which) => which.verify(),
            Self::Info(args) => args.run(),
        }
    }
}

impl Fetch {
    fn run(&self) -> Result<()> {
        let dir = fetch_dir(self.which.data.data_dir.as_deref());
        let options = FetchOptions { mirrors: self.mirror.clone(), ..FetchOptions::default() };
        let bar = progress::bar(0, 0, "bytes");
        let (mut rows, mut lines) = (Vec::new(), Vec::new());
        for name in self.which.names() {
            let mut show = |progress: cldl_data::Progress<'_>| {
                bar.set_prefix(progress.file.to_owned());
                bar.set_length(progress.total);
                bar.set_position(progress.done);
            };
            for file in self.files(name, &dir, &options, &mut show)? {
                let what = if file.downloaded { "downloaded" } else { "was there" };
                lines.push(format!("{what} {} ({} bytes)", file.path.display(), file.bytes));
                rows.push(json!({
                    "dataset": name, "path": file.path, "bytes": file.bytes,
                    "downloaded": file.downloaded,
                }));
            }
        }
        bar.finish_and_clear();
        common::print(self.which.json, &json!({ "files": rows }), &lines.join("\n"))
    }
}

impl Fetch {
    /// The files of a dataset, which are in place then.
    fn files(
        &self,
        name: DatasetName,
        dir: &Path,
        options: &FetchOptions,
        show: &mut dyn FnMut(cldl_data::Progress<'_>),
    ) -> Result<Vec<Fetched>> {
        #[cfg(feature = "hub")]
        if self.from == From::Hub {
            return crate::hub::dataset::fetch(name, dir);
        }
        Ok(fetch(name, dir, options, show)?)
    }
}

impl Unpack {
    fn run(&self) -> Result<()> {
        let first = self.first.unwrap_or(usize::MAX);
        let folder = unpacked(self.dataset, first, &self.data.dirs(), &self.out)?;
        let text = match &folder {
            Some(folder) => format!("unpacked: --data-dir {}", folder.display()),
            None => format!("`{}` is not packed", self.dataset),
        };
        common::print(self.json, &json!({ "data_dir": folder }), &text)
    }
}

impl Which {
    fn names(&self) -> Vec<DatasetName> {
        if self.datasets.is_empty() {
            vec![DatasetName::Mnist, DatasetName::FashionMnist]
        } else {
            self.datasets.clone()
        }
    }

    fn verify(&self) -> Result<()> {
        let dirs = self.data.dirs();
        let mut table = table(["dataset", "file", "state", "where"]);
        let (mut rows, mut bad) = (Vec::new(), 0);
        for name in self.names() {
            for file in verify(name, &dirs) {
                bad += usize::from(file.state != FileState::Ok);
                let state = match file.state {
                    FileState::Ok => "ok",
                    FileState::Wrong => "wrong",
                    FileState::Missing => "missing",
                };
                let place =
                    file.path.as_ref().map_or("-".into(), |path| path.display().to_string());
                table.add_row([name.as_str(), &file.file, state, &place]);
                rows.push(json!({
                    "dataset": name, "file": file.file, "state": state, "path": file.path,
                    "bytes": file.bytes, "sha256": file.sha256, "problem": file.problem,
                }));
            }
        }
        common::print(self.json, &json!({ "files": rows }), &table.to_string())?;
        if bad > 0 {
            bail!(
                "{bad} of {} files are missing or wrong: `cldl data fetch` gets them",
                rows.len()
            );
        }
        Ok(())
    }
}

impl Info {
    fn run(&self) -> Result<()> {
        let mut dirs = self.data.dirs();
        let mut table =
            table(["dataset", "split", "images", "shape", "of each class", "mean", "std"]);
        let mut rows: Vec<SplitInfo> = Vec::new();
        for text in &self.datasets {
            let dataset = dirs.dataset(text)?;
            rows.extend(info(dataset, &dirs)?);
        }
        for split in &rows {
            let [channels, height, width] = split.image_shape;
            let numbers = |values: &[f64]| {
                values.iter().map(|v| format!("{v:.4}")).collect::<Vec<_>>().join(" ")
            };
            let counts: Vec<String> = split.class_counts.iter().map(usize::to_string).collect();
            table.add_row([
                split.dataset.clone(),
                split.split.to_string(),
                split.examples.to_string(),
                format!("{channels}x{height}x{width}"),
                counts.join(" "),
                numbers(&split.mean),
                numbers(&split.std),
            ]);
        }
        common::print(self.json, &json!({ "splits": rows }), &table.to_string())
    }
}

fn table<const N: usize>(header: [&str; N]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(header);
    table
}
