//! `cargo xtask reproduce` from end to end, on a stand-in for `cldl`.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "helpers of tests may panic like tests")]

#[path = "support/sandbox.rs"]
mod sandbox;

use sandbox::{Sandbox, text};
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Output, Stdio};

fn reproduce(root: &Sandbox, args: &[&str]) -> Output {
    root.command(args).output().unwrap()
}

/// The calls of the stand-in since the last time, one a line.
fn calls(root: &Sandbox) -> Vec<String> {
    let path = root.path("calls");
    let calls = fs::read_to_string(&path).unwrap_or_default();
    fs::write(path, "").unwrap();
    calls.lines().map(str::to_owned).collect()
}

fn count(calls: &[String], start: &str) -> usize {
    let dry = start.ends_with("--dry-run");
    let start = start.trim_end_matches(" --dry-run");
    calls.iter().filter(|call| call.starts_with(start) && call.contains("--dry-run") == dry).count()
}

fn request(root: &Sandbox) -> serde_json::Value {
    let text = fs::read_to_string(root.path("results/table4-smoke/request.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

#[test]
fn trains_attacks_and_writes_the_table_and_does_nothing_twice() {
    let root = Sandbox::new();
    let first = reproduce(&root, &["--table", "4"]);
    assert!(first.status.success(), "{}", text(&first.stderr));
    assert_eq!(text(&first.stdout), "the table\n");
    let made = calls(&root);
    // Two surrogates and seven columns.
    // How far each is; then what each takes, but the baseline costs what the surrogate of its size does, and
    // one CLDL what the other does.
    assert_eq!(count(&made, "train --dry-run"), 9 + 7);
    assert_eq!(count(&made, "train"), 9);
    // Four attacks, four eps.
    assert_eq!(count(&made, "eval blackbox"), 16);

    // `cldl_eval::table::Request` is tested on the same file.
    let mut written = request(&root);
    written["wall_seconds"] = 1.5.into();
    let expected: serde_json::Value = serde_json::from_str(include_str!("request.json")).unwrap();
    assert_eq!(written, expected);

    let second = reproduce(&root, &["--table", "4"]);
    assert!(second.status.success());
    let made = calls(&root);
    assert_eq!((count(&made, "train"), count(&made, "eval")), (0, 0));
    assert_eq!(count(&made, "train --dry-run"), 9, "nothing is left to be measured");
}

#[test]
fn calls_are_what_the_contract_says() {
    let root = Sandbox::new();
    assert!(reproduce(&root, &["--table", "4", "--only", "cldl-3-4-4"]).status.success());
    let made = calls(&root);
    let trained = made.iter().filter(|call| call.starts_with("train") && !call.contains("dry"));
    let trained: Vec<&String> = trained.collect();
    assert_eq!(trained.len(), 3);
    assert_eq!(
        trained[2],
        "train --method cldl --dataset mnist --arch lenet5 --members 3 --epochs 2 --batch-size 128 \
         --lr 0.001 --seed 0 --variant paper --runs runs --limit-train 2000 --gamma 3 --alpha 4 \
         --beta 4 --json"
    );
    let attacked: Vec<&String> = made.iter().filter(|call| call.starts_with("eval")).collect();
    assert_eq!(
        attacked[0],
        "eval blackbox runs/cldl-3-4-4-m3-s0-e2 --surrogates runs/baseline-m3-s100-e2 \
         runs/baseline-m5-s100-e2 --attacks bim --eps 0.1 --losses ce cw-official \
         --attack-seeds 3 --steps 10 --examples 200 --store runs/outcomes --json"
    );
    assert_eq!(
        made[made.len() - 2..],
        [
            "table results/table4-smoke/request.json --store runs/outcomes --out results/table4-smoke",
            "report results/table4-smoke --out results/table4-smoke/report.html --pictures \
             results/table4-smoke/pictures --examples 200 --store runs/outcomes --json",
        ]
    );
}

#[test]
fn data_that_was_packed_is_unpacked_once_and_for_all() {
    let root = Sandbox::new();
    fs::write(root.path("packed"), "").unwrap();
    fs::create_dir(root.path("given")).unwrap();
    let given = root.path("given").display().to_string();
    let args = ["--table", "4", "--only", "adp", "--data-dir", &given];
    let output = reproduce(&root, &args);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let made = calls(&root);
    let with_folder: Vec<&String> = made.iter().filter(|call| call.contains(&given)).collect();
    let unpack =
        format!("data unpack mnist --out runs/data --json --data-dir {given} --first 2000");
    assert_eq!(with_folder, [&unpack]);
    let looked = fs::read_to_string(root.path("looked")).unwrap();
    assert!(looked.lines().skip(1).all(|line| line.ends_with(" runs/data/copy")), "{looked}");
}

#[test]
fn a_dry_run_says_what_it_would_do_and_writes_nothing() {
    let root = Sandbox::new();
    let output = reproduce(&root, &["--table", "4", "--dry-run", "--seeds", "2"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let plan = text(&output.stdout);
    assert!(plan.contains("train surrogate, 3 members, seed 100"), "{plan}");
    assert!(plan.contains("train cldl-3-4-4, seed 1"), "{plan}");
    assert!(plan.contains("attack pgd"), "{plan}");
    assert!(plan.contains("total"), "{plan}");
    assert!(!root.path("results").exists() && !root.path("runs").exists());
}

#[test]
fn shared_weights_give_each_seed_its_own_surrogates() {
    let root = Sandbox::new();
    let args = ["--table", "4", "--only", "cldl-3-2-1", "--seeds", "2", "--shared-init"];
    let output = reproduce(&root, &args);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let made = calls(&root);
    // Two sizes and two seeds of surrogates, two targets; sixteen attacks on two groups.
    assert_eq!((count(&made, "train"), count(&made, "eval")), (6, 32));
    assert_eq!(request(&root)["surrogates"][1][0], "runs/baseline-m3-s1-e2");
}

#[test]
fn a_failed_training_leaves_the_table_so_far_and_says_so_in_one_line() {
    let root = Sandbox::new();
    fs::write(root.path("fail-trs"), "").unwrap();
    let output = reproduce(&root, &["--table", "4"]);
    assert_eq!(output.status.code(), Some(1));
    let last = text(&output.stderr).lines().last().unwrap().to_owned();
    assert!(last.starts_with("error: table 4: train trs, seed 0: `cldl train`"), "{last}");
    assert!(root.path("results/table4-smoke/table.json").exists());
    calls(&root);

    fs::remove_file(root.path("fail-trs")).unwrap();
    assert!(reproduce(&root, &["--table", "4"]).status.success());
    assert_eq!(count(&calls(&root), "train"), 4, "five were done before the failure");
}

#[test]
fn ctrl_c_ends_with_one_line_that_says_how_to_go_on() {
    let root = Sandbox::new();
    fs::write(root.path("slow"), "").unwrap();
    let mut command = root.command(&["--table", "4"]);
    let mut child = command.process_group(0).stderr(Stdio::piped()).spawn().unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    while line.trim() != "started" {
        line.clear();
        assert_ne!(stderr.read_line(&mut line).unwrap(), 0, "ended before it trained");
    }
    let kill = format!("kill -INT -{}", child.id());
    assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
    let mut rest = String::new();
    stderr.read_to_string(&mut rest).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(1));
    assert_eq!(
        rest,
        "error: interrupted; `cargo xtask reproduce --table 4 --scale smoke` goes on where it was\n"
    );
    fs::remove_file(root.path("slow")).unwrap();
    let output = reproduce(&root, &["--table", "4", "--dry-run"]);
    assert!(text(&output.stdout).contains("run: goes on"));
}

#[test]
fn wrong_requests_are_one_line_and_exit_code_2() {
    let root = Sandbox::new();
    let output = reproduce(&root, &["--table", "4", "--only", "cdll"]);
    assert_eq!(output.status.code(), Some(2));
    let error = text(&output.stderr);
    assert!(error.starts_with("error: no column `cdll`; there are adp, baseline, cldl-3-2-1"));
    assert_eq!(error.lines().count(), 1);
    for args in [&["--table", "8"][..], &["--table", "4", "--all"], &[]] {
        assert_eq!(reproduce(&root, args).status.code(), Some(2));
    }
}
