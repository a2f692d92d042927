//! `cldl import`

use std::path::PathBuf;

use anyhow::Result;
use cldl_checkpoint::pytorch::{ImportOptions, import};
use cldl_core::folders;

use crate::common::{self, DataDir};
use crate::export;

/// Make a checkpoint of weights that PyTorch saved.
///
/// Takes what `torch.save` wrote of a state_dict or of a dictionary of them (`{"model_0": .., "model_1": ..}`,
/// as the authors of CLDL save their ensembles) and safetensors files. A pickle is a program: none of it is
/// run, and a file that asks for more than tensors is refused. Every name and shape is checked.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Files of weights: the members in order, and a label confusion model if there is one
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// What it classifies: `mnist`, `fashion-mnist`, `cifar-10`, or a folder with a `dataset.toml`
    #[arg(long, value_name = "DATASET")]
    dataset: String,
    /// Negative slope of ResNet-20's activations; no file of weights says it. The published code has
    /// 0.1 under GAL and CLDL, 0 elsewhere
    #[arg(long, value_name = "X", default_value_t = 0.0)]
    leaky_slope: f64,
    /// Directory to write the checkpoint to
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Replace what is there
    #[arg(long)]
    force: bool,
    /// Print the result as one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    data: DataDir,
}

const EXAMPLES: &str = "Examples:
  cldl import epoch_200.pth lcm_model_epoch_200.pth --dataset cifar-10 --leaky-slope 0.1 --out theirs
  cldl import one.pt two.pt three.pt --dataset mnist --out three
  cldl eval clean theirs";

impl Args {
    pub(crate) fn run(self) -> Result<()> {
        folders::check_free(&self.out, self.force)?;
        let dataset = self.data.dirs().dataset(&self.dataset)?;
        let options = ImportOptions { dataset, leaky_slope: self.leaky_slope };
        let (ensemble, config) = import(&self.files, &options)?;
        let config = cldl_checkpoint::write(&self.out, &ensemble, config, self.force)?;
        common::print(
            self.json,
            &export::value(&config, &self.out),
            &export::text(&config, &self.out),
        )
    }
}
