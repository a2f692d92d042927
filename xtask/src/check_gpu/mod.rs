//! `cargo xtask check-gpu`: type-checks the workspace, tests included, with the features `cuda` and
//! `metal` on a machine that has neither.
//!
//! Nothing is linked and nothing runs, so of each vendor's tools only what a build script calls is
//! needed: stand-ins that accept every call (`stand_ins/`). What a GPU computes stays unchecked.

use crate::{child, interrupt, workspace};
use anyhow::{Context as _, Result, ensure};
use clap::ValueEnum;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const EXAMPLES: &str = "\
Examples:
  cargo xtask check-gpu                 both features
  cargo xtask check-gpu --only cuda     the one that CI checks";

/// The target that Metal is checked for; a host that is no Mac lacks its frameworks' bindings.
const APPLE: &str = "aarch64-apple-darwin";

/// Arguments of `cargo xtask check-gpu`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Only these features
    #[arg(long, value_enum, value_name = "FEATURE", value_delimiter = ',')]
    only: Vec<Feature>,
}

/// The features that need a GPU to run, and none to be checked.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Feature {
    /// NVIDIA's
    Cuda,
    /// Apple's; needs the standard library of aarch64-apple-darwin, which rustup installs
    Metal,
}

/// Runs the chore.
pub(crate) fn run(args: &Args) -> Result<()> {
    interrupt::watch()?;
    for &feature in Feature::value_variants() {
        if args.only.is_empty() || args.only.contains(&feature) {
            eprintln!("check-gpu: {}", feature.name());
            check(feature)?;
            eprintln!("check-gpu: {} is sound in its types; nothing ran", feature.name());
        }
    }
    Ok(())
}

/// Type-checks the workspace with `feature`.
pub(crate) fn check(feature: Feature) -> Result<()> {
    let folder = workspace::root().join("target/check-gpu");
    let bin = folder.join("bin");
    let mut command = workspace::cargo();
    command
        .args(["check", "--workspace", "--all-targets", "--locked", "--features", feature.name()])
        .env("CARGO_TARGET_DIR", folder.join(format!("target-{}", feature.name())))
        // Else cargo builds the kernels' build script twice.
        .env("CARGO_PROFILE_DEV_BUILD_OVERRIDE_DEBUG", "false");
    match feature {
        Feature::Cuda => cuda(&mut command, &folder, &bin)?,
        Feature::Metal => metal(&mut command, &bin)?,
    }
    let status = child::run(&mut command)?.status;
    ensure!(status.success(), "the workspace does not check with `--features {}`", feature.name());
    Ok(())
}

/// A CUDA toolkit whose compiler writes empty files.
fn cuda(command: &mut Command, folder: &Path, bin: &Path) -> Result<()> {
    stand_in(&bin.join("nvcc"), include_str!("stand_ins/nvcc.sh"))?;
    for variable in ["NVCC", "CUDA_PATH", "CUDA_ROOT", "CUDA_TOOLKIT_ROOT_DIR", "CUDNN_LIB"] {
        command.env_remove(variable);
    }
    let mut path = bin.as_os_str().to_owned();
    path.push(":");
    path.push(std::env::var_os("PATH").unwrap_or_default());
    command.env("CUDA_HOME", folder).env("PATH", path).env("CUDA_COMPUTE_CAP", "80");
    Ok(())
}

/// Apple's standard library from rustup, and a C compiler and an archiver that write empty files: only
/// what Rust sees is checked.
fn metal(command: &mut Command, bin: &Path) -> Result<()> {
    install_apple_std()?;
    let compiler = stand_in(&bin.join("apple-cc"), include_str!("stand_ins/cc.sh"))?;
    let archiver = stand_in(&bin.join("apple-ar"), include_str!("stand_ins/ar.sh"))?;
    let suffix = APPLE.replace('-', "_");
    command
        .args(["--target", APPLE])
        .env(format!("CC_{suffix}"), &compiler)
        .env(format!("CXX_{suffix}"), compiler)
        .env(format!("AR_{suffix}"), archiver)
        .env(format!("RANLIB_{suffix}"), "true")
        .env("SDKROOT", bin);
    Ok(())
}

fn install_apple_std() -> Result<()> {
    let mut rustc = Command::new("rustc");
    rustc.args(["--print", "target-libdir", "--target", APPLE]);
    let ended = child::run(rustc.current_dir(workspace::root()).stdout(Stdio::piped()))?;
    if Path::new(ended.stdout.trim()).is_dir() {
        return Ok(());
    }
    let mut rustup = Command::new("rustup");
    rustup.args(["target", "add", APPLE]).current_dir(workspace::root());
    let advice = || {
        format!("`rustup target add {APPLE}` failed: Metal is checked with its standard library")
    };
    let ended = child::run(&mut rustup).with_context(advice)?;
    ensure!(ended.status.success(), advice());
    Ok(())
}

/// Writes an executable script.
fn stand_in(path: &Path, script: &str) -> Result<PathBuf> {
    let failed = || format!("can't write `{}`", path.display());
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).with_context(failed)?;
    }
    // An unchanged script keeps its time: build scripts look at it.
    if fs::read_to_string(path).is_ok_and(|found| found == script) {
        return Ok(path.to_owned());
    }
    fs::write(path, script).with_context(failed)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).with_context(failed)?;
    }
    Ok(path.to_owned())
}

impl Feature {
    fn name(self) -> &'static str {
        match self {
            Self::Cuda => "cuda",
            Self::Metal => "metal",
        }
    }
}
