//! How much memory this process has used.

/// The most memory that this process had resident so far, in bytes; none where the system does not tell.
pub fn peak_bytes() -> Option<u64> {
    peak_in(&std::fs::read_to_string("/proc/self/status").ok()?)
}

/// The peak in the text of Linux's `/proc/<pid>/status`.
fn peak_in(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(1024 * kilobytes)
}

#[cfg(test)]
mod tests {
    use super::peak_in;

    #[test]
    fn reads_linux_s_line() {
        assert_eq!(peak_in("Name:\tcldl\nVmHWM:\t   1234 kB\nVmRSS:\t 1 kB\n"), Some(1_263_616));
        assert_eq!(peak_in("VmHWM: many"), None);
        assert_eq!(peak_in(""), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_process_uses_memory() {
        assert!(super::peak_bytes().unwrap() > 100_000);
    }
}
