//! Same seed, same bytes: for any number of threads, and for a run that was killed.

use std::time::{Duration, Instant};

use crate::run::{Sandbox, model};

const TRAINING: &str = "train --method cldl --limit-train 384 --batch-size 64 --epochs 3";

#[test]
fn threads_do_not_change_a_bit() {
    let sandbox = Sandbox::new();
    for threads in [1, 2, 4] {
        let ran = sandbox.run(&format!("{TRAINING} --threads {threads} --out t{threads}"));
        assert_eq!(ran.status, 0, "{ran:?}");
    }
    assert!(model(&sandbox.path("t1")) == model(&sandbox.path("t2")), "1 and 2 threads differ");
    assert!(model(&sandbox.path("t1")) == model(&sandbox.path("t4")), "1 and 4 threads differ");
    let ran = sandbox.run(&format!("{TRAINING} --seed 1 --out other"));
    assert_eq!(ran.status, 0, "{ran:?}");
    assert!(model(&sandbox.path("t1")) != model(&sandbox.path("other")), "seeds must matter");
}

#[test]
fn a_killed_training_goes_on_to_the_same_bytes() {
    let sandbox = Sandbox::new();
    assert_eq!(sandbox.run(&format!("{TRAINING} --out straight")).status, 0);

    let mut child = sandbox.command(&format!("{TRAINING} --out killed")).spawn().unwrap();
    let first = sandbox.path("killed/checkpoint/epoch-0001");
    let start = Instant::now();
    while !first.exists() {
        assert!(start.elapsed() < Duration::from_mins(2), "no checkpoint");
        assert!(child.try_wait().unwrap().is_none(), "ended before it could be killed");
        std::thread::sleep(Duration::from_millis(2));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!sandbox.path("killed/done").exists());

    let again = sandbox.run(&format!("{TRAINING} --out killed --resume"));
    assert_eq!(again.status, 0, "{again:?}");
    assert!(model(&sandbox.path("straight")) == model(&sandbox.path("killed")));
    let metrics = std::fs::read_to_string(sandbox.path("killed/metrics.jsonl")).unwrap();
    assert_eq!(metrics.lines().count(), 3, "{metrics}");
}

#[cfg(unix)]
#[test]
fn an_interrupt_ends_a_training_with_one_line_that_says_how_to_go_on() {
    let sandbox = Sandbox::new();
    let long = "train --method baseline --limit-train 4096 --epochs 50 --out run";
    let child = sandbox.command(long).stderr(std::process::Stdio::piped()).spawn().unwrap();
    let start = Instant::now();
    while !sandbox.path("run/checkpoint/epoch-0001").exists() {
        assert!(start.elapsed() < Duration::from_mins(2), "no checkpoint");
        std::thread::sleep(Duration::from_millis(5));
    }
    let id = child.id().to_string();
    std::process::Command::new("kill").args(["-INT", &id]).status().unwrap();
    let ran = crate::run::Ran::from(child.wait_with_output().unwrap());
    assert_eq!(ran.status, 1, "{ran:?}");
    let last = ran.stderr.lines().last().unwrap();
    assert!(last.contains("run the same command again to go on"), "{last}");
}
