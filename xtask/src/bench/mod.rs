//! `cargo xtask bench`: `cldl bench`, alone or side by side with PyTorch, and `docs/performance.md`.

mod alone;
mod page;
mod plot;
mod row;

use self::alone::Alone;
use self::page::{Measured, Performance};
use self::row::{Row, median, rows_of};
use crate::reproduce::Cldl;
use crate::{Usage, child, interrupt, scale, workspace};
use anyhow::{Result, ensure};
use cldl_grid::write_whole;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

const EXAMPLES: &str = "\
The comparator is a program that prints a JSON object a line: {\"what\": .., \"seconds\": ..}, and takes --arch,
--members, --batch, --threads, --repeat and --only as `cldl bench` does. Its row `cldl_official`, the form
that the paper's authors published, is set against our `cldl`.

Examples:
  cargo xtask bench
  cargo xtask bench --against pytorch --script pytorch_steps.py --python venv/bin/python --arch resnet20
  cargo xtask bench --out docs/performance.md   both architectures, more members, larger batches, a picture";

/// Measure the steps of `cldl bench`; with --against, alternating with PyTorch, and print the ratios
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// What to compare with: `pytorch`
    #[arg(long, value_name = "NAME")]
    against: Option<String>,
    /// The comparator's program [default: CLDL_PYTORCH_STEPS]
    #[arg(long, value_name = "FILE")]
    script: Option<PathBuf>,
    /// The Python that has torch
    #[arg(long, value_name = "FILE", default_value = "python3")]
    python: PathBuf,
    /// Architecture: `lenet5` or `resnet20`
    #[arg(long, default_value = "lenet5")]
    arch: String,
    /// Number of members
    #[arg(long, default_value_t = 3)]
    members: usize,
    /// Images of a step
    #[arg(long, default_value_t = 128)]
    batch: usize,
    /// Threads of each
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// Instruction set of both: `avx2`, or what `cldl bench --instructions` takes if nothing is compared
    /// [default: the best that there is]
    #[arg(long, value_name = "SET")]
    instructions: Option<String>,
    /// Rows [default: all]
    #[arg(long, num_args = 1.., value_delimiter = ',')]
    only: Vec<String>,
    /// Runs of each row in a round
    #[arg(long, default_value_t = 3)]
    repeat: usize,
    /// Rounds; in each, both are measured one after the other
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Measure both architectures, also with more members and larger batches, and write a page of
    /// Markdown, and beside it the picture
    #[arg(long, value_name = "FILE.md", conflicts_with_all = ["arch", "members", "batch", "only"])]
    out: Option<PathBuf>,
}

/// Members and batches of the scaling, each against the other's default.
const MEMBERS: [usize; 6] = [1, 2, 3, 4, 6, 8];
const BATCHES: [usize; 5] = [32, 64, 128, 256, 512];
/// The steps whose scaling is measured, and the fewest members that each takes.
const SCALED: [(&str, usize); 2] = [("ce", 1), ("cldl", 2)];

/// What holds PyTorch's libraries to AVX2.
const AVX2_ALONE: [(&str, &str); 3] = [
    ("ATEN_CPU_CAPABILITY", "avx2"),
    ("ONEDNN_MAX_CPU_ISA", "AVX2"),
    ("MKL_ENABLE_INSTRUCTIONS", "AVX2"),
];

/// Runs the chore.
pub(crate) fn run(args: &Args) -> Result<()> {
    interrupt::watch()?;
    let cldl = Cldl::build(&workspace::root())?;
    let bench = Bench { cldl: &cldl, script: script(args)?, args };
    if let Some(out) = &args.out {
        return bench.page(out);
    }
    if bench.script.is_none() {
        let ended = child::run(bench.cldl_bench().args(bench.ours(&args.arch)))?;
        ensure!(ended.status.success(), "`cldl bench` failed ({})", ended.status);
        return Ok(());
    }
    let (ours, theirs) = bench.compare(&args.arch, || Ok(()))?;
    println!("{}", bench.conditions(&args.arch));
    print!("{}", page::ratios(&ours, &theirs));
    Ok(())
}

/// The comparator's program, if one is to be run.
fn script(args: &Args) -> Result<Option<PathBuf>> {
    if let (Some(_), Some(set)) = (&args.against, &args.instructions)
        && set != "avx2"
    {
        let hint = "PyTorch's libraries can be held to `avx2` alone";
        return Err(Usage(format!("--instructions {set} with --against: {hint}")).into());
    }
    let from_environment = || std::env::var_os("CLDL_PYTORCH_STEPS").map(PathBuf::from);
    match (args.against.as_deref(), args.script.clone().or_else(from_environment)) {
        (None, _) => Ok(None),
        (Some("pytorch"), Some(script)) => Ok(Some(script)),
        (Some("pytorch"), None) => {
            Err(Usage("--against pytorch needs --script FILE".to_owned()).into())
        }
        (Some(other), _) => Err(Usage(format!("--against `{other}`: expected `pytorch`")).into()),
    }
}

/// Medians of rows by their names.
type Rows = BTreeMap<String, Row>;

struct Bench<'a> {
    cldl: &'a Cldl,
    script: Option<PathBuf>,
    args: &'a Args,
}

impl Bench<'_> {
    /// Everything that the page shows.
    fn page(&self, out: &Path) -> Result<()> {
        let mut architectures = Vec::new();
        for arch in ["lenet5", "resnet20"] {
            let mut small = Vec::new();
            let (ours, theirs) = self.compare(arch, || {
                small.push(self.alone(arch, alone::SMALL, 1)?);
                Ok(())
            })?;
            eprintln!("{arch}: where the time goes");
            let profiled =
                self.rows(&[&self.ours(arch)[..], &["--profile".to_owned()]].concat())?;
            eprintln!("{arch}: its kernels by themselves");
            let Args { members, batch, threads, .. } = *self.args;
            architectures.push(Measured {
                arch,
                conditions: self.conditions(arch),
                ours,
                theirs,
                profiled,
                small: alone::median(small),
                whole: self.alone(arch, batch, threads)?,
                by_members: self.scaled(arch, &MEMBERS.map(|members| (members, batch)))?,
                by_batch: self.scaled(arch, &BATCHES.map(|batch| (members, batch)))?,
            });
        }
        let performance = Performance {
            machine: scale::machine(),
            threads: self.args.threads,
            compared: self.script.is_some(),
            chosen: self.args.instructions.clone(),
            architectures,
        };
        let picture = out.with_extension("svg");
        write_whole(&picture, plot::svg(&performance)?.as_bytes())?;
        let [page, picture] =
            [out, &picture].map(|path| path.file_name().unwrap_or_default().to_string_lossy());
        write_whole(out, page::markdown(&performance, &page, &picture).as_bytes())?;
        eprintln!("written to {}", out.display());
        Ok(())
    }

    /// The steps of [`SCALED`] for these numbers of members and images, each in a process of its own:
    /// so its peak of memory is its own too.
    fn scaled(&self, arch: &str, sizes: &[(usize, usize)]) -> Result<Vec<Row>> {
        let mut rows = Vec::new();
        for (what, fewest) in SCALED {
            for &(members, batch) in sizes.iter().filter(|(members, _)| fewest <= *members) {
                eprintln!("{arch}: {what}, {members} members, batch {batch}");
                let mut args =
                    ["--arch", arch, "--only", what, "--repeat", "3"].map(str::to_owned).to_vec();
                for (flag, n) in
                    [("members", members), ("batch", batch), ("threads", self.args.threads)]
                {
                    args.extend([format!("--{flag}"), n.to_string()]);
                }
                rows.extend(self.rows(&args)?);
            }
        }
        Ok(rows)
    }

    /// Medians of the rounds, ours and the comparator's, who are measured in turns. After each one `also` is
    /// measured.
    fn compare(&self, arch: &str, mut also: impl FnMut() -> Result<()>) -> Result<(Rows, Rows)> {
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        let rounds = self.args.rounds.max(1);
        for round in 1..=rounds {
            eprintln!("{arch}: round {round} of {rounds}");
            if let Some(script) = &self.script {
                let mut command = Command::new(&self.args.python);
                if self.args.instructions.is_some() {
                    command.envs(AVX2_ALONE);
                }
                theirs.extend(rows_of(command.arg(script).args(self.theirs(arch)))?);
            }
            ours.extend(self.rows(&self.ours(arch))?);
            also()?;
        }
        Ok((median(ours), median(theirs)))
    }

    fn rows(&self, args: &[String]) -> Result<Vec<Row>> {
        rows_of(self.cldl_bench().arg("--json").args(args))
    }

    fn cldl_bench(&self) -> Command {
        let mut command = Command::new(&self.cldl.program);
        command.arg("bench");
        if let Some(instructions) = &self.args.instructions {
            command.args(["--instructions", instructions]);
        }
        command
    }

    /// Every kernel by itself.
    fn alone(&self, arch: &str, batch: usize, threads: usize) -> Result<Vec<Alone>> {
        let numbers = [("--batch", batch), ("--threads", threads), ("--repeat", alone::REPEAT)];
        let numbers = numbers.map(|(flag, n)| [flag.to_owned(), n.to_string()]);
        let mut command = self.cldl_bench();
        command.args(["--json", "--kernels", "--arch", arch]);
        rows_of(command.args(numbers.as_flattened()))
    }

    fn conditions(&self, arch: &str) -> String {
        let Args { members, batch, threads, rounds, repeat, .. } = self.args;
        format!(
            "{members} {arch}, batch {batch}, {threads} threads: medians of {rounds} rounds, \
             alternating, each the median of {repeat} runs\n"
        )
    }

    fn common(&self, arch: &str) -> Vec<String> {
        let Args { members, batch, threads, repeat, .. } = self.args;
        let pairs = [
            ("--arch", arch.to_owned()),
            ("--members", members.to_string()),
            ("--batch", batch.to_string()),
            ("--threads", threads.to_string()),
            ("--repeat", repeat.to_string()),
        ];
        pairs.into_iter().flat_map(|(flag, value)| [flag.to_owned(), value]).collect()
    }

    fn ours(&self, arch: &str) -> Vec<String> {
        self.with_rows(arch, |row| row != "cldl_official")
    }

    fn theirs(&self, arch: &str) -> Vec<String> {
        self.with_rows(arch, |row| row != "wait")
    }

    fn with_rows(&self, arch: &str, known: impl Fn(&str) -> bool) -> Vec<String> {
        let mut args = self.common(arch);
        let rows: Vec<String> = self.args.only.iter().filter(|row| known(row)).cloned().collect();
        if !rows.is_empty() {
            args.push("--only".to_owned());
            args.extend(rows);
        }
        args
    }
}
