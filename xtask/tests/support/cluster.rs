//! A real Slurm of one node, from Debian's packages, for as long as a test runs.
//!
//! Nothing here waits without an end, and the daemons end with the test, whatever ends that.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// Seconds that one of Slurm's commands may take.
const PATIENCE: u64 = 60;
/// Seconds that packages may take, each of two times.
const INSTALL: u64 = 240;

/// A running cluster; its daemons end with it.
pub(crate) struct Cluster {
    folder: tempfile::TempDir,
    /// Ours to end.
    munge: Option<String>,
}

/// Why there can be no cluster here; none if there can.
pub(crate) fn obstacle() -> Option<String> {
    let var = |name: &str| std::env::var(name).unwrap_or_default();
    match (var("CLDL_TEST_SLURM").as_str(), var("CI").as_str()) {
        ("0", _) => return Some("CLDL_TEST_SLURM=0".to_owned()),
        ("", "" | "0" | "false") => {
            let why = "it installs Slurm; CLDL_TEST_SLURM=1 (or `full`), or CI=true, lets it";
            return Some(why.to_owned());
        }
        _ => {}
    }
    if said("id", &["-u"]).as_deref() != Some("0") {
        return Some("it needs root".to_owned());
    }
    let installed = || said("slurmctld", &["-V"]).is_some() && said("munged", &["-V"]).is_some();
    if installed() {
        return None;
    }
    let apt = |args: &[&str]| {
        let mut command = within(INSTALL, "apt-get");
        run(command.env("DEBIAN_FRONTEND", "noninteractive").env("PATH", PATH).args(args))
    };
    let packages = ["install", "-y", "-q", "--no-install-recommends", "slurm-wlm", "munge"];
    if apt(&["update", "-q"]) && apt(&packages) && installed() {
        return None;
    }
    Some("apt-get can't get slurm-wlm and munge here".to_owned())
}

impl Cluster {
    /// Starts the daemons and waits until the node is there.
    pub(crate) fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for name in ["state", "spool"] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        fs::write(folder.path().join("slurm.conf"), conf(folder.path())).unwrap();
        let cluster = Self { folder, munge: start_munge() };
        cluster.watch_over();
        for daemon in ["slurmctld", "slurmd"] {
            assert!(run(cluster.command(daemon).arg("-f").arg(cluster.conf())), "no {daemon}");
        }
        wait("the node is idle", 60, || cluster.said("sinfo", &["-h", "-o", "%T"]) == "idle");
        cluster
    }

    pub(crate) fn conf(&self) -> PathBuf {
        self.folder.path().join("slurm.conf")
    }

    /// One of Slurm's commands, not yet started.
    fn command(&self, program: &str) -> Command {
        let mut command = within(PATIENCE, program);
        command.env("SLURM_CONF", self.conf()).env("PATH", PATH);
        command
    }

    pub(crate) fn said(&self, program: &str, args: &[&str]) -> String {
        let output = self.command(program).args(args).output().unwrap();
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// Ends the daemons should this process be killed, when nothing of it can do so.
    fn watch_over(&self) {
        let folder = self.folder.path().display();
        // The folder is gone where all went well.
        let script = format!(
            "while kill -0 {}; do sleep 1; done; [ -e {folder}/slurm.conf ] || exit; \
             export SLURM_CONF={folder}/slurm.conf; \
             for time in $(seq 30); do [ \"$(timeout 20 squeue -h)\" ] || break; \
             timeout 20 scancel --user=root; sleep 2; done; \
             kill $(cat {folder}/slurmd.pid {folder}/slurmctld.pid) {}; rm -r {folder}",
            std::process::id(),
            self.munge.as_deref().unwrap_or_default().trim()
        );
        let mut shell = Command::new("setsid");
        assert!(run(shell.args(["--fork", "sh", "-c", &script]).env("PATH", PATH)), "no setsid");
    }

    /// `17_3 RUNNING`, a line for each task.
    pub(crate) fn queue(&self) -> Vec<String> {
        self.listed().expect("`squeue` answers")
    }

    fn listed(&self) -> Option<Vec<String>> {
        let output = self.command("squeue").args(["-h", "-r", "-o", "%i %T"]).output().ok()?;
        let lines = String::from_utf8_lossy(&output.stdout);
        output.status.success().then(|| lines.lines().map(str::to_owned).collect())
    }

    /// Starts what Slurm holds back for two minutes after a requeue.
    pub(crate) fn hurry(&self) {
        for line in self.said("squeue", &["-h", "-r", "-t", "PD", "-o", "%A %r"]).lines() {
            if let Some((job, "BeginTime")) = line.split_once(' ') {
                self.said("scontrol", &["update", &format!("JobId={job}"), "StartTime=now"]);
            }
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // Jobs outlive the daemons. One that is told to stop puts itself back: twice is final.
        let begin = Instant::now();
        while self.listed().is_some_and(|queue| !queue.is_empty())
            && begin.elapsed() < Duration::from_mins(1)
        {
            self.said("scancel", &["--user=root"]);
            thread::sleep(Duration::from_secs(1));
        }
        let pid = |name: &str| fs::read_to_string(self.folder.path().join(name)).ok();
        let daemons = [pid("slurmd.pid"), pid("slurmctld.pid"), self.munge.take()];
        for pid in daemons.into_iter().flatten() {
            run(Command::new("kill").arg(pid.trim()));
        }
        // They write into the folder until they are gone.
        thread::sleep(Duration::from_secs(1));
    }
}

/// Waits until `is` holds; panics after so many seconds.
pub(crate) fn wait(what: &str, seconds: u64, mut is: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !is() {
        assert!(
            begin.elapsed() < Duration::from_secs(seconds),
            "after {seconds} s, not yet: {what}"
        );
        thread::sleep(Duration::from_millis(100));
    }
}

fn conf(folder: &Path) -> String {
    let host = said("hostname", &["-s"]).unwrap();
    let cores = thread::available_parallelism().unwrap();
    let folder = folder.display();
    // Ports of its own, so that a cluster that is there already goes on.
    format!(
        "ClusterName=test\nSlurmctldHost={host}(127.0.0.1)\nSlurmctldPort=16817\nSlurmdPort=16818\n\
         AuthType=auth/munge\nMpiDefault=none\nProctrackType=proctrack/pgid\nTaskPlugin=task/none\n\
         ReturnToService=2\nSlurmUser=root\nSwitchType=switch/none\nSchedulerType=sched/backfill\n\
         SchedulerParameters=batch_sched_delay=0,sched_interval=2,bf_interval=1\n\
         SelectType=select/cons_tres\nSelectTypeParameters=CR_Core\n\
         JobAcctGatherType=jobacct_gather/none\nAccountingStorageType=accounting_storage/none\n\
         SlurmctldPidFile={folder}/slurmctld.pid\nSlurmdPidFile={folder}/slurmd.pid\n\
         SlurmctldLogFile={folder}/slurmctld.log\nSlurmdLogFile={folder}/slurmd.log\n\
         SlurmdSpoolDir={folder}/spool\nStateSaveLocation={folder}/state\n\
         NodeName={host} NodeAddr=127.0.0.1 CPUs={cores} RealMemory=4096 State=UNKNOWN\n\
         PartitionName=main Nodes={host} Default=YES MaxTime=INFINITE State=UP\n"
    )
}

/// Its process, if it had to be started.
fn start_munge() -> Option<String> {
    let pid = || fs::read_to_string("/run/munge/munged.pid").ok();
    let lives = |pid: String| Path::new(&format!("/proc/{}", pid.trim())).exists();
    if pid().is_some_and(lives) {
        return None;
    }
    let script =
        "mkdir -p /run/munge && chown munge:munge /run/munge && su -s /bin/sh munge -c munged";
    let mut shell = within(PATIENCE, "sh");
    assert!(run(shell.args(["-c", script]).env("PATH", PATH)), "no munged");
    pid()
}

/// Not every root has `sbin` in it.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

fn said(program: &str, args: &[&str]) -> Option<String> {
    let output = within(PATIENCE, program).env("PATH", PATH).args(args).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn run(command: &mut Command) -> bool {
    let command = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// `program`, not yet started, ended after so many seconds.
fn within(seconds: u64, program: &str) -> Command {
    let mut command = Command::new("timeout");
    command.args(["--kill-after=10", &seconds.to_string(), program]);
    command
}

/// Runs `command` to its end, or for so many seconds.
pub(crate) fn output_within(seconds: u64, command: &Command) -> Output {
    let program = command.get_program().to_string_lossy();
    let mut bounded = within(seconds, &program);
    bounded.args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => bounded.env(name, value),
            None => bounded.env_remove(name),
        };
    }
    bounded.output().unwrap()
}
