//! A real Slurm of one node, from Debian's packages, for as long as a test runs.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// A running cluster; its daemons end with it.
pub(crate) struct Cluster {
    folder: tempfile::TempDir,
    /// Ours to end.
    munge: Option<String>,
}

/// Why there can be no cluster here; none if there can.
pub(crate) fn obstacle() -> Option<String> {
    if std::env::var_os("CLDL_TEST_SLURM").is_none() {
        return Some(
            "it installs packages and takes minutes: set CLDL_TEST_SLURM=1 (or `full`)".to_owned(),
        );
    }
    if said("id", &["-u"]).as_deref() != Some("0") {
        return Some("it needs root".to_owned());
    }
    let installed = || said("slurmctld", &["-V"]).is_some() && said("munged", &["-V"]).is_some();
    if installed() {
        return None;
    }
    let apt = |args: &[&str]| {
        run(Command::new("apt-get").env("DEBIAN_FRONTEND", "noninteractive").args(args))
    };
    let packages = ["install", "-y", "-q", "--no-install-recommends", "slurm-wlm", "munge"];
    if apt(&["update", "-q"]) && apt(&packages) && installed() {
        return None;
    }
    Some("apt-get has no slurm-wlm and munge here".to_owned())
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
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env("SLURM_CONF", self.conf());
        command
    }

    pub(crate) fn said(&self, program: &str, args: &[&str]) -> String {
        let output = self.command(program).args(args).output().unwrap();
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// `17_3 RUNNING`, a line for each task.
    pub(crate) fn queue(&self) -> Vec<String> {
        let queue = self.said("squeue", &["-h", "-r", "-o", "%i %T"]);
        queue.lines().map(str::to_owned).collect()
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
    let path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    assert!(run(Command::new("sh").args(["-c", script]).env("PATH", path)), "no munged");
    pid()
}

fn said(program: &str, args: &[&str]) -> Option<String> {
    let output = Command::new(program).args(args).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn run(command: &mut Command) -> bool {
    let command = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}
