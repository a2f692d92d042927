//! `cargo xtask reproduce --launcher slurm` on a real Slurm of one node, with the real `cldl`: the table of the
//! local launcher, whatever happens to its tasks on the way.
//!
//! `CLDL_TEST_SLURM=1` asks for it. `CLDL_TEST_SLURM=full` runs Table 4 at smoke scale as it is,
//! with a task that runs into its time limit: twenty minutes on two cores.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test without a harness")]

#[cfg(unix)]
#[path = "support/cluster.rs"]
mod cluster;
#[cfg(unix)]
#[path = "support/sandbox.rs"]
mod sandbox;

#[cfg(unix)]
fn main() {
    match cluster::obstacle() {
        Some(why) => println!("slurm: NOT RUN: {why}"),
        None => real::test(),
    }
}

#[cfg(not(unix))]
fn main() {
    println!("slurm: NOT RUN: there is no Slurm here");
}

#[cfg(unix)]
mod real {
    use super::cluster::{Cluster, wait};
    use super::sandbox::{Sandbox, text};
    use serde_json::Value;
    use std::fs;
    use std::path::{Path, PathBuf};
    use std::process::{Command, Output};

    /// So small that the whole test takes a minute.
    const TINY: &str = "lenet5 = { limit_train = 256, epochs = 12, examples = 10 }";
    const USUAL: &str = "lenet5 = { limit_train = 2000, epochs = 2, examples = 200 }";
    const TABLE: &str = "results/table4-smoke/table.json";

    /// The grid of one launcher: a root of its own.
    struct Launch {
        root: Sandbox,
        full: bool,
        conf: Option<PathBuf>,
    }

    impl Launch {
        fn new(full: bool, conf: Option<PathBuf>) -> Self {
            let root = Sandbox::new();
            let common = include_str!("common.toml");
            assert!(common.contains(USUAL));
            root.experiments(&common.replace(USUAL, TINY));
            fs::copy(cldl(), root.path("cldl")).unwrap();
            Self { root, full, conf }
        }

        fn command(&self, args: &[&str]) -> Command {
            let table = ["--table", "4", "--scale", "smoke"];
            let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../datasets");
            let mut command = self.root.command(&[&table[..], args].concat());
            command.arg("--data-dir").arg(data);
            if self.full {
                command.env("CARGO_MANIFEST_DIR", env!("CARGO_MANIFEST_DIR"));
            } else {
                command.args(["--only", "adp"]);
            }
            if let Some(conf) = &self.conf {
                command.args(["--launcher", "slurm"]).env("SLURM_CONF", conf);
            }
            command
        }

        fn run(&self, args: &[&str]) -> Output {
            let output = self.command(args).output().unwrap();
            assert!(output.status.success(), "{}", text(&output.stderr));
            output
        }

        /// The table without the time that it took.
        fn table(&self) -> String {
            let table = fs::read(self.root.path(TABLE)).unwrap();
            let mut table: Value = serde_json::from_slice(&table).unwrap();
            let table_of = table.as_object_mut().unwrap();
            let seconds = table_of.remove("wall_seconds");
            assert!(seconds.is_some_and(|seconds| seconds.is_number()));
            // The request that it answers has the time in it.
            table_of.remove("request").unwrap();
            serde_json::to_string_pretty(&table).unwrap()
        }
    }

    /// The binary beside our own.
    fn cldl() -> PathBuf {
        let cldl = Path::new(env!("CARGO_BIN_EXE_xtask")).with_file_name("cldl");
        assert!(cldl.exists(), "no `{}`: build the whole workspace", cldl.display());
        cldl
    }

    pub(super) fn test() {
        let full = std::env::var("CLDL_TEST_SLURM").is_ok_and(|how| how == "full");
        let cluster = Cluster::start();
        println!("slurm: {}", cluster.said("sinfo", &["--version"]));
        let slurm = Launch::new(full, Some(cluster.conf()));
        slurm.run(&[]);
        let submitted = cluster.queue();
        println!("slurm: {} tasks submitted", submitted.len());

        let killed = begun(&cluster, &slurm, &[]);
        cluster.said("scancel", &["--signal=KILL", &killed]);
        println!("slurm: killed {killed}");
        let stopped = begun(&cluster, &slurm, &[&killed]);
        if full {
            cluster.said("scontrol", &["update", &format!("JobId={stopped}"), "TimeLimit=1"]);
        } else {
            // What Slurm sends before a time limit.
            cluster.said("scancel", &["--signal=TERM", "--batch", &stopped]);
        }
        println!("slurm: {} {stopped}", if full { "gave a minute to" } else { "warned" });

        let seconds = if full { 3600 } else { 300 };
        wait("the queue is empty", seconds, || {
            if full {
                // A minute is little, once it has shown what it was to show.
                let pending = cluster.queue().contains(&format!("{stopped} PENDING"));
                let update = ["update", &format!("JobId={stopped}"), "TimeLimit=10"];
                pending.then(|| cluster.said("scontrol", &update));
            }
            cluster.hurry();
            cluster.queue().is_empty()
        });
        let restarted = requeued(&slurm.root.path("runs/tasks"));
        assert_eq!(restarted.len(), 2, "killed and stopped, and no others: {restarted:?}");
        println!("slurm: requeued and finished: {}", restarted.join(", "));

        let again = slurm.run(&[]);
        assert!(text(&again.stderr).contains("nothing to submit: all is there"));
        assert!(cluster.queue().is_empty());
        println!("slurm: a second submission submits nothing");

        let local = Launch::new(full, None);
        local.run(&[]);
        assert_eq!(slurm.table(), local.table());
        println!("slurm: the same table.json as the local launcher");
    }

    /// A training that has begun, and is none of `others`.
    fn begun(cluster: &Cluster, slurm: &Launch, others: &[&String]) -> String {
        let mut found = None;
        wait("a training has begun", 60, || {
            let queue = cluster.queue();
            let running = queue.iter().filter_map(|line| line.strip_suffix(" RUNNING"));
            let running = running.filter(|job| !others.iter().any(|other| other == job));
            let tasks = fs::read_dir(slurm.root.path("runs/tasks")).unwrap();
            let begun: Vec<String> = tasks
                .map(|task| task.unwrap().path())
                .filter(|task| task.join("attempt-0001.log").exists())
                .filter_map(|task| fs::read_to_string(task.join("job")).ok())
                .map(|job| job.trim().to_owned())
                .collect();
            found = running.map(str::to_owned).find(|job| begun.contains(job));
            found.is_some()
        });
        found.unwrap()
    }

    /// The tasks that were requeued and are done since.
    fn requeued(tasks: &Path) -> Vec<String> {
        let how = |file: PathBuf| {
            let end: Value = serde_json::from_slice(&fs::read(file).ok()?).ok()?;
            end["how"].as_str().map(str::to_owned)
        };
        let mut found = Vec::new();
        for task in fs::read_dir(tasks).unwrap() {
            let task = task.unwrap().path();
            if how(task.join("attempt-0001.end.json")).as_deref() == Some("requeued") {
                assert_eq!(how(task.join("attempt-0002.end.json")).as_deref(), Some("done"));
                found.push(task.file_name().unwrap().to_string_lossy().into_owned());
            }
        }
        found.sort();
        found
    }
}
