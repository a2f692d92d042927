//! The plan as text and as a page of Markdown.

use super::counts::{self, Count};
use super::{Row, Scale};
use crate::markdown;
use crate::reproduce::{aligned, duration};
use std::fmt::Write as _;
use std::slice::from_ref;

/// What a machine makes of the tasks; the last four for each of [`super::WORKERS`].
const COSTS: [&str; 7] =
    ["core-hours", "disk", "critical path", "1 worker", "8 workers", "64 workers", "512 workers"];

/// For a terminal.
pub(super) fn text(scale: &Scale) -> String {
    let line = |[table, trainings, attacks]: [&str; 3], costs: [String; 7]| -> [String; 10] {
        let mut cells = [table, trainings, attacks].map(str::to_owned).into_iter().chain(costs);
        std::array::from_fn(|_| cells.next().unwrap_or_default())
    };
    let mut lines = vec![line(["table", "trainings", "attacks"], COSTS.map(str::to_owned))];
    for row in &scale.rows {
        let Count { name, trainings, attacks } = &row.count;
        lines.push(line([name, &trainings.to_string(), &attacks.to_string()], costs(row)));
    }
    aligned(&lines)
}

/// For `docs/`. The tasks stand in a block that `cargo xtask docs` counts anew; the rest is measured.
pub(super) fn page(scale: &Scale, picture: &str) -> String {
    let flags = scale.command.trim_start_matches("cargo xtask plan ");
    let counts: Vec<&Count> = scale.rows.iter().map(|row| &row.count).collect();
    let mut text = format!(
        "# How large the grid is\n\n\
         Written by `{} --out docs/scale.md`; nothing here is typed.\n\n\
         ## The tasks\n\n\
         Nothing is there at the beginning, every table counts what it needs, and the last line what all of \
         them need together, once. `cargo xtask docs --check` counts anew.\n\n\
         <!-- made by: tasks {flags} -->\n{}<!-- end -->\n\n\
         ## What they take\n\n\
         A worker is what the steps were measured on: {} cores of a machine that calls itself {}. Wall times \
         are simulated: a worker who is free takes the task that is ready and has the longest chain behind it. \
         No number of workers is faster than the critical path, the longest training and the longest attack \
         that waits for it.\n\n",
        scale.command,
        counts::markdown(&counts),
        scale.cores,
        scale.machine
    );
    text += &markdown::head(&[&["table"], &COSTS[..]].concat());
    for row in &scale.rows {
        markdown::row(&mut text, &[from_ref(&row.count.name), &costs(row)].concat());
    }
    let _ = write!(
        text,
        "\n![Wall time of the whole grid against the number of workers]({picture})\n\n\
         ## What was measured\n\n\
         A step of the training on its batch, and one gradient step of an attack on one image; the peak of \
         memory is that of the process that measured.\n\n"
    );
    text += &markdown::head(&["training", "step, ms", "attack step, ms", "memory, MB"]);
    for step in &scale.steps {
        let memory = step.memory.map_or("-".to_owned(), |bytes| (bytes >> 20).to_string());
        let milli = |seconds: f64| format!("{:.3}", 1000.0 * seconds);
        let cells = [milli(step.step_seconds), milli(step.attack_seconds), memory];
        markdown::row(&mut text, &[from_ref(&step.name), &cells].concat());
    }
    text
}

fn costs(row: &Row) -> [String; 7] {
    let [one, eight, many, most] = row.wall_seconds.map(duration);
    [
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

#[cfg(test)]
mod tests {
    use super::{COSTS, page};
    use crate::scale::counts::{Count, counts};
    use crate::scale::{Row, Scale, WORKERS};

    #[test]
    fn the_page_s_block_is_what_its_command_says() {
        let flags = "--table 4 --scale paper --seeds 5";
        let said = counts(flags).unwrap();
        let cells: Vec<&str> = said.lines().nth(2).unwrap().split(" | ").collect();
        let number = |at: usize| cells[at].parse().unwrap();
        let row = |name: &str| Row {
            count: Count { name: name.to_owned(), trainings: number(1), attacks: number(2) },
            core_hours: 1.0,
            disk_bytes: 1,
            critical_path_seconds: 1.0,
            wall_seconds: [1.0; 4],
        };
        let scale = Scale {
            command: format!("cargo xtask plan {flags}"),
            machine: "a machine".to_owned(),
            cores: 2,
            steps: Vec::new(),
            rows: vec![row("table 4"), row("all")],
            curve: vec![(1, 1.0)],
        };
        let block = format!("<!-- made by: tasks {flags} -->\n{said}<!-- end -->\n");
        let page = page(&scale, "scale.svg");
        assert!(page.contains(&block), "{block} in {page}");
    }

    #[test]
    fn columns_are_the_workers() {
        let named: Vec<String> = WORKERS
            .map(|count| format!("{count} worker{}", if count == 1 { "" } else { "s" }))
            .into();
        assert_eq!(COSTS[3..], named);
    }
}
