//! What every form of the table says about it, in words.

use super::{Cell, Check, Table, agreement, checks};

/// Title.
pub(crate) fn title(table: &Table) -> String {
    format!("Table {}. {}", table.table, table.title)
}

/// How it was made: scale, variant, protocol, seeds, examples, time, command, digest.
pub fn facts(table: &Table) -> Vec<String> {
    let images = table.limit_train.map_or("all".to_owned(), |limit| limit.to_string());
    // The standard error of a share is largest at one half: 100 · √(1/4n).
    let error = 50.0 / (table.examples.max(1) as f64).sqrt();
    let weights = if table.shared_init { "the target's" } else { "their own" };
    let mut facts = vec![
        format!(
            "variant {}, protocol {}, seeds {}, {} examples (one standard error is up to {error:.1} points)",
            table.variant,
            table.protocol,
            numbers(&table.seeds),
            table.examples
        ),
        format!("scale {}: {images} training images, {} epochs", table.scale, table.epochs),
        format!(
            "attacks: {} steps of eps/5 (fgsm: one of eps), losses {}, {} random starts of pgd; surrogates \
             with {weights} initial weights",
            table.steps,
            table.losses.join(" and "),
            table.attack_seeds
        ),
        format!("wall time {}, by `{}`", duration(table.wall_seconds), table.command),
    ];
    if let Some(sources) = &table.computed_from {
        facts.push(format!("computed from {}, named in table.json", sources.digest()));
    }
    let not_run = table.columns.iter().filter(|column| column.runs.is_none());
    let not_run: Vec<String> = not_run
        .map(|column| match &column.why {
            Some(why) => format!("{} ({why})", column.key),
            None => column.key.clone(),
        })
        .collect();
    if !not_run.is_empty() {
        facts.push(format!("not run: {}", not_run.join(", ")));
    }
    let mut cells = table.rows.iter().flat_map(|row| &row.cells);
    if cells.any(|(_, cell)| cell.undefined) {
        facts.push(format!("{UNDEFINED}: no image was right before the attack"));
    }
    facts
}

/// How well it agrees with the paper: ranks, then the shape.
pub fn findings(table: &Table) -> Vec<String> {
    let agreement = agreement(table);
    let compared = agreement.rows.iter().flatten().count();
    let tau = agreement.mean.map_or("nothing to compare yet".to_owned(), |mean| {
        format!("{mean:.2}, mean over {compared} rows")
    });
    let tau = format!("Kendall's tau between our columns and the paper's: {tau}");
    std::iter::once(tau).chain(checks(table).iter().map(finding)).collect()
}

fn finding(check: &Check) -> String {
    let verdict = match check.holds {
        Some(true) => "holds",
        Some(false) => "does not hold",
        None => "not known yet",
    };
    let (ours, paper) = (check.ours, check.paper);
    format!(
        "{verdict}: {} (ours {} of {}, paper {} of {})",
        check.claim, ours.held, ours.of, paper.held, paper.of
    )
}

/// What a cell says where no image was right before the attack.
pub(crate) const UNDEFINED: &str = "0 of 0";

/// Our number of a cell as printed.
pub(crate) fn printed_cell(cell: &Cell) -> String {
    if cell.undefined { UNDEFINED.to_owned() } else { printed(cell.ours, cell.std) }
}

/// Ours as printed, with its deviation if it has one.
pub(crate) fn printed(ours: Option<f64>, std: Option<f64>) -> String {
    match (ours, std) {
        (None, _) => "not run".to_owned(),
        (Some(ours), None) => format!("{ours:.2}"),
        (Some(ours), Some(std)) => format!("{ours:.2} ± {std:.2}"),
    }
}

/// The paper's number and the difference: `94.48, -2.17`; empty if the paper has none.
pub(crate) fn beside(cell: &Cell) -> String {
    match (cell.paper, cell.difference) {
        (None, _) => String::new(),
        (Some(paper), None) => format!("{paper:.2}"),
        (Some(paper), Some(difference)) => format!("{paper:.2}, {difference:+.2}"),
    }
}

/// `0, 1, 2`.
pub(crate) fn numbers(seeds: &[u64]) -> String {
    seeds.iter().map(u64::to_string).collect::<Vec<_>>().join(", ")
}

/// A heading and its subscript.
pub(crate) fn subscript(label: &str) -> (&str, Option<&str>) {
    label.split_once('_').map_or((label, None), |(stem, below)| (stem, Some(below)))
}

fn duration(seconds: f64) -> String {
    let seconds = seconds.round() as u64;
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::{beside, duration, facts, findings, printed};
    use crate::table::{Cell, fixture};

    #[test]
    fn facts_say_how_the_table_was_made() {
        let expected = [
            "variant paper, protocol official, seeds 0, 200 examples (one standard error is up to 3.5 points)",
            "scale smoke: 2000 training images, 2 epochs",
            "attacks: 10 steps of eps/5 (fgsm: one of eps), losses ce and cw-official, 3 random starts of \
             pgd; surrogates with their own initial weights",
            "wall time 1 min 23 s, by `cargo xtask reproduce --table 4 --scale smoke`",
            "not run: gal (not asked for)",
        ];
        assert_eq!(facts(&fixture::table()), expected);
    }

    #[test]
    fn findings_say_what_holds() {
        let expected = [
            "Kendall's tau between our columns and the paper's: 1.00, mean over 3 rows",
            "holds: pgd is the strongest attack (ours 4 of 4, paper 4 of 4)",
            "holds: fgsm is the weakest attack (ours 4 of 4, paper 4 of 4)",
            "holds: accuracy falls as eps grows (ours 4 of 4, paper 4 of 4)",
            "does not hold: a CLDL column is ahead of every other method (ours 3 of 4, paper 4 of 4)",
        ];
        assert_eq!(findings(&fixture::table()), expected);
    }

    #[test]
    fn numbers_have_two_decimals_and_differences_a_sign() {
        assert_eq!(printed(Some(65.8), None), "65.80");
        assert_eq!(printed(Some(65.8), Some(0.456)), "65.80 ± 0.46");
        assert_eq!(printed(None, None), "not run");
        assert_eq!(beside(&Cell::new(&[65.8], Some(65.8))), "65.80, +0.00");
        assert_eq!(beside(&Cell::new(&[], Some(65.8))), "65.80");
        assert_eq!(beside(&Cell::new(&[1.0], None)), "");
    }

    #[test]
    fn durations() {
        assert_eq!([12.3, 125.0, 7500.0].map(duration), ["12 s", "2 min 5 s", "2 h 5 min"]);
    }
}
