//! `cldl status` on a grid whose files are made by hand, as launchers make them.

use std::fs;
use std::path::PathBuf;

use cldl_grid::{Attempt, End, Grid, Holder, How, Kind, Taken, Task, attempt};

use crate::run::Sandbox;

fn task(id: &str, kind: Kind, needs: &[&str]) -> Task {
    Task {
        id: id.to_owned(),
        name: format!("do {id}"),
        kind,
        args: Vec::new(),
        needs: needs.iter().map(|&id| id.to_owned()).collect(),
        seconds: 100.0,
        memory: Some(300 << 20),
        done: false,
        earlier: 0,
    }
}

fn take(sandbox: &Sandbox, id: &str) -> Attempt {
    let folder = sandbox.path(&format!("runs/tasks/{id}"));
    match attempt::take(&folder, &Holder::current()).unwrap() {
        Taken::Ours(attempt) => attempt,
        Taken::Busy(holder) => panic!("held by {}", holder.place()),
    }
}

/// One task that is done, one that runs, one that failed, one that died, two that wait.
fn grid(sandbox: &Sandbox) -> Attempt {
    let train = |run: &str| Kind::Train { run: PathBuf::from("runs").join(run), epochs: 4 };
    let tasks = vec![
        task("a", train("a"), &[]),
        task("b", train("b"), &[]),
        task("c", train("c"), &[]),
        task("d", train("d"), &[]),
        task("e", Kind::Attack, &["a", "b"]),
        task("f", Kind::Attack, &["e"]),
    ];
    let grid = Grid {
        name: "table 4, smoke".to_owned(),
        command: "cargo xtask reproduce --table 4".to_owned(),
        root: PathBuf::from("../.."),
        planned: 0,
        workers: Some(1),
        tasks,
    };
    grid.write(&sandbox.path("results/table4-smoke")).unwrap();
    fs::create_dir_all(sandbox.path("runs/a")).unwrap();
    fs::write(sandbox.path("runs/a/done"), "").unwrap();
    fs::create_dir_all(sandbox.path("runs/b")).unwrap();
    fs::write(sandbox.path("runs/b/metrics.jsonl"), "{}\n{}\n").unwrap();

    let failed = take(sandbox, "c");
    fs::write(failed.log(), "epoch 1\ncldl: the disk is full\n\n").unwrap();
    let end = End { how: How::Failed, seconds: 7.0, memory: None, message: None, idle: 0 };
    failed.end(&end).unwrap();
    let dead = Holder { pid: u32::MAX - 1, ..Holder::current() };
    drop(attempt::take(&sandbox.path("runs/tasks/d"), &dead).unwrap());
    take(sandbox, "b")
}

#[test]
fn tells_what_is_done_running_waiting_and_failed() {
    let sandbox = Sandbox::new();
    let running = grid(&sandbox);
    let status = sandbox.json("status results/table4-smoke --json");
    let states: Vec<&str> = (status["tasks"].as_array().unwrap().iter())
        .map(|task| task["state"].as_str().unwrap())
        .collect();
    assert_eq!(states, ["done", "running", "failed", "failed", "waiting", "waiting"]);
    for (state, count) in [("done", 1), ("running", 1), ("failed", 2), ("waiting", 2)] {
        assert_eq!(status[state], count);
    }
    let (runs, broke, died) = (&status["tasks"][1], &status["tasks"][2], &status["tasks"][3]);
    assert_eq!((&runs["epoch"], &runs["epochs"]), (&2.into(), &4.into()));
    assert!(runs["where"].as_str().unwrap().contains("process"));
    assert_eq!(broke["last_line"], "cldl: the disk is full");
    assert_eq!(broke["again"], "cargo xtask reproduce --table 4");
    assert_eq!(died["last_line"], "it was killed and said nothing");
    // One worker: what is left of b, c and d again, e, f.
    let left = status["seconds_left"].as_f64().unwrap();
    assert!((450.0..=500.0).contains(&left), "{left}");

    let text = sandbox.run("status").stdout;
    assert!(text.starts_with("table 4, smoke (results/table4-smoke): 1 of 6 done, 1 running"));
    assert!(text.contains("it said: cldl: the disk is full"), "{text}");

    running
        .end(&End { how: How::Stopped, seconds: 1.0, memory: None, message: None, idle: 0 })
        .unwrap();
    let text = sandbox.run("status").stdout;
    assert!(
        text.contains("nobody works on it; `cargo xtask reproduce --table 4` goes on"),
        "{text}"
    );
}

#[test]
fn no_grid_is_one_line_and_status_2() {
    let sandbox = Sandbox::new();
    let ran = sandbox.run("status");
    assert_eq!((ran.status, ran.stderr.lines().count()), (2, 1), "{ran:?}");
    fs::create_dir_all(sandbox.path("results/table1-smoke")).unwrap();
    fs::write(sandbox.path("results/table1-smoke/grid.json"), "{\"name\":").unwrap();
    let ran = sandbox.run("status --json");
    assert_eq!((ran.status, ran.stderr.lines().count()), (1, 1), "{ran:?}");
    assert!(ran.stderr.contains("grid.json"), "{ran:?}");
}
