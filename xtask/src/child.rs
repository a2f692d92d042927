//! Children: run to their end, or to ours when somebody presses Ctrl-C.

use crate::interrupt::{self, Interrupted};
use anyhow::{Context as _, Result};
use std::io::{BufRead as _, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// This long a child may take to save its work.
const GRACE: Duration = Duration::from_secs(45);
const POLL: Duration = Duration::from_millis(20);
/// Polls between two looks at the memory.
const POLLS: u32 = 5;

/// How a child ended and what it wrote into the streams that were captured.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    /// Peak of its memory in bytes, where the system tells.
    pub(crate) memory: Option<u64>,
}

/// Runs `command` to its end. A stream is captured if the command has it piped.
pub(crate) fn run(command: &mut Command) -> Result<Ended> {
    end(command, |_| {})
}

/// As [`run`]; each line that the child writes to stderr is captured and handed to `line`.
pub(crate) fn watch(
    command: &mut Command,
    line: impl FnMut(&str) + Send + 'static,
) -> Result<Ended> {
    end(command.stderr(Stdio::piped()), line)
}

fn end(command: &mut Command, line: impl FnMut(&str) + Send + 'static) -> Result<Ended> {
    if interrupt::requested() {
        return Err(Interrupted.into());
    }
    let program = command.get_program().to_string_lossy().into_owned();
    // A group of its own: Ctrl-C reaches us alone, and we hand it on, whoever it came from.
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(command, 0);
    let mut child =
        command.stdin(Stdio::null()).spawn().with_context(|| format!("can't run `{program}`"))?;
    let stdout = child.stdout.take().map(read_all);
    let stderr = child.stderr.take().map(|stream| read_lines(stream, line));
    let (status, memory) = wait(&mut child)?;
    let (stdout, stderr) = (collected(stdout), collected(stderr));
    if interrupt::requested() {
        return Err(Interrupted.into());
    }
    Ok(Ended { status, stdout, stderr, memory })
}

fn wait(child: &mut Child) -> Result<(ExitStatus, Option<u64>)> {
    let mut patience: Option<Instant> = None;
    let mut told = 0;
    let mut memory = None;
    let mut poll = 0;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok((status, memory));
        }
        if poll == 0 {
            memory = memory.max(peak_memory(child.id()));
        }
        if told < interrupt::requests() {
            told += 1;
            interrupt::hand_on(child);
        }
        if interrupt::requested() && GRACE < patience.get_or_insert_with(Instant::now).elapsed() {
            child.kill()?;
        }
        thread::sleep(POLL);
        poll = (poll + 1) % POLLS;
    }
}

/// Linux tells; elsewhere nobody knows.
fn peak_memory(process: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(1024 * peak.trim().trim_end_matches(" kB").parse::<u64>().ok()?)
}

fn read_all(mut stream: impl Read + Send + 'static) -> JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        // A stream that breaks ends there; the exit status tells what happened.
        let _ = stream.read_to_end(&mut bytes);
        bytes
    })
}

fn read_lines(
    stream: impl Read + Send + 'static,
    mut line: impl FnMut(&str) + Send + 'static,
) -> JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        for text in BufReader::new(stream).split(b'\n').map_while(Result::ok) {
            line(&String::from_utf8_lossy(&text));
            bytes.extend_from_slice(&text);
            bytes.push(b'\n');
        }
        bytes
    })
}

fn collected(reader: Option<JoinHandle<Vec<u8>>>) -> String {
    let bytes = reader.and_then(|reader| reader.join().ok()).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}
