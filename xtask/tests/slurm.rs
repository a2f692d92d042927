//! `cargo xtask reproduce --launcher slurm` on a real Slurm of one node, with the real `cldl`: the table of the
//! local launcher, whatever happens to its tasks on the way.
//!
//! It runs where `CI` is set, and where `CLDL_TEST_SLURM=1` asks for it, as root on Debian: two minutes on two idle
//! cores. `CLDL_TEST_SLURM=full` runs Table 4 at smoke scale as it is, with a task that runs into its time
//! limit: twenty minutes. `CLDL_TEST_SLURM=0` keeps it from running.
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
    use super::cluster::{Cluster, output_within, wait};
    use super::sandbox::{Sandbox, text};
    use serde_json::Value;
    use std::fs;
    use std::path::{Path, PathBuf};
    use std::process::{Command, Output};
    use std::time::Instant;

    /// So small that the whole test takes a minute.
    const TINY: &str = "lenet5 = { limit_train = 256, epochs = 12, examples = 10 }";
    const USUAL: &str = "lenet5 = { limit_train = 2000, epochs = 2, examples = 200 }";
    const RESULTS: &str = "results/table4-smoke";

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
            fewer_attacks(&root.path("package/experiments/table4.toml"));
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
            let seconds = if self.full { 3600 } else { 600 };
            let output = output_within(seconds, &self.command(args));
            assert!(output.status.success(), "{}", text(&output.stderr));
            output
        }

        /// The table without the time that it took.
        fn table(&self) -> String {
            let mut table = self.timeless("table.json");
            // The digest of the request, which holds the time; the rest of that is compared as it is.
            let digest = table["computed_from"].as_object_mut().unwrap().remove("request");
            assert!(digest.is_some_and(|digest| digest.is_string()));
            table["request"] = self.timeless("request.json");
            serde_json::to_string_pretty(&table).unwrap()
        }

        /// A file of the results without its `wall_seconds`.
        fn timeless(&self, file: &str) -> Value {
            let file = fs::read(self.root.path(RESULTS).join(file)).unwrap();
            let mut value: Value = serde_json::from_slice(&file).unwrap();
            let seconds = value.as_object_mut().unwrap().remove("wall_seconds");
            assert!(seconds.is_some_and(|seconds| seconds.is_number()));
            value
        }
    }

    /// Leaves two attacks with two radii.
    fn fewer_attacks(file: &Path) {
        let mut table: toml::Table = fs::read_to_string(file).unwrap().parse().unwrap();
        for attack in ["bim", "mim"] {
            table["attacks"].as_array_mut().unwrap().retain(|name| name.as_str() != Some(attack));
            table["paper"].as_table_mut().unwrap().remove(attack).unwrap();
        }
        table["eps"].as_array_mut().unwrap().truncate(2);
        for (_, lines) in table["paper"].as_table_mut().unwrap().iter_mut() {
            lines.as_array_mut().unwrap().truncate(2);
        }
        fs::write(file, table.to_string()).unwrap();
    }

    /// The binary beside our own.
    fn cldl() -> PathBuf {
        let cldl = Path::new(env!("CARGO_BIN_EXE_xtask")).with_file_name("cldl");
        assert!(cldl.exists(), "no `{}`: build the whole workspace", cldl.display());
        cldl
    }

    pub(super) fn test() {
        let full = std::env::var("CLDL_TEST_SLURM").is_ok_and(|how| how == "full");
        let began = Instant::now();
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

        let seconds = if full { 3600 } else { 600 };
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
        println!("slurm: all held, in {:.0} s", began.elapsed().as_secs_f64());
    }

    /// A training that has begun, and is none of `others`.
    fn begun(cluster: &Cluster, slurm: &Launch, others: &[&String]) -> String {
        let mut found = None;
        wait("a training has begun", 180, || {
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
