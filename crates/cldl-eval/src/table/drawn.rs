//! Whether the report and the pictures beside a table were made of it.
//!
//! A report names the SHA-256 of each table that it shows, and every picture and its numbers one digest of
//! all that went in, which the report names too. What they draw is not read.

use std::path::{Path, PathBuf};

use cldl_core::sums::sha256;
use cldl_core::{Finding, Verdict};

const REPORT: &str = "report.html";
/// Where `cldl report` puts its pictures.
const PICTURES: &str = "pictures";
/// What a picture says before the digest of what it was made of.
const COMPUTED_FROM: &[u8] = b"computed from ";
/// The column of a picture's numbers that has the digest.
const COLUMN: &[u8] = b"computed_from";
/// Digits of a SHA-256.
const DIGITS: usize = 64;

/// Checks what lies beside the file `table` in `folder`; nothing if nothing was drawn.
pub(super) fn findings(folder: &Path, table: &str) -> Vec<Finding> {
    let pictures = pictures(folder);
    let Ok(report) = std::fs::read(folder.join(REPORT)) else {
        let remark = format!("{} without `{REPORT}`, which would say of what", pictures.len());
        let finding = (PICTURES.to_owned(), Verdict::NotChecked(remark));
        return if pictures.is_empty() { Vec::new() } else { vec![finding] };
    };
    let of_this =
        std::fs::read(folder.join(table)).is_ok_and(|t| contains(&report, sha256(&t).as_bytes()));
    let verdict = if of_this {
        Verdict::Ok(format!("shows this {table}"))
    } else {
        Verdict::Wrong(format!("shows another {table}: `cldl report` makes it anew"))
    };
    let mut findings = vec![(REPORT.to_owned(), verdict)];
    if pictures.is_empty() {
        return findings;
    }
    let is_foreign = |path: &&PathBuf| {
        let bytes = std::fs::read(path).unwrap_or_default();
        // A few pictures are made of nothing that has a digest.
        digest(&bytes).is_none_or(|digest| !digest.is_empty() && !contains(&report, digest))
    };
    let verdict = match pictures.iter().find(is_foreign) {
        None => Verdict::Ok(format!("{} of what the report shows", pictures.len())),
        Some(path) => {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            Verdict::Wrong(format!("`{name}` is of something else than the report"))
        }
    };
    findings.push((PICTURES.to_owned(), verdict));
    findings
}

/// The pictures and their numbers, in the folder itself and in its own for them.
fn pictures(folder: &Path) -> Vec<PathBuf> {
    let files = |folder: &Path| -> Vec<PathBuf> {
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).collect()
    };
    let is_picture = |path: &PathBuf| {
        let ending = path.extension().unwrap_or_default();
        let is_table = path.file_stem().is_some_and(|stem| stem == "table");
        !is_table && ["svg", "png", "csv"].iter().any(|known| ending == *known)
    };
    let mut pictures = [files(folder), files(&folder.join(PICTURES))].concat();
    pictures.retain(is_picture);
    pictures.sort();
    pictures
}

/// What a picture says that it was computed from: empty if nothing has a digest, `None` if it does not say.
fn digest(bytes: &[u8]) -> Option<&[u8]> {
    let is_digit = |byte: &u8| byte.is_ascii_hexdigit();
    if let Some(at) = find(bytes, COMPUTED_FROM) {
        let digits = &bytes[at + COMPUTED_FROM.len()..];
        let len = digits.iter().take(DIGITS).take_while(|byte| is_digit(byte)).count();
        return Some(&digits[..len]);
    }
    // The last column of the last line.
    find(bytes, COLUMN)?;
    let line = bytes.trim_ascii_end();
    let start =
        line.len() - line.iter().rev().take(DIGITS).take_while(|byte| is_digit(byte)).count();
    Some(&line[start..])
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    find(bytes, part).is_some()
}

fn find(bytes: &[u8], part: &[u8]) -> Option<usize> {
    bytes.windows(part.len()).position(|window| window == part)
}
