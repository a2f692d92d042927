//! Full disks, failing calls, read-only folders, jumping clocks, data that changes: one clear line, and the
//! run goes on afterwards to the same bytes.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::record;
use crate::sandbox::{Ran, Sandbox, TINY, files_below, result_of};
use crate::shim;

const ENOSPC: i32 = 28;
const EIO: i32 = 5;

/// One epoch has calls and checkpoints enough.
fn training() -> String {
    format!("train --method cldl {TINY} --out run").replace("--epochs 3", "--epochs 1")
}

/// After a fault the run is whole and goes on to what it would have been.
fn recovers(sandbox: &Sandbox, expected: &std::collections::BTreeMap<String, Vec<u8>>) {
    let run = sandbox.path("run");
    if run.join("config.toml").exists() {
        sandbox.succeeds("verify run");
    }
    sandbox.succeeds(&training());
    assert!(result_of(&run) == *expected, "the result is another");
    std::fs::remove_dir_all(&run).unwrap();
}

#[cfg(target_os = "linux")]
#[test]
fn calls_that_fail() {
    let sandbox = Sandbox::new();
    sandbox.succeeds(&training());
    let expected = result_of(&sandbox.path("run"));
    std::fs::remove_dir_all(sandbox.path("run")).unwrap();
    let most = if record::thorough() { 30 } else { 5 };
    let mut rows = Vec::new();
    for (call, code, what) in [
        ("write", ENOSPC, "no space left"),
        ("write", EIO, "input/output error"),
        ("fsync", EIO, "input/output error"),
        ("rename", EIO, "input/output error"),
        ("open", EIO, "input/output error"),
    ] {
        let (mut tried, mut complaints) = (0, 0);
        for which in 1..=most {
            // Every call at first, then wider apart.
            let which = if which < 10 { which } else { which * which / 10 };
            let mut command = sandbox.command(&training());
            command.env("LD_PRELOAD", shim::library());
            command.env("CLDL_FAULT", format!("{call}:{which}:{code}"));
            let ran = Ran::of(command.output().unwrap());
            if !ran.stderr.contains("shim: a call failed") {
                // There are no more calls than that.
                assert_eq!(ran.status, Some(0), "{call} {which}: {ran:?}");
                std::fs::remove_dir_all(sandbox.path("run")).unwrap();
                break;
            }
            tried += 1;
            // What is a courtesy, such as who holds the lock, may fail unnoticed.
            if ran.status != Some(0) {
                complaints += 1;
                assert_eq!(ran.status, Some(1), "{call} {which}: {ran:?}");
                let complaint = ran.complaint().to_lowercase();
                assert!(complaint.contains(what) && complaint.contains('`'), "{complaint}");
            }
            recovers(&sandbox, &expected);
        }
        assert!(0 < complaints, "{call} never failed");
        rows.push(
            json!({"what": format!("`{call}` fails: {what}"), "tried": tried, "survived": tried}),
        );
    }

    let mut command = sandbox.command(&training());
    command.env("LD_PRELOAD", shim::library()).env("CLDL_FAULT", "clock");
    let ran = Ran::of(command.output().unwrap());
    assert_eq!(ran.status, Some(0), "{ran:?}");
    assert!(result_of(&sandbox.path("run")) == expected);
    rows.push(json!({"what": "the clock jumps by hours", "tried": 1, "survived": 1}));
    record::keep("faults-calls", &json!(rows));
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_and_a_read_only_one() {
    let sandbox = Sandbox::new();
    let disk = sandbox.path("disk");
    std::fs::create_dir(&disk).unwrap();
    // A checkpoint of two LeNet-5 is 10 MB: one fits, the next does not while the first is there.
    let Some(mount) = Mount::new(&disk, "size=16m") else {
        // Only root can mount; the failing calls above say the same to everybody else.
        let why = json!([{"what": "full disk, read-only disk (not root: skipped)", "tried": 0, "survived": 0}]);
        record::keep("faults-disk", &why);
        return;
    };
    let onto = training().replace("--out run", "--out disk/run");
    sandbox.succeeds(&training());
    let expected = result_of(&sandbox.path("run"));

    let ran = sandbox.run(&onto);
    assert_eq!(ran.status, Some(1), "{ran:?}");
    let complaint = ran.complaint();
    assert!(complaint.contains("No space left") && complaint.contains("disk/run"), "{complaint}");
    sandbox.succeeds("verify disk/run");
    assert!(files_below(&disk.join("run/checkpoint")).len() == 3, "a whole checkpoint is left");

    mount.again("ro");
    let ran = sandbox.run(&onto);
    assert_eq!(ran.status, Some(1), "{ran:?}");
    assert!(ran.complaint().contains("Read-only file system"), "{ran:?}");
    sandbox.succeeds("eval clean disk/run --examples 20");

    mount.again("rw,size=64m");
    sandbox.succeeds(&onto);
    assert!(result_of(&disk.join("run")) == expected, "the result is another");
    let rows = json!([
        {"what": "the disk is full", "tried": 1, "survived": 1},
        {"what": "the disk became read-only", "tried": 1, "survived": 1},
    ]);
    record::keep("faults-disk", &rows);
}

/// A small disk of its own, gone with this value.
struct Mount<'a>(&'a Path);

impl<'a> Mount<'a> {
    fn new(at: &'a Path, options: &str) -> Option<Self> {
        let mut command = Command::new("mount");
        command.args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(at);
        command.output().is_ok_and(|output| output.status.success()).then_some(Self(at))
    }

    fn again(&self, options: &str) {
        let options = format!("remount,{options}");
        assert!(
            Command::new("mount").args(["-o", &options]).arg(self.0).status().unwrap().success()
        );
    }
}

impl Drop for Mount<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0).status();
    }
}

#[test]
fn data_that_changes() {
    let sandbox = Sandbox::new();
    sandbox.succeeds(&training());
    let expected = result_of(&sandbox.path("run"));
    std::fs::remove_dir_all(sandbox.path("run")).unwrap();
    let images = sandbox.path("data/digits/train-images-idx3-ubyte");
    let change = || {
        let mut bytes = std::fs::read(&images).unwrap();
        bytes[1000] ^= 255;
        std::fs::write(&images, bytes).unwrap();
    };

    // Under a training: what it trains on was read at its beginning.
    let mut child = sandbox.command(&training()).spawn().unwrap();
    while !sandbox.path("run/checkpoint").exists() && child.try_wait().unwrap().is_none() {
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    change();
    assert!(child.wait().unwrap().success());
    assert!(result_of(&sandbox.path("run")) == expected);

    // Between two: it does not go on with other data.
    std::fs::remove_file(sandbox.path("run/done")).unwrap();
    let ran = sandbox.run(&training());
    assert_eq!(ran.status, Some(1), "{ran:?}");
    assert!(ran.complaint().contains("`data.sha256` is"), "{ran:?}");
    change();
    sandbox.succeeds(&training());
    assert!(result_of(&sandbox.path("run")) == expected);
    let row = |what: &str| json!({"what": what, "tried": 1, "survived": 1});
    let rows: Value = json!([
        row("a data file changes under a training"),
        row("a data file changes before a training goes on"),
    ]);
    record::keep("faults-data", &rows);
}
