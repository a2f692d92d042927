//! `cldl bench --kernels`: every kernel by itself.

use std::time::{Duration, Instant};

use anyhow::Result;
use cldl_core::kernels::{Alone, Pass, lenet5_layers, resnet20_layers};
use cldl_models::Arch;
use serde::Serialize;

use super::turns::{Turns, in_turns};
use super::{Args, conditions, profile};
use crate::common;
use crate::output::Grid;
use crate::progress;

/// How long a kernel is run over and over for one measurement, at least.
const SPAN: Duration = Duration::from_millis(20);

/// What was measured of a layer's pass.
#[derive(Serialize)]
struct Measured {
    system: &'static str,
    arch: Arch,
    layer: String,
    pass: &'static str,
    batch: usize,
    threads: usize,
    seconds: f64,
    gflops: f64,
    peak_gflops: f64,
    /// The most that a run reached of the peak beside it: where a core is another's too, a kernel gets half of
    /// the instructions, and the peak, which needs few of them, hardly falls.
    best_of_peak: f64,
    memory_gbs: f64,
    /// That the pass must read and write at least.
    bytes: u64,
    /// The least seconds that the machine's peak and memory allow.
    limit: f64,
}

/// Measures all kernels of the architecture's layers and prints them.
pub(super) fn run(args: &Args, memory_gbs: f64) -> Result<()> {
    let layers = match args.arch {
        Arch::LeNet5 => lenet5_layers(args.batch),
        Arch::ResNet20 => resnet20_layers(args.batch),
    };
    let bar = progress::bar((layers.len() * Pass::ALL.len()) as u64, 0, "kernels");
    let mut measured = Vec::with_capacity(layers.len() * Pass::ALL.len());
    for layer in layers {
        let mut alone = Alone::new(layer);
        for pass in Pass::ALL {
            bar.set_message(format!("{layer}: {}", pass.name()));
            // To fill caches.
            mean(|| alone.run(pass));
            let turns = in_turns(args.repeat, || Ok(mean(|| alone.run(pass))));
            let Turns { seconds, peak_gflops, best, .. } = turns?;
            let (macs, bytes) = (alone.macs() as u64, 4 * alone.moved() as u64);
            let row = Measured {
                system: "cldl",
                arch: args.arch,
                layer: layer.to_string(),
                pass: pass.name(),
                batch: args.batch,
                threads: rayon::current_num_threads(),
                seconds,
                gflops: 2.0 * macs as f64 / seconds / 1e9,
                peak_gflops,
                best_of_peak: 2.0 * macs as f64 / best.seconds / 1e9 / best.peak_gflops,
                memory_gbs,
                bytes,
                limit: profile::limit(macs, bytes, peak_gflops, memory_gbs),
            };
            if args.json {
                common::print(true, &row, "")?;
            }
            measured.push(row);
            bar.inc(1);
        }
    }
    bar.finish_and_clear();
    if args.json {
        return Ok(());
    }
    common::print(false, &(), &grid(&measured).text(&conditions(memory_gbs)))
}

/// Mean of as many runs as a measurement needs.
fn mean(mut run: impl FnMut()) -> Duration {
    let start = Instant::now();
    let mut runs = 0;
    while start.elapsed() < SPAN {
        run();
        runs += 1;
    }
    start.elapsed() / runs
}

fn grid(rows: &[Measured]) -> Grid {
    let head = ["layer", "pass", "ms", "GFLOP/s", "peak", "of peak", "at best", "MB", "of limit"];
    let cells = |row: &Measured| {
        vec![
            row.layer.clone(),
            row.pass.to_owned(),
            format!("{:.3}", 1e3 * row.seconds),
            format!("{:.1}", row.gflops),
            format!("{:.0}", row.peak_gflops),
            format!("{:.0} %", 100.0 * row.gflops / row.peak_gflops),
            format!("{:.0} %", 100.0 * row.best_of_peak),
            format!("{:.1}", row.bytes as f64 / 1e6),
            format!("{:.0} %", 100.0 * row.limit / row.seconds),
        ]
    };
    Grid { head: head.map(str::to_owned).to_vec(), rows: rows.iter().map(cells).collect() }
}
