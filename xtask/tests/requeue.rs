//! What a Slurm job does about its time limit, on stand-ins for `cldl` and for `scontrol`.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "helpers of tests may panic like tests")]

#[path = "support/sandbox.rs"]
mod sandbox;

use sandbox::{Sandbox, text};
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// A grid whose tasks take longer than their time limits, which come as soon as they have begun.
struct Limited {
    root: Sandbox,
    restarts: u32,
}

impl Limited {
    fn new() -> Self {
        let root = Sandbox::new();
        for program in ["sbatch", "squeue"] {
            root.program(&format!("bin/{program}"), "#!/bin/sh\necho 41\n");
        }
        root.program("bin/scontrol", "#!/bin/sh\necho \"$*\" >>\"$SANDBOX/scontrol\"\n");
        let mut submit = root.command(&["--table", "4", "--launcher", "slurm"]);
        assert!(Self::here(&root, &mut submit).output().unwrap().status.success());
        fs::write(root.path("slow"), "").unwrap();
        Self { root, restarts: 0 }
    }

    fn here<'a>(root: &Sandbox, command: &'a mut Command) -> &'a mut Command {
        let path = format!("{}:{}", root.path("bin").display(), std::env::var("PATH").unwrap());
        command.env("PATH", path).env("SANDBOX", root.path(""))
    }

    /// The first task whose name begins so.
    fn task(&self, name: &str) -> String {
        let grid = fs::read(self.root.path("results/table4-smoke/grid.json")).unwrap();
        let grid: serde_json::Value = serde_json::from_slice(&grid).unwrap();
        let mut tasks = grid["tasks"].as_array().unwrap().iter();
        let task = tasks.find(|task| task["name"].as_str().unwrap().starts_with(name)).unwrap();
        task["id"].as_str().unwrap().to_owned()
    }

    /// Runs the task as `job`, warned of its time limit once it has begun.
    fn run(&mut self, task: &str, job: &str) -> Output {
        let folder = self.root.path("runs/tasks").join(task);
        let logs = || fs::read_dir(&folder).map_or(0, |files| files.filter(said).count());
        let before = logs();
        let (array, index) = job.split_once('_').unwrap();
        let mut work = Command::new(env!("CARGO_BIN_EXE_xtask"));
        work.arg("work").arg(self.root.path("results/table4-smoke")).arg(task);
        work.arg("--root").arg(self.root.path("")).arg("--cldl").arg(self.root.path("cldl"));
        work.env("SLURM_ARRAY_JOB_ID", array).env("SLURM_ARRAY_TASK_ID", index);
        work.env("SLURM_RESTART_COUNT", self.restarts.to_string());
        work.stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = Self::here(&self.root, &mut work).spawn().unwrap();
        self.restarts += 1;
        let began = Instant::now();
        while logs() == before {
            assert!(began.elapsed() < Duration::from_secs(20), "the task did not begin");
            std::thread::sleep(Duration::from_millis(10));
        }
        terminate(&child);
        child.wait_with_output().unwrap()
    }

    fn requeued(&self) -> usize {
        fs::read_to_string(self.root.path("scontrol")).unwrap_or_default().lines().count()
    }
}

/// Whether a file is the log of a task that has said all that it says.
fn said(file: &std::io::Result<fs::DirEntry>) -> bool {
    let path = file.as_ref().unwrap().path();
    let words = || fs::read_to_string(&path).unwrap_or_default();
    let last = if Path::new(path.parent().unwrap()).join("../../../advance").exists() {
        " 10 % "
    } else {
        "  0 % "
    };
    path.extension().is_some_and(|ending| ending == "log")
        && (words().contains("started") || words().contains(last))
}

fn terminate(child: &Child) {
    let pid = rustix::process::Pid::from_raw(child.id().try_into().unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
}

#[test]
fn a_task_that_does_not_get_ahead_is_requeued_three_times_and_fails_with_a_line() {
    let mut limited = Limited::new();
    for name in ["train adp", "attack fgsm"] {
        let (task, before) = (limited.task(name), limited.requeued());
        for time in 1..=3 {
            let output = limited.run(&task, "41_0");
            assert!(output.status.success(), "{}", text(&output.stderr));
            assert_eq!(limited.requeued(), before + time);
        }
        let output = limited.run(&task, "41_0");
        assert_eq!(output.status.code(), Some(1));
        let said = text(&output.stderr);
        let line = said.lines().next_back().unwrap();
        assert!(line.contains(name), "{line}");
        assert!(line.ends_with(
            ": stopped 4 times in a row before it got ahead: give it a longer time limit (`--time`)"
        ));
        assert_eq!(limited.requeued(), before + 3);
        let log = limited.root.path("runs/tasks").join(&task).join("attempt-0004.log");
        assert!(fs::read_to_string(log).unwrap().contains("stopped 4 times"), "status shows it");
        // Submitted again, it is another job, and has its chances again.
        let output = limited.run(&task, "52_0");
        assert!(output.status.success(), "{}", text(&output.stderr));
    }
}

#[test]
fn a_task_that_gets_ahead_is_requeued_as_often_as_it_takes() {
    let mut limited = Limited::new();
    fs::write(limited.root.path("advance"), "").unwrap();
    for name in ["train adp", "attack fgsm"] {
        let task = limited.task(name);
        for _ in 0..6 {
            let output = limited.run(&task, "41_0");
            assert!(output.status.success(), "{}", text(&output.stderr));
        }
    }
    assert_eq!(limited.requeued(), 12);
}
