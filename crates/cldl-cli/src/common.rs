//! What several commands share: device, threads, data folders, output, stopping.

use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use candle::Device;
use cldl_core::{DeviceChoice, Instructions};
use cldl_data::DataDirs;
use serde::Serialize;

use crate::failure::Usage;

/// Where and with how many threads to compute.
#[derive(clap::Args)]
pub(crate) struct Compute {
    /// Where to compute: `auto`, `cpu`, `cuda` or `metal`
    #[arg(long, default_value = "auto", value_name = "DEVICE")]
    device: DeviceChoice,
    /// Threads to compute with; results do not depend on it [default: all cores, or
    /// RAYON_NUM_THREADS]
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// Instruction set of the CPU kernels: `avx512`, `avx2`, `neon` or `portable`; the last digits of
    /// results depend on it [default: the best of this machine]
    #[arg(long, value_name = "SET")]
    instructions: Option<Instructions>,
}

impl Compute {
    /// Sets the number of threads and the instruction set, and opens the device.
    pub(crate) fn start(&self) -> Result<Device> {
        if let Some(instructions) = self.instructions {
            instructions.choose().map_err(Usage)?;
        }
        // This thread is one of them: from another one, every kernel would begin and end with a thread that
        // sleeps and has to be woken, which takes as long as the small ones.
        let mut pool = rayon::ThreadPoolBuilder::new().use_current_thread();
        if let Some(threads) = self.threads {
            pool = pool.num_threads(threads.max(1));
        }
        pool.build_global().context("can't start the threads")?;
        Ok(self.device.open()?)
    }
}

/// Where the datasets are.
#[derive(clap::Args)]
pub(crate) struct DataDir {
    /// Folder with `mnist/`, `fashion-mnist/` or `cifar-10/` [default: CLDL_DATA_DIR, then
    /// `datasets/`, then where `cldl data fetch` puts them]
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
}

impl DataDir {
    pub(crate) fn dirs(&self) -> DataDirs {
        DataDirs::standard(self.data_dir.as_deref())
    }
}

/// Prints a result: `text` for people, or one JSON object for machines.
pub(crate) fn print(json: bool, value: &impl Serialize, text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    if json {
        serde_json::to_writer(&mut out, value)?;
        writeln!(out)?;
    } else {
        writeln!(out, "{}", text.trim_end())?;
    }
    Ok(())
}

/// Logs to stderr at the level that `-v` asks for, or RUST_LOG.
pub(crate) fn start_logging(verbose: u8) {
    // hf-hub logs as errors what our own line says better.
    let level = ["warn,hf_hub=off", "info", "debug"][usize::from(verbose.min(2))];
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(level));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .without_time()
        .init();
}

static STOP: AtomicBool = AtomicBool::new(false);

/// A signal so soon after the first is the same one, which came by two ways: Slurm's to every process of a
/// job, and our launcher's.
const SAME: Duration = Duration::from_secs(1);

/// From now on Ctrl-C (or SIGTERM) asks the command to end at its next step; a second one ends it.
pub(crate) fn stop_on_interrupt() -> Result<()> {
    let mut first: Option<Instant> = None;
    ctrlc::set_handler(move || {
        STOP.store(true, Ordering::Relaxed);
        if SAME < first.get_or_insert_with(Instant::now).elapsed() {
            std::process::exit(1);
        }
    })
    .context("can't listen for Ctrl-C")
}

/// Whether the command was asked to end.
pub(crate) fn stopping() -> bool {
    STOP.load(Ordering::Relaxed)
}
