//! The plan as text and as a page of Markdown.

use super::{Row, Scale, WORKERS};
use crate::reproduce::{aligned, duration};
use std::fmt::Write as _;

const HEAD: [&str; 9] = [
    "table",
    "trainings",
    "attacks",
    "core-hours",
    "disk",
    "critical path",
    "1 worker",
    "8 workers",
    "64 workers",
];

/// For a terminal.
pub(super) fn text(scale: &Scale) -> String {
    let lines = std::iter::once(head()).chain(scale.rows.iter().map(cells));
    aligned(&lines.collect::<Vec<_>>())
}

/// For `docs/`.
pub(super) fn markdown(scale: &Scale, picture: &str) -> String {
    let mut text = format!(
        "# How large the grid is\n\n\
         Written by `{} --out docs/scale.md`; nothing here is typed.\n\n\
         A worker is what the steps were measured on: {} cores of a machine that calls itself {}. Nothing \
         is there at the beginning, every table counts what it needs, and the last line what all of them \
         need together, once. Wall times are simulated: a worker who is free takes the task that is ready \
         and has the longest chain behind it. No number of workers is faster than the critical path, the \
         longest training and the longest attack that waits for it.\n\n",
        scale.command, scale.cores, scale.machine
    );
    row(&mut text, &head());
    row(
        &mut text,
        &["---", "--:", "--:", "--:", "--:", "--:", "--:", "--:", "--:", "--:"].map(str::to_owned),
    );
    scale.rows.iter().for_each(|line| row(&mut text, &cells(line)));
    let _ = write!(
        text,
        "\n![Wall time of the whole grid against the number of workers]({picture})\n\n\
         ## What was measured\n\n\
         A step of the training on its batch, and one gradient step of an attack on one image; the peak of \
         memory is that of the process that measured.\n\n"
    );
    row(&mut text, &["training", "step, ms", "attack step, ms", "memory, MB"].map(str::to_owned));
    row(&mut text, &["---", "--:", "--:", "--:"].map(str::to_owned));
    for step in &scale.steps {
        let memory = step.memory.map_or("-".to_owned(), |bytes| (bytes >> 20).to_string());
        let milli = |seconds: f64| format!("{:.3}", 1000.0 * seconds);
        row(
            &mut text,
            &[step.name.clone(), milli(step.step_seconds), milli(step.attack_seconds), memory],
        );
    }
    text
}

fn head() -> [String; 10] {
    let workers = format!("{} workers", WORKERS[3]);
    std::array::from_fn(|at| HEAD.get(at).map_or(workers.clone(), |&name| name.to_owned()))
}

fn cells(row: &Row) -> [String; 10] {
    let [one, eight, many, most] = row.wall_seconds.map(duration);
    [
        row.name.clone(),
        row.trainings.to_string(),
        row.attacks.to_string(),
        format!("{:.1}", row.core_hours),
        size(row.disk_bytes),
        duration(row.critical_path_seconds),
        one,
        eight,
        many,
        most,
    ]
}

fn size(bytes: u64) -> String {
    match bytes {
        0..10_000_000_000 => format!("{} MB", bytes.div_ceil(1_000_000)),
        _ => format!("{} GB", bytes.div_ceil(1_000_000_000)),
    }
}

fn row(text: &mut String, cells: &[String]) {
    // Writing to a string can't fail.
    let _ = writeln!(text, "| {} |", cells.join(" | "));
}
