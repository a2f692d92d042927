//! `cldl bench`

mod rows;

use std::time::Instant;

use anyhow::Result;
use cldl_core::kernels::fma_peak;
use cldl_models::Arch;
use serde_json::json;

use self::rows::{Row, Subject};
use crate::common::{self, Compute};
use crate::failure::Usage;
use crate::output::Grid;
use crate::progress;

/// Measure how long a step takes here, and how much of the machine it uses.
///
/// Every row is one step on a batch of made-up images: the median of --repeat runs after a warm-up.
/// GFLOP/s counts the multiplications and additions that the step's layers need (see below); the peak
/// is what the same threads reach with everything in registers. With --json, one object a line.
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
  gal      training step of GAL                                       8 F
  trs      training step of TRS (the published form, Cos-l2)          8 F
  cldl     training step of CLDL (official)                           8 F
  dverge   training step of DVERGE: ten distillation steps, layer 2 (LeNet-5) or 8 (ResNet-20)
  pgd10    ten steps of PGD on the ensemble                          20 F
A training step needs no gradient of the images: the first layer counts one pass less, or two.

Examples:
  cldl bench
  cldl bench --arch resnet20 --only cldl,ce --threads 2 --json";

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
        let subject = Subject::new(self.arch, self.members, self.batch, &device)?;
        let peak = fma_peak();
        let bar = progress::bar(rows.len() as u64, 0, "rows");
        let head = ["step", "seconds", "images/s", "GFLOP/s", "of peak"].map(str::to_owned);
        let mut grid = Grid { head: head.to_vec(), rows: Vec::new() };
        for row in rows {
            bar.set_message(row.name());
            let seconds = self.median(&subject, row)?;
            let gflops = subject.flops(row) / seconds / 1e9;
            let images = self.batch as f64 / seconds;
            if self.json {
                let value = json!({
                    "system": "cldl",
                    "arch": self.arch,
                    "members": self.members,
                    "batch": self.batch,
                    "threads": rayon::current_num_threads(),
                    "what": row.name(),
                    "seconds": seconds,
                    "images_per_second": images,
                    "gflops": gflops,
                    "peak_gflops": peak,
                    "peak_memory_bytes": peak_memory(),
                });
                common::print(true, &value, "")?;
            }
            grid.rows.push(vec![
                row.name().to_owned(),
                format!("{seconds:.4}"),
                format!("{images:.0}"),
                format!("{gflops:.1}"),
                format!("{:.0} %", 100.0 * gflops / peak),
            ]);
            bar.inc(1);
        }
        bar.finish_and_clear();
        if self.json {
            return Ok(());
        }
        let memory = peak_memory()
            .map_or_else(String::new, |bytes| format!(", {} MiB of memory at most", bytes >> 20));
        let notes = format!(
            "{} {}, batch {}, {} threads; peak {peak:.0} GFLOP/s{memory}",
            self.members,
            self.arch,
            self.batch,
            rayon::current_num_threads()
        );
        common::print(false, &(), &grid.text(&notes))
    }

    /// Seconds of one step, after a warm-up.
    fn median(&self, subject: &Subject, row: Row) -> Result<f64> {
        let mut step = subject.step(row)?;
        step()?;
        let mut seconds = Vec::with_capacity(self.repeat);
        for _ in 0..self.repeat {
            let start = Instant::now();
            step()?;
            seconds.push(start.elapsed().as_secs_f64());
        }
        seconds.sort_by(f64::total_cmp);
        Ok(seconds[self.repeat / 2])
    }
}

/// Most memory that this process has had, in bytes, where the system tells.
fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    let kibibytes: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kibibytes * 1024)
}
