//! Children: run to their end, or to ours when somebody presses Ctrl-C.

use crate::interrupt::{self, Interrupted};
use anyhow::{Context as _, Result};
use std::io::Read;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Ctrl-C reaches the child too; this long it may take to save its work.
const GRACE: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(20);

/// How a child ended and what it wrote into the streams that were captured.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Runs `command` to its end. A stream is captured if the command has it piped.
pub(crate) fn run(command: &mut Command) -> Result<Ended> {
    if interrupt::requested() {
        return Err(Interrupted.into());
    }
    let program = command.get_program().to_string_lossy().into_owned();
    let mut child =
        command.stdin(Stdio::null()).spawn().with_context(|| format!("can't run `{program}`"))?;
    let stdout = child.stdout.take().map(read_all);
    let stderr = child.stderr.take().map(read_all);
    let status = wait(&mut child)?;
    if !status.success() {
        // One Ctrl-C for both: the child may be faster than our own notice of it.
        thread::sleep(5 * POLL);
    }
    if interrupt::requested() {
        return Err(Interrupted.into());
    }
    Ok(Ended { status, stdout: collected(stdout), stderr: collected(stderr) })
}

fn wait(child: &mut Child) -> Result<ExitStatus> {
    let mut patience: Option<Instant> = None;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        if interrupt::requested() && GRACE < patience.get_or_insert_with(Instant::now).elapsed() {
            child.kill()?;
        }
        thread::sleep(POLL);
    }
}

fn read_all(mut stream: impl Read + Send + 'static) -> JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        // A stream that breaks ends there; the exit status tells what happened.
        let _ = stream.read_to_end(&mut bytes);
        bytes
    })
}

fn collected(reader: Option<JoinHandle<Vec<u8>>>) -> String {
    let bytes = reader.and_then(|reader| reader.join().ok()).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}
