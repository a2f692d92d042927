//! `cargo xtask ci`: the one gate, cheapest check first.

use crate::check_gpu::{self, Feature};
use crate::reproduce::Cldl;
use crate::{browser, child, docs, interrupt, tidy, workspace};
use anyhow::{Result, ensure};
use clap::ValueEnum;
use std::time::Instant;

const EXAMPLES: &str = "\
Examples:
  cargo xtask ci                  everything; stops at the first failure
  cargo xtask ci --only test      the tests
  cargo xtask ci --only fmt,tidy  two of the checks";

/// Arguments of `cargo xtask ci`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Only these checks
    #[arg(long, value_enum, value_name = "CHECK", value_delimiter = ',')]
    only: Vec<Check>,
}

/// The checks, in the order they are run.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum Check {
    /// cargo fmt
    Fmt,
    /// The repository's own rules
    Tidy,
    /// cargo clippy, warnings are errors
    Clippy,
    /// cargo test
    Test,
    /// What the documents show is what its commands make now
    Docs,
    /// cargo doc, warnings are errors
    Doc,
    /// cargo check of the binary without the feature `hub`
    Lean,
    /// cargo check with the feature `cuda`, on stand-ins for its tools
    Cuda,
}

/// Runs the chore.
pub(crate) fn run(args: &Args) -> Result<()> {
    interrupt::watch()?;
    let began = Instant::now();
    for &check in Check::value_variants() {
        if args.only.is_empty() || args.only.contains(&check) {
            let began = Instant::now();
            eprintln!("ci: {}", check.name());
            check.run()?;
            eprintln!("ci: {} passed in {:.1} s", check.name(), began.elapsed().as_secs_f64());
        }
    }
    eprintln!("ci: all passed in {:.1} s", began.elapsed().as_secs_f64());
    Ok(())
}

impl Check {
    fn run(self) -> Result<()> {
        let rest: &[&str] = match self {
            Self::Tidy => return tidy::run(&workspace::root()),
            Self::Cuda => return check_gpu::check(Feature::Cuda),
            Self::Docs => return docs::check(&Cldl::build(&workspace::root())?),
            Self::Fmt => &["fmt", "--all", "--check"],
            // All in the profile of the tests: macros and build scripts are then built once.
            Self::Clippy => &[
                "clippy",
                "--release",
                "--workspace",
                "--all-targets",
                "--locked",
                "--",
                "-D",
                "warnings",
            ],
            Self::Test => &["test", "--release", "--workspace", "--locked"],
            Self::Lean => &[
                "check",
                "--release",
                "--package",
                "cldl-cli",
                "--no-default-features",
                "--locked",
            ],
            Self::Doc => &["doc", "--release", "--workspace", "--no-deps", "--locked"],
        };
        if self == Self::Test {
            browser::install();
        }
        let mut command = workspace::cargo();
        command.args(rest);
        if self == Self::Doc {
            command.env("RUSTDOCFLAGS", "-D warnings");
        }
        let status = child::run(&mut command)?.status;
        ensure!(status.success(), "`cargo {}` failed", rest.join(" "));
        Ok(())
    }

    fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }
}
