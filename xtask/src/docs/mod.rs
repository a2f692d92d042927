//! `cargo xtask docs`: what the documents show is made by the commands that stand beside it.
//!
//! Blocks of the pages are filled (see [`blocks`]). Beside each `docs/results/*/table.json` lie its report and its
//! curves. Pictures of trained ensembles need their trainings, and are made anew with `--ensembles` alone; what
//! README's two commands print, with `--outputs`.

mod blocks;
mod outputs;

use self::blocks::{answer, filled};
use self::outputs::Output;
use crate::reproduce::Cldl;
use crate::{child, interrupt, workspace};
use anyhow::{Context as _, Result, ensure};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const EXAMPLES: &str = "\
Examples:
  cargo xtask docs               bring the documents up to date
  cargo xtask docs --check       say what is stale, and change nothing
  cargo xtask docs --ensembles   also train and draw the ensembles of docs/pictures, in minutes
  cargo xtask docs --outputs     also run README's two commands, and show what they print";

/// Bring what the documents show up to date: help texts, tables, pictures
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Change nothing; fail if something is stale
    #[arg(long, conflicts_with = "ensembles")]
    check: bool,
    /// Also train the small ensembles of docs/pictures, and draw them
    #[arg(long)]
    ensembles: bool,
    /// Also run README's two commands, or one of them, and keep what they print
    #[arg(long, value_enum, value_name = "COMMAND", num_args = 0.., conflicts_with = "check",
          default_missing_values = ["reproduce", "ci"])]
    outputs: Vec<Output>,
}

/// The ensembles of `docs/pictures`, as they are trained, and what is drawn of both.
const ENSEMBLES: [&str; 2] = [
    "train --method baseline --limit-train 10000 --epochs 4 --out runs/docs-baseline",
    "train --method cldl --limit-train 10000 --epochs 4 --out runs/docs-cldl",
];
const DRAWN: &str = "report runs/docs-baseline runs/docs-cldl --out docs/pictures/report.html \
                     --pictures docs/pictures";

/// Runs the chore.
pub(crate) fn run(args: &Args) -> Result<()> {
    interrupt::watch()?;
    let root = workspace::root();
    let cldl = Cldl::build(&root)?;
    if args.check {
        return check(&cldl);
    }
    for output in &args.outputs {
        output.record(&root.join("docs/output"))?;
        make_anew(&cldl)?;
    }
    make_anew(&cldl)?;
    if args.ensembles {
        for command in ENSEMBLES.iter().chain([&DRAWN]) {
            eprintln!("cldl {command}");
            cldl_says(&cldl, command)?;
        }
    }
    Ok(())
}

fn make_anew(cldl: &Cldl) -> Result<()> {
    for name in update(cldl, false)? {
        eprintln!("made anew: {name}");
    }
    Ok(())
}

/// Fails if something is stale.
pub(crate) fn check(cldl: &Cldl) -> Result<()> {
    let stale = update(cldl, true)?;
    ensure!(stale.is_empty(), "stale, run `cargo xtask docs`: {}", stale.join(", "));
    Ok(())
}

/// Brings everything up to date, or only looks (`check`); returns what was stale.
fn update(cldl: &Cldl, check: bool) -> Result<Vec<String>> {
    let mut stale = Vec::new();
    let mut put = |path: &Path, fresh: &[u8]| {
        if fs::read(path).ok().as_deref() != Some(fresh) {
            stale.push(path.strip_prefix(&cldl.root).unwrap_or(path).display().to_string());
            if !check {
                fs::write(path, fresh)
                    .with_context(|| format!("can't write `{}`", path.display()))?;
            }
        }
        anyhow::Ok(())
    };
    for (path, fresh) in results(cldl)? {
        put(&path, &fresh)?;
    }
    for path in markdown(&cldl.root)? {
        let text = fs::read_to_string(&path)?;
        let made = |command: &str| answer(cldl, command);
        let fresh = filled(&text, made).with_context(|| format!("`{}`", path.display()))?;
        put(&path, fresh.as_bytes())?;
    }
    Ok(stale)
}

/// The report and the curves beside each table of `docs/results`.
fn results(cldl: &Cldl) -> Result<Vec<(PathBuf, Vec<u8>)>> {
    let scratch = std::env::temp_dir().join(format!("cldl-docs-{}", std::process::id()));
    fs::create_dir_all(&scratch)?;
    let mut files = Vec::new();
    for folder in entries(&cldl.root.join("docs/results"))? {
        if !folder.join("table.json").is_file() {
            continue;
        }
        let name = folder.strip_prefix(&cldl.root)?.display().to_string();
        let at = |file: &str| scratch.join(file).display().to_string();
        cldl_says(cldl, &format!("report {name} --out {}", at("report.html")))?;
        cldl_says(cldl, &format!("plot robustness {name} --out {}", at("robustness.svg")))?;
        for file in ["report.html", "robustness.svg", "robustness.csv"] {
            files.push((folder.join(file), fs::read(scratch.join(file))?));
        }
    }
    // A folder that stays behind in the temporary directory harms nobody.
    let _ = fs::remove_dir_all(&scratch);
    Ok(files)
}

fn markdown(root: &Path) -> Result<Vec<PathBuf>> {
    let mut files = [entries(root)?, entries(&root.join("docs"))?].concat();
    files.retain(|path| path.extension().is_some_and(|ending| ending == "md"));
    Ok(files)
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let read =
        fs::read_dir(folder).with_context(|| format!("can't read `{}`", folder.display()))?;
    let mut paths = read.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    paths.sort();
    Ok(paths)
}

/// What `cldl` prints for these arguments.
fn cldl_says(cldl: &Cldl, arguments: &str) -> Result<String> {
    let mut command = Command::new(&cldl.program);
    command.args(arguments.split_whitespace()).current_dir(&cldl.root);
    // The width of a help text.
    command.env("COLUMNS", "100").stdout(Stdio::piped());
    let ended = child::run(&mut command)?;
    ensure!(ended.status.success(), "`cldl {arguments}` failed ({})", ended.status);
    Ok(ended.stdout.lines().map(str::trim_end).collect::<Vec<_>>().join("\n"))
}
