//! Killed at random moments, a command that is started again ends with the same bytes.

use std::collections::BTreeMap;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::binary;
use crate::random::Random;
use crate::record;
use crate::sandbox::{Ran, Sandbox, TINY, files_below, result_of};

type Result = BTreeMap<String, Vec<u8>>;

/// A command that is to be killed, and what it leaves when it is not.
struct Victim<'a> {
    command: &'a dyn Fn() -> Command,
    /// What it made, once it is through.
    result: &'a dyn Fn() -> Result,
    /// Must hold after every kill.
    check: &'a dyn Fn(),
    /// Back to the beginning.
    reset: &'a dyn Fn(),
}

/// What came of the kills.
#[derive(Default)]
struct Toll {
    tried: usize,
    survived: usize,
}

impl Victim<'_> {
    /// Kills the command `kills` times, each at a random moment of its life; whenever it comes through, the
    /// result is compared and it starts from the beginning.
    fn kill(&self, name: &str, kills: usize) -> Toll {
        let begin = Instant::now();
        self.finish(name);
        let mut whole = begin.elapsed();
        let expected = (self.result)();
        assert!(!expected.is_empty(), "{name} made nothing");
        (self.reset)();
        let mut random = Random::new(name);
        let (mut toll, mut open) = (Toll::default(), 0);
        while toll.tried < kills || 0 < open {
            if toll.tried == kills {
                self.finish(name);
            } else {
                match self.killed_after(whole.mul_f64(random.uniform()), name) {
                    None => {
                        toll.tried += 1;
                        open += 1;
                        (self.check)();
                        continue;
                    }
                    // The machine is quicker than at first: nobody would ever be killed after this.
                    Some(life) if open == 0 => whole = whole.min(life),
                    // It began where another was killed.
                    Some(_) => {}
                }
            }
            let same = (self.result)() == expected;
            assert!(same, "{name}: after {open} kills the result is another");
            toll.survived += open;
            open = 0;
            (self.reset)();
        }
        toll
    }

    fn finish(&self, name: &str) {
        let output = self.spawn().wait_with_output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{name}: {text}");
    }

    /// Kills it after `delay`; how long it lived, if it came through before.
    fn killed_after(&self, delay: Duration, name: &str) -> Option<Duration> {
        let begin = Instant::now();
        let mut child = self.spawn();
        loop {
            let life = begin.elapsed();
            if let Some(status) = child.try_wait().unwrap() {
                let output = child.wait_with_output().unwrap();
                assert!(status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
                return Some(life);
            }
            if delay <= life {
                break;
            }
            std::thread::sleep(Duration::from_millis(2).min(delay.saturating_sub(life)));
        }
        // The whole group: what a scheduler or a closed lid takes down.
        let group = format!("-{}", child.id());
        assert!(Command::new("kill").args(["-KILL", "--", &group]).status().unwrap().success());
        // It may have come through in the last moment; the result is the same then as well.
        child.wait().unwrap();
        None
    }

    fn spawn(&self) -> std::process::Child {
        let mut command = (self.command)();
        command.process_group(0).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        command.spawn().unwrap()
    }
}

/// Of 100 kills 64 go to trainings, 24 to evaluations and 12 to `reproduce`.
fn share(percent: usize, few: usize) -> usize {
    if record::thorough() { (record::kills() * percent).div_ceil(100) } else { few }
}

fn keep(name: &str, rows: &[(String, Toll)]) {
    let rows: Vec<Value> = rows
        .iter()
        .map(|(what, toll)| json!({"what": what, "tried": toll.tried, "survived": toll.survived}))
        .collect();
    record::keep(name, &json!(rows));
}

#[test]
fn trainings() {
    let methods = [
        "cldl",
        "dverge --distill-steps 2",
        "baseline",
        "adp",
        "gal",
        "trs",
        "adversarial --adv-steps 2",
        "gal --plus-adv --adv-steps 2 --adv-eps 0.1",
    ];
    let methods = if record::thorough() { &methods[..] } else { &methods[..2] };
    let each = share(64, 2 * methods.len()) / methods.len();
    let mut rows = Vec::new();
    for method in methods {
        let sandbox = Sandbox::new();
        let run = sandbox.path("run");
        let arguments = format!("train --method {method} {TINY} --out run");
        let victim = Victim {
            command: &|| sandbox.command(&arguments),
            result: &|| result_of(&run),
            check: &|| {
                // What is on disk can always be loaded.
                if run.join("config.toml").exists() {
                    sandbox.succeeds("verify run");
                }
            },
            reset: &|| std::fs::remove_dir_all(&run).unwrap(),
        };
        let toll = victim.kill(&arguments, each);
        rows.push((format!("`cldl train --method {method}`"), toll));
    }
    keep("kills-train", &rows);
}

#[test]
fn evaluations() {
    let sandbox = Sandbox::new();
    for (name, seed) in [("target", 0), ("surrogate", 1)] {
        sandbox.succeeds(&format!("train --method baseline {TINY} --seed {seed} --out {name}"));
    }
    let store = sandbox.path("outcomes");
    let commands = [
        "eval blackbox target --surrogates surrogate --attacks bim,pgd --eps 0.1,0.2 --examples 50",
        "eval whitebox target --attacks pgd --eps 0.1 --restarts 3 --examples 50",
        "eval transfer target --attacks pgd --eps 0.1 --restarts 2 --examples 20",
    ];
    let each = share(24, 3) / commands.len();
    let mut rows = Vec::new();
    for what in commands {
        let arguments = format!("{what} --store outcomes --json");
        let victim = Victim {
            command: &|| sandbox.command(&arguments),
            // The second time, nothing is computed: what is said comes from the store.
            result: &|| {
                let mut result = files_below(&store);
                let said = sandbox.succeeds(&arguments).stdout;
                result.insert("stdout".to_owned(), said.into_bytes());
                result
            },
            check: &|| {
                if store.is_dir() {
                    sandbox
                        .run("verify outcomes")
                        .status
                        .filter(|s| *s != 1)
                        .expect("a store that is whole");
                }
            },
            reset: &|| std::fs::remove_dir_all(&store).unwrap(),
        };
        rows.push((format!("`cldl {what}`"), victim.kill(&arguments, each)));
    }
    keep("kills-eval", &rows);
}

#[test]
fn reproduce() {
    let sandbox = Sandbox::new();
    let root = sandbox.path("root");
    // A real table takes half a minute: `cargo xtask torture` kills one, an ordinary test a smaller one.
    let package = Path::new(env!("CARGO_MANIFEST_DIR")).join("../xtask");
    let package = if record::thorough() { package } else { small_table(&sandbox, &package) };
    let verify = |what: &str| {
        std::fs::create_dir_all(root.join("runs")).unwrap();
        let mut command = sandbox.command(&format!("verify {what}"));
        Ran::of(command.current_dir(&root).output().unwrap())
    };
    let arguments = "reproduce --table 4 --scale smoke --only adp";
    let victim = Victim {
        command: &|| {
            std::fs::create_dir_all(&root).unwrap();
            let mut command = Command::new(binary::xtask());
            command.args(arguments.split_whitespace()).arg("--root").arg(&root);
            command.arg("--cldl").arg(binary::cldl());
            let datasets = concat!(env!("CARGO_MANIFEST_DIR"), "/../datasets");
            command.env("CLDL_DATA_DIR", datasets).env("RAYON_NUM_THREADS", "2");
            command.env("CARGO_MANIFEST_DIR", &package);
            command
        },
        result: &|| {
            let mut result = files_below(&root.join("runs/outcomes"));
            for entry in std::fs::read_dir(root.join("runs")).unwrap() {
                let run = entry.unwrap().path();
                if run.join("config.toml").exists() {
                    let name = run.file_name().unwrap().to_string_lossy().into_owned();
                    let files = result_of(&run).into_iter();
                    result.extend(files.map(|(file, bytes)| (format!("{name}/{file}"), bytes)));
                }
            }
            let table = std::fs::read(root.join("results/table4-smoke/table.json")).unwrap();
            let mut table: Value = serde_json::from_slice(&table).unwrap();
            table["wall_seconds"].take();
            // The request has the time in it.
            table["computed_from"]["request"].take();
            result.insert("table".to_owned(), table.to_string().into_bytes());
            assert_eq!(verify("runs results").status, Some(0));
            result
        },
        // Whatever is there is whole; at first there may be nothing.
        check: &|| assert_ne!(verify("runs").status, Some(1), "{:?}", verify("runs")),
        reset: &|| std::fs::remove_dir_all(&root).unwrap(),
    };
    let toll = victim.kill(arguments, share(12, 2));
    keep("kills-reproduce", &[(format!("`cargo xtask {arguments}`"), toll)]);
}

/// The experiments of `package` with little in them: one eps, two attacks of two steps, few images.
pub(crate) fn small_table(sandbox: &Sandbox, package: &Path) -> PathBuf {
    let small = sandbox.path("package");
    std::fs::create_dir_all(small.join("experiments")).unwrap();
    let change = |name: &str, change: fn(&mut toml::Table)| {
        let file = |package: &Path| package.join("experiments").join(name);
        let mut experiment = std::fs::read_to_string(file(package)).unwrap().parse().unwrap();
        change(&mut experiment);
        std::fs::write(file(&small), experiment.to_string()).unwrap();
    };
    change("common.toml", |common| {
        common["attack"]["steps"] = 2.into();
        common["scales"]["smoke"]["lenet5"] =
            "{ limit_train = 200, epochs = 1, examples = 10 }".parse().unwrap();
    });
    change("table4.toml", |table| {
        table["eps"] = vec![0.1].into();
        table["attacks"] = vec!["fgsm", "pgd"].into();
        let paper = table["paper"].as_table_mut().unwrap();
        paper.retain(|attack, _| ["fgsm", "pgd"].contains(&attack));
        for (_, rows) in paper.iter_mut() {
            rows.as_array_mut().unwrap().truncate(1);
        }
    });
    small
}

#[test]
fn two_trainings_of_one_run() {
    let sandbox = Sandbox::new();
    let long =
        format!("train --method cldl {TINY} --epochs 4000 --out run").replace("--epochs 3 ", "");
    let mut first = sandbox.command(&long).stderr(Stdio::null()).spawn().unwrap();
    let run = sandbox.path("run");
    wait_for_another_checkpoint(&run, &[]);
    let second = sandbox.run(&long);
    assert_eq!(second.status, Some(1), "{second:?}");
    let complaint = second.complaint();
    assert!(complaint.contains(&format!("held by process {} on", first.id())), "{complaint}");
    first.kill().unwrap();
    first.wait().unwrap();

    // The lock of the dead binds nobody; Ctrl-C saves at the next step, in the middle of an epoch.
    let before = checkpoints(&run);
    let third =
        sandbox.command(&long).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    wait_for_another_checkpoint(&run, &before);
    Command::new("kill").args(["-INT", &third.id().to_string()]).status().unwrap();
    let third = Ran::of(third.wait_with_output().unwrap());
    assert_eq!(third.status, Some(1), "{third:?}");
    let complaint = third.complaint();
    assert!(complaint.contains("run the same command again to go on from `run`"), "{complaint}");
    sandbox.succeeds("verify run");
}

/// The names of the whole checkpoints of a run.
fn checkpoints(run: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(run.join("checkpoint")).into_iter().flatten().flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    names.filter(|name| !name.starts_with('.')).collect()
}

/// Until the run has a checkpoint that is none of `old`.
fn wait_for_another_checkpoint(run: &Path, old: &[String]) {
    let begin = Instant::now();
    while checkpoints(run).iter().all(|name| old.contains(name)) {
        assert!(begin.elapsed() < Duration::from_mins(2), "no checkpoint");
        std::thread::sleep(Duration::from_millis(5));
    }
}
