//! The plan as a table of text.

use super::args::Settings;
use super::attacks::{self, Slice};
use super::cldl::RunState;
use super::common::Common;
use super::plan::{Plan, Training};

/// The plan: what is run, what is reused, and how long each part is expected to take.
pub(crate) fn plan(plan: &Plan, slices: &[Slice], common: &Common, settings: &Settings) -> String {
    let to_train = plan.to_train();
    let mut lines: Vec<[String; 3]> = Vec::new();
    let mut total = 0.0;
    for (index, training) in plan.trainings.iter().enumerate() {
        let (state, seconds) = state(training, to_train.contains(&index));
        total += seconds.unwrap_or(0.0);
        lines.push([format!("train {}", training.job.name), state, expected(seconds)]);
    }
    for attack in attacks::all(plan) {
        let missing = slices.iter().find(|slice| slice.attack == attack.attack);
        let what = format!("attack {}", attack.attack);
        let Some(missing) = missing else {
            lines.push([what, "reused".to_owned(), String::new()]);
            continue;
        };
        let seconds = (plan.groups().iter())
            .map(|group| attacks::seconds(missing, group, plan, common, settings))
            .sum();
        total += seconds;
        let sets = attacks::sets(&attack.attack, common, settings) * missing.eps.len();
        let surrogates = common.surrogates.members.len();
        let state =
            format!("run: {surrogates} surrogates x {sets} sets, eps {}", list(&missing.eps));
        lines.push([what, state, expected(Some(seconds))]);
    }
    lines.push(["total".to_owned(), String::new(), expected(Some(total))]);
    format!("{}\n{}", header(plan, settings), aligned(&lines))
}

/// `0.1, 0.15`.
pub(crate) fn list(eps: &[f64]) -> String {
    eps.iter().map(f64::to_string).collect::<Vec<_>>().join(", ")
}

/// `bim at eps 0.1, 0.15; pgd at eps 0.2`.
pub(crate) fn slices(slices: &[Slice]) -> String {
    let slice = |slice: &Slice| format!("{} at eps {}", slice.attack, list(&slice.eps));
    slices.iter().map(slice).collect::<Vec<_>>().join("; ")
}

fn header(plan: &Plan, settings: &Settings) -> String {
    let size = &plan.size;
    let images = size.limit_train.map_or("all".to_owned(), |limit| limit.to_string());
    format!(
        "Table {}. {}\nscale {} ({images} training images, {} epochs, {} examples), variant {}, \
         protocol {}, {} seed{}{}\n",
        plan.table.table,
        plan.table.title,
        settings.scale,
        size.epochs,
        size.examples,
        settings.variant,
        settings.protocol,
        settings.seeds,
        if settings.seeds == 1 { "" } else { "s" },
        if settings.shared_init { ", initial weights shared with the surrogates" } else { "" },
    )
}

fn state(training: &Training, wanted: bool) -> (String, Option<f64>) {
    match training.state {
        RunState::Done => (format!("reused: {}", training.run), None),
        _ if !wanted => ("not asked for".to_owned(), None),
        RunState::Partial => ("run: goes on".to_owned(), Some(training.seconds())),
        RunState::New => ("run".to_owned(), Some(training.seconds())),
    }
}

fn expected(seconds: Option<f64>) -> String {
    seconds.map(duration).unwrap_or_default()
}

/// `45 s`, `3 min 20 s`, `2 h 5 min`, `3 days 4 h`.
pub(crate) fn duration(seconds: f64) -> String {
    let seconds = seconds.ceil() as u64;
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        3600..86400 => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
        86400..172_800 => format!("1 day {} h", seconds % 86400 / 3600),
        _ => format!("{} days {} h", seconds / 86400, seconds % 86400 / 3600),
    }
}

/// Columns as wide as they must be; the last one to the right.
pub(crate) fn aligned<const N: usize>(lines: &[[String; N]]) -> String {
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max();
    let widths: [usize; N] = std::array::from_fn(|column| width(column).unwrap_or(0));
    let cell = |(column, text): (usize, &String)| {
        let width = widths[column];
        if column + 1 < N { format!("  {text:<width$}") } else { format!("  {text:>width$}") }
    };
    let line = |cells: &[String; N]| cells.iter().enumerate().map(cell).collect::<String>();
    lines.iter().map(|cells| line(cells).trim_end().to_owned() + "\n").collect()
}

#[cfg(test)]
mod tests {
    use super::{aligned, duration};

    #[test]
    fn durations_are_rounded_up_and_readable() {
        let shown = [0.2, 59.0, 61.0, 7500.0, 90_000.0, 273_600.0].map(duration);
        assert_eq!(shown, ["1 s", "59 s", "1 min 1 s", "2 h 5 min", "1 day 1 h", "3 days 4 h"]);
    }

    #[test]
    fn columns_line_up() {
        let lines =
            [["a", "run", "1 s"], ["long", "reused", ""]].map(|line| line.map(String::from));
        assert_eq!(aligned(&lines), "  a     run     1 s\n  long  reused\n");
    }
}
