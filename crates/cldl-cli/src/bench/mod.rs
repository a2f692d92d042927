//! `cldl bench`

mod kernels;
mod profile;
mod rows;
mod turns;

use anyhow::Result;
use cldl_core::Instructions;
use cldl_core::kernels::memory_bandwidth;
use cldl_core::memory::peak_bytes;
use cldl_models::Arch;
use serde::Serialize;

use self::profile::Kernel;
use self::rows::{Row, Subject};
use self::turns::{Turns, in_turns};
use crate::common::{self, Compute};
use crate::failure::Usage;
use crate::output::Grid;
use crate::progress;

/// Measure how long a step takes here, and how much of the machine it uses.
///
/// Every row is one step on a batch of made-up images: the median of --repeat runs after a warm-up.
/// GFLOP/s counts the multiplications and additions that the step's layers need (see below); the peak
/// is what the same threads reach with everything in registers, measured in turns with the row, as processors
/// change their clock with their load; also a median. With --profile, "of limit" is the least time that this peak
/// and the memory's speed allow a kernel, as a share of what it took: above 100 % where numbers came from a
/// cache. With --kernels, "at best" is the best run against the peaks before and after it or the median,
/// whichever is the highest: a core that another's thread shares for a while slows kernels down, and the peak
/// hardly. With --json, one object a line.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Architecture of the members: `lenet5` or `resnet20`
    #[arg(long, value_name = "NAME", default_value = "lenet5")]
    arch: Arch,
    /// Number of members
    #[arg(long, value_name = "N", default_value_t = 3)]
    members: usize,
    /// Images of a step
    #[arg(long, value_name = "B", default_value_t = 128)]
    batch: usize,
    /// Rows to measure [default: all]
    #[arg(long, value_name = "ROW", num_args = 1.., value_delimiter = ',')]
    only: Vec<String>,
    /// Runs of each row after the warm-up
    #[arg(long, value_name = "K", default_value_t = 5)]
    repeat: usize,
    /// Also say where the time goes: every kernel by shape, and what is left to candle and the rest
    #[arg(long)]
    profile: bool,
    /// Measure no steps, but every kernel by itself: the layers' outputs, and the gradients of their inputs
    /// and weights
    #[arg(long, conflicts_with_all = ["only", "profile", "members"])]
    kernels: bool,
    /// Print one JSON object a line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    compute: Compute,
}

const EXAMPLES: &str = "Rows, with their operations in forward passes of all members (F):
  forward  logits of the ensemble, no gradients                       1 F
  ce       training step: cross-entropy (baseline)                    3 F
  adp      training step of ADP                                       3 F
  gal      training step of GAL                                       6 F
  trs      training step of TRS (the published form, Cos-l2)          6 F
  cldl     training step of CLDL (official)                           6 F
  dverge   training step of DVERGE: ten distillation steps, layer 2 (LeNet-5) or 8 (ResNet-20)
  pgd10    ten steps of PGD on the ensemble                          20 F
  wait     how long a step of `ce` waits for its images, augmented on another thread
A training step needs no gradient of the images: the first layer counts one pass less, or two.
Operations are counted as PyTorch's would be: those of LeNet-5's gradients as if nothing had been
pooled, though three of four of their products are zero and not formed; of convolutions of 3x3 nine
for each output and channel, though Winograd's take four. So both may pass 100 % of the peak.

Examples:
  cldl bench
  cldl bench --arch resnet20 --only cldl,ce --threads 2 --json
  cldl bench --only pgd10 --profile
  cldl bench --arch resnet20 --kernels --threads 1";

/// Under which conditions all rows are measured.
fn conditions(memory_gbs: f64) -> String {
    let (threads, instructions) = (rayon::current_num_threads(), Instructions::in_use());
    format!("{threads} threads, {instructions}; memory {memory_gbs:.0} GB/s")
}

/// What was measured of a row.
#[derive(Serialize)]
struct Measured {
    system: &'static str,
    arch: Arch,
    members: usize,
    batch: usize,
    threads: usize,
    /// The family of instruction sets that the kernels use.
    instructions: String,
    what: &'static str,
    seconds: f64,
    images_per_second: f64,
    gflops: f64,
    peak_gflops: f64,
    memory_gbs: f64,
    /// That the step must read and write at least.
    least_bytes: u64,
    /// Of the process, over all rows so far.
    peak_memory_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    profile: Vec<Kernel>,
}

impl Args {
    pub(crate) fn run(self) -> Result<()> {
        let device = self.compute.start()?;
        for (name, value) in
            [("members", self.members), ("batch", self.batch), ("repeat", self.repeat)]
        {
            if value == 0 {
                return Err(Usage(format!("--{name} is 0, expected at least 1")).into());
            }
        }
        let rows = Row::chosen(&self.only, self.members)?;
        let memory_gbs = memory_bandwidth();
        if self.kernels {
            return kernels::run(&self, memory_gbs);
        }
        let subject = Subject::new(self.arch, self.members, self.batch, &device)?;
        let bar = progress::bar(rows.len() as u64, 0, "rows");
        let mut measured = Vec::with_capacity(rows.len());
        for row in rows {
            bar.set_message(row.name());
            let row = self.measure(&subject, row, memory_gbs)?;
            if self.json {
                common::print(true, &row, "")?;
            }
            measured.push(row);
            bar.inc(1);
        }
        bar.finish_and_clear();
        if self.json {
            return Ok(());
        }
        let memory = peak_bytes()
            .map_or_else(String::new, |bytes| format!(", {} MiB of memory at most", bytes >> 20));
        let notes = format!(
            "{} {}, batch {}, {}{memory}",
            self.members,
            self.arch,
            self.batch,
            conditions(memory_gbs)
        );
        let profiles = measured.iter().filter(|row| !row.profile.is_empty());
        let profiles: Vec<String> = profiles.map(profile_text).collect();
        let text = format!("{}\n{}", rows_grid(&measured).text(&notes), profiles.concat());
        common::print(false, &(), &text)
    }

    fn measure(&self, subject: &Subject, row: Row, memory_gbs: f64) -> Result<Measured> {
        let mut step = subject.step(row)?;
        // To fill caches and buffers.
        step()?;
        let turns = || in_turns(self.repeat, step);
        let (turns, mut profile) =
            if self.profile { profile::of(turns) } else { (turns(), Vec::new()) };
        let Turns { seconds, total, peak_gflops, .. } = turns?;
        if self.profile {
            let known: f64 = profile.iter().map(|kernel| kernel.seconds).sum();
            profile.push(Kernel {
                name: OTHER.to_owned(),
                seconds: total - known,
                ..Kernel::default()
            });
        }
        for kernel in &mut profile {
            kernel.seconds /= self.repeat as f64;
            kernel.calls /= self.repeat;
            kernel.macs /= self.repeat as u64;
            kernel.bytes /= self.repeat as u64;
        }
        Ok(Measured {
            system: "cldl",
            arch: self.arch,
            members: self.members,
            batch: self.batch,
            threads: rayon::current_num_threads(),
            instructions: Instructions::in_use().to_string(),
            what: row.name(),
            seconds,
            images_per_second: self.batch as f64 / seconds,
            gflops: subject.flops(row) / seconds / 1e9,
            peak_gflops,
            memory_gbs,
            least_bytes: subject.least_bytes(row),
            peak_memory_bytes: peak_bytes(),
            profile,
        })
    }
}

/// What of a step is none of our kernels.
const OTHER: &str = "candle's ops and the rest";

fn rows_grid(rows: &[Measured]) -> Grid {
    let head = ["step", "seconds", "images/s", "GFLOP/s", "peak", "of peak"].map(str::to_owned);
    let cells = |row: &Measured| {
        vec![
            row.what.to_owned(),
            format!("{:.4}", row.seconds),
            format!("{:.0}", row.images_per_second),
            format!("{:.1}", row.gflops),
            format!("{:.0}", row.peak_gflops),
            format!("{:.0} %", 100.0 * row.gflops / row.peak_gflops),
        ]
    };
    Grid { head: head.to_vec(), rows: rows.iter().map(cells).collect() }
}

fn profile_text(row: &Measured) -> String {
    let total: f64 = row.profile.iter().map(|kernel| kernel.seconds).sum();
    let head = ["kernel", "shape", "calls", "ms", "of the step", "of peak", "MB", "of limit"]
        .map(str::to_owned);
    let cells = |kernel: &Kernel| {
        let gflops = 2.0 * kernel.macs as f64 / kernel.seconds / 1e9;
        let of_peak = format!("{:.0} %", 100.0 * gflops / row.peak_gflops);
        let limit = profile::limit(kernel.macs, kernel.bytes, row.peak_gflops, row.memory_gbs);
        let of_limit = format!("{:.0} %", 100.0 * limit / kernel.seconds);
        vec![
            kernel.name.clone(),
            kernel.shape.clone(),
            kernel.calls.to_string(),
            format!("{:.2}", 1e3 * kernel.seconds),
            format!("{:.1} %", 100.0 * kernel.seconds / total),
            if kernel.macs == 0 { String::new() } else { of_peak },
            if kernel.bytes == 0 {
                String::new()
            } else {
                format!("{:.1}", kernel.bytes as f64 / 1e6)
            },
            if kernel.bytes == 0 { String::new() } else { of_limit },
        ]
    };
    let grid = Grid { head: head.to_vec(), rows: row.profile.iter().map(cells).collect() };
    format!("\n{}, one step, mean of all:\n{}", row.what, grid.text(""))
}
