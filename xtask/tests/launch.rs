//! The launchers of `cargo xtask reproduce`, on stand-ins for `cldl` and for Slurm's commands.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "helpers of tests may panic like tests")]

#[path = "support/sandbox.rs"]
mod sandbox;

use sandbox::{Sandbox, text};
use std::fs;
use std::process::Command;

/// Gives jobs numbers, and notes what it was asked.
const SBATCH: &str = r#"#!/bin/sh
echo "$*" >>"$SANDBOX/sbatch"
count=$(wc -l <"$SANDBOX/sbatch")
echo "$((40 + count))"
"#;
const SQUEUE: &str = "#!/bin/sh\ncat \"$SANDBOX/queue\" 2>/dev/null\nexit 0\n";
const SCANCEL: &str = "#!/bin/sh\necho \"$*\" >>\"$SANDBOX/scancel\"\n";

const SLURM: [&str; 4] = ["--table", "4", "--launcher", "slurm"];

fn cluster() -> Sandbox {
    let root = Sandbox::new();
    for (name, script) in [("sbatch", SBATCH), ("squeue", SQUEUE), ("scancel", SCANCEL)] {
        root.program(&format!("bin/{name}"), script);
    }
    root
}

fn reproduce(root: &Sandbox, args: &[&str]) -> (Option<i32>, String, String) {
    let path = format!("{}:{}", root.path("bin").display(), std::env::var("PATH").unwrap());
    let mut command = root.command(args);
    let output = command.env("PATH", path).env("SANDBOX", root.path("")).output().unwrap();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

fn lines(root: &Sandbox, file: &str) -> Vec<String> {
    let text = fs::read_to_string(root.path(file)).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

/// Runs a task of a submitted script, as Slurm would.
fn run_job(root: &Sandbox, script: &str, index: usize) {
    let mut job = Command::new("sh");
    job.arg(root.path(&format!("results/table4-smoke/slurm/{script}.sbatch")));
    job.env("SLURM_ARRAY_TASK_ID", index.to_string()).env("SLURM_CPUS_PER_TASK", "1");
    let output = job.current_dir(root.path("")).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
}

#[test]
fn a_grid_is_submitted_as_arrays_and_run_by_their_scripts() {
    let root = cluster();
    let (code, _, told) = reproduce(&root, &SLURM);
    assert_eq!(code, Some(0), "{told}");
    let asked = lines(&root, "sbatch");
    let scripts: Vec<&str> = asked.iter().map(|line| line.rsplit('/').next().unwrap()).collect();
    assert_eq!(scripts, ["1-train.sbatch", "2-attack.sbatch", "3-table.sbatch"]);
    let each = |job: u32, tasks: u32| (0..tasks).map(move |index| format!(":{job}_{index}"));
    let trainings: String = each(41, 9).collect();
    let option = format!("--dependency=afterok{trainings} --kill-on-invalid-dep=yes");
    assert!(asked[1].contains(&option), "{}", asked[1]);
    let attacks: String = each(42, 16).collect();
    let option = format!("--dependency=afterok{trainings}{attacks} ");
    assert!(asked[2].contains(&option), "{}", asked[2]);
    let script =
        fs::read_to_string(root.path("results/table4-smoke/slurm/1-train.sbatch")).unwrap();
    for option in ["--array=0-8\n", "--requeue", "--signal=B:TERM@60", "--time=0-00:10:00\n"] {
        assert!(script.contains(option), "{option} in {script}");
    }

    // All of it waits in Slurm: nothing is submitted twice.
    let waiting = (0..9).map(|index| format!("41_{index} PENDING"));
    let waiting = waiting.chain((0..16).map(|index| format!("42_{index} PENDING")));
    let waiting: Vec<String> = waiting.chain(["43_0 PENDING".to_owned()]).collect();
    fs::write(root.path("queue"), waiting.join("\n") + "\n").unwrap();
    let (code, _, told) = reproduce(&root, &SLURM);
    assert_eq!(code, Some(0), "{told}");
    assert!(told.contains("nothing to submit: what is not there is queued"), "{told}");
    assert_eq!(lines(&root, "sbatch").len(), 3);

    fs::write(root.path("queue"), "").unwrap();
    (0..9).for_each(|index| run_job(&root, "1-train", index));
    (0..16).for_each(|index| run_job(&root, "2-attack", index));
    run_job(&root, "3-table", 0);
    assert!(root.path("results/table4-smoke/table.json").exists());

    let (code, table, told) = reproduce(&root, &SLURM);
    assert_eq!((code, table.as_str()), (Some(0), "the table\n"), "{told}");
    assert!(told.contains("nothing to submit: all is there"), "{told}");
    assert_eq!(lines(&root, "sbatch").len(), 3);
}

#[test]
fn what_is_lost_is_submitted_again_after_what_is_queued() {
    let root = cluster();
    assert_eq!(reproduce(&root, &SLURM).0, Some(0));
    (0..9).filter(|&index| index != 4).for_each(|index| run_job(&root, "1-train", index));
    // The fifth training still runs; all that waited for it is gone.
    fs::write(root.path("queue"), "41_4 RUNNING\n").unwrap();
    let (code, _, told) = reproduce(&root, &SLURM);
    assert_eq!(code, Some(0), "{told}");
    let asked = lines(&root, "sbatch");
    assert_eq!(asked.len(), 5, "{asked:?}");
    assert!(asked[3].contains("--dependency=afterok:41_4 "), "{}", asked[3]);
    assert!(asked[4].contains("--dependency=afterok:41_4:44_0:44_1"), "{}", asked[4]);
}

#[test]
fn a_profile_and_flags_are_in_the_script_and_a_dry_run_submits_nothing() {
    let root = cluster();
    let profile = "partition = \"long\"\nmax_parallel = 8\nsbatch = [\"--constraint=avx512\"]\n";
    fs::write(root.path("cluster.toml"), profile).unwrap();
    let file = root.path("cluster.toml").display().to_string();
    let args = ["--profile", &file, "--gres", "gpu:1", "--time", "8:00:00", "--dry-run"];
    let (code, shown, told) = reproduce(&root, &[&SLURM[..], &args[..]].concat());
    assert_eq!(code, Some(0), "{told}");
    for option in [
        "--partition=long\n",
        "--array=0-8%8\n",
        "--constraint=avx512\n",
        "--gres=gpu:1\n",
        "--time=8:00:00\n",
        "--mem=1G\n",
        "# Expected: 1 min 1 s and 286 MB a task, at most.\n",
        "--dependency=afterok:<1-train>_0:<1-train>_1:",
    ] {
        assert!(shown.contains(option), "{option} in {shown}");
    }
    assert_eq!(lines(&root, "sbatch").len(), 0);
    assert!(!root.path("results").exists() && !root.path("runs").exists());
}

#[test]
fn a_cancelled_grid_leaves_the_queue() {
    let root = cluster();
    assert_eq!(reproduce(&root, &SLURM).0, Some(0));
    fs::write(root.path("queue"), "41_8 RUNNING\n42_0 PENDING\n").unwrap();
    let (code, told, _) = reproduce(&root, &[&SLURM[..], &["--cancel"]].concat());
    assert_eq!((code, told.as_str()), (Some(0), "cancelled 2 jobs of table 4, smoke\n"));
    let cancelled = &lines(&root, "scancel")[0];
    assert!(cancelled.contains("41_8") && cancelled.contains("42_0"), "{cancelled}");
}

#[test]
fn several_jobs_at_a_time_make_the_same_calls() {
    let calls = |jobs: &str| {
        let root = Sandbox::new();
        let output = root.command(&["--table", "4", "--jobs", jobs]).output().unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
        let calls = lines(&root, "calls").into_iter();
        let mut calls: Vec<String> = calls
            .filter(|call| !call.contains("--dry-run") && !call.starts_with("table"))
            .collect();
        calls.sort();
        calls
    };
    assert_eq!(calls("1"), calls("3"));
}

#[test]
fn two_launchers_at_once_share_the_work() {
    let root = Sandbox::new();
    let start = || root.command(&["--table", "4"]).spawn().unwrap();
    let both = [start(), start()];
    for mut child in both {
        assert!(child.wait().unwrap().success());
    }
    assert!(root.path("results/table4-smoke/table.json").exists());
}

#[test]
fn flags_of_the_other_launcher_are_refused() {
    let root = Sandbox::new();
    for args in [
        &["--table", "4", "--partition", "long"][..],
        &["--table", "4", "--cancel"],
        &["--table", "4", "--launcher", "slurm", "--jobs", "2"],
        &["--table", "4", "--launcher", "slurm", "--profile", "nowhere.toml"],
    ] {
        let output = root.command(args).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{args:?}: {}", text(&output.stderr));
        assert_eq!(text(&output.stderr).lines().count(), 1);
    }
}
