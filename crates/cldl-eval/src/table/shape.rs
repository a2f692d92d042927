//! The shape of the paper's tables, as claims that are counted in theirs and in ours: which attack is the
//! strongest, which the weakest, who is ahead. A reproduction that breaks them has a bug, or a finding.
//!
//! Only cells that have both numbers are looked at, so that ours and the paper's counts are of the same
//! cells even while some columns are not run.

use serde::Serialize;

use super::{Cell, Table};

/// One claim.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Check {
    /// What is claimed.
    pub claim: String,
    /// Whether it holds in ours at least as often as in the paper's numbers; none if nothing can be
    /// compared yet.
    pub holds: Option<bool>,
    /// How often it is true in ours.
    pub ours: Count,
    /// How often it is true in the paper's numbers.
    pub paper: Count,
}

/// How often a claim is true, of how many places where it could be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Count {
    /// True.
    pub held: usize,
    /// Of so many.
    pub of: usize,
}

/// The claims that the table's data set and columns allow.
pub fn checks(table: &Table) -> Vec<Check> {
    let mut claims: Vec<(String, Claim)> = Vec::new();
    match table.dataset.as_str() {
        "cifar-10" => claims.push(strongest("mim", "", |_| true)),
        "mnist" => claims.push(strongest("pgd", "", |_| true)),
        "fashion-mnist" => {
            claims.push(strongest("pgd", " below eps 0.2", |eps| eps < 0.2));
            claims.push(strongest("mim", " at eps 0.2", |eps| 0.2 <= eps));
        }
        _ => {}
    }
    claims.push((
        "fgsm is the weakest attack".to_owned(),
        Box::new(|grid| extreme(grid, "fgsm", 1.0)),
    ));
    claims.push(("accuracy falls as eps grows".to_owned(), Box::new(falls)));
    if table.columns.iter().any(|column| !column.control && !column.key.starts_with("cldl")) {
        let claim = "a CLDL column is ahead of every other method";
        claims.push((claim.to_owned(), Box::new(cldl_ahead)));
    }
    if table.columns.iter().any(|column| without_gradient_term(&column.key)) {
        let claim = "cldl-4-2-4 is ahead of every CLDL column with beta 0";
        claims.push((claim.to_owned(), Box::new(gradient_term_helps)));
    }
    let count = |claim: &Claim, side| claim(&Grid { table, side });
    let checks = claims.into_iter().map(|(text, claim)| {
        let (ours, paper) = (count(&claim, ours), count(&claim, paper));
        let holds = paper.held * ours.of <= ours.held * paper.of;
        let comparable = 0 < ours.of && 0 < paper.of;
        Check { claim: text, holds: comparable.then_some(holds), ours, paper }
    });
    checks.collect()
}

type Claim = Box<dyn Fn(&Grid<'_>) -> Count>;
type Side = fn(&Cell) -> Option<f64>;

/// One side of the table: ours or the paper's.
struct Grid<'a> {
    table: &'a Table,
    side: Side,
}

fn ours(cell: &Cell) -> Option<f64> {
    cell.paper.and(cell.ours)
}

fn paper(cell: &Cell) -> Option<f64> {
    cell.ours.and(cell.paper)
}

impl Grid<'_> {
    /// For each column and eps, the accuracies by attack; only where all attacks have one.
    fn by_attack(&self) -> Vec<(f64, Vec<(&str, f64)>)> {
        let mut groups = Vec::new();
        for column in &self.table.columns {
            for &eps in &self.eps() {
                let rows = self.table.rows.iter().filter(|row| row.eps.to_bits() == eps.to_bits());
                let number = |row: &'_ super::Row| row.cell(&column.key).and_then(self.side);
                let all: Option<Vec<_>> =
                    rows.map(|row| Some((row.attack.as_str(), number(row)?))).collect();
                groups.extend(all.map(|all| (eps, all)));
            }
        }
        groups
    }

    /// For each column and attack, the accuracies in the order of eps, as far as there are any.
    fn by_eps(&self) -> Vec<Vec<f64>> {
        let mut attacks: Vec<&str> =
            self.table.rows.iter().map(|row| row.attack.as_str()).collect();
        attacks.dedup();
        let mut curves = Vec::new();
        for column in &self.table.columns {
            for attack in &attacks {
                let rows = self.table.rows.iter().filter(|row| row.attack == *attack);
                curves.push(
                    rows.filter_map(|row| row.cell(&column.key).and_then(self.side)).collect(),
                );
            }
        }
        curves
    }

    /// For each row, the published columns that have a number.
    fn published(&self) -> Vec<Vec<(&str, f64)>> {
        let columns = || self.table.columns.iter().filter(|column| !column.control);
        let row = |row: &super::Row| {
            columns()
                .filter_map(|c| Some((c.key.as_str(), row.cell(&c.key).and_then(self.side)?)))
                .collect()
        };
        self.table.rows.iter().map(row).collect()
    }

    fn eps(&self) -> Vec<f64> {
        let mut eps: Vec<f64> = self.table.rows.iter().map(|row| row.eps).collect();
        eps.sort_by(f64::total_cmp);
        eps.dedup();
        eps
    }
}

impl Count {
    fn of(answers: impl Iterator<Item = bool>) -> Self {
        answers.fold(Self::default(), |count, answer| Self {
            held: count.held + usize::from(answer),
            of: count.of + 1,
        })
    }
}

fn strongest(attack: &'static str, where_: &str, at: fn(f64) -> bool) -> (String, Claim) {
    let claim = move |grid: &Grid<'_>| {
        let groups = grid.by_attack();
        let groups = groups.iter().filter(|(eps, _)| at(*eps));
        Count::of(groups.filter_map(|(_, group)| is_extreme(group, attack, -1.0)))
    };
    (format!("{attack} is the strongest attack{where_}"), Box::new(claim))
}

fn extreme(grid: &Grid<'_>, attack: &str, sign: f64) -> Count {
    let groups = grid.by_attack();
    Count::of(groups.iter().filter_map(|(_, group)| is_extreme(group, attack, sign)))
}

/// Whether no other attack leaves a higher (sign 1) or lower (sign -1) accuracy.
fn is_extreme(group: &[(&str, f64)], attack: &str, sign: f64) -> Option<bool> {
    let (_, own) = group.iter().find(|(name, _)| *name == attack)?;
    Some(group.iter().all(|(_, other)| sign * other <= sign * own))
}

fn falls(grid: &Grid<'_>) -> Count {
    let curves = grid.by_eps();
    Count::of(curves.iter().flat_map(|curve| curve.windows(2)).map(|pair| pair[1] <= pair[0]))
}

fn cldl_ahead(grid: &Grid<'_>) -> Count {
    let rows = grid.published();
    let best = |row: &[(&str, f64)], cldl: bool| {
        let side = row.iter().filter(|(key, _)| key.starts_with("cldl") == cldl);
        side.map(|(_, number)| *number).max_by(f64::total_cmp)
    };
    Count::of(rows.iter().filter_map(|row| Some(best(row, false)? < best(row, true)?)))
}

fn gradient_term_helps(grid: &Grid<'_>) -> Count {
    let rows = grid.published();
    let answers = rows.iter().flat_map(|row| {
        let with = row.iter().find(|(key, _)| *key == "cldl-4-2-4").map(|(_, number)| *number);
        let without = row.iter().filter(|(key, _)| without_gradient_term(key));
        without.filter_map(move |(_, number)| Some(*number < with?))
    });
    Count::of(answers)
}

fn without_gradient_term(key: &str) -> bool {
    key.starts_with("cldl-") && key.ends_with("-0")
}

#[cfg(test)]
mod tests {
    use super::{Check, Count, checks};
    use crate::table::{Cell, Table, fixture};

    fn check(table: &Table, claim: &str) -> Check {
        checks(table).into_iter().find(|check| check.claim.starts_with(claim)).unwrap()
    }

    #[test]
    fn claims_are_counted_in_ours_and_in_the_paper() {
        let table = fixture::table();
        let strongest = check(&table, "pgd is the strongest");
        // Two columns at two eps: ours has no GAL, the paper no baseline.
        assert_eq!(strongest.ours, Count { held: 4, of: 4 });
        assert_eq!(strongest.paper, Count { held: 4, of: 4 });
        assert_eq!(strongest.holds, Some(true));
        assert_eq!(check(&table, "fgsm is the weakest").holds, Some(true));
        assert_eq!(check(&table, "accuracy falls").ours, Count { held: 4, of: 4 });
        // A tie at pgd 0.1 is not ahead.
        let ahead = check(&table, "a CLDL column");
        assert_eq!((ahead.ours, ahead.holds), (Count { held: 3, of: 4 }, Some(false)));
    }

    #[test]
    fn a_broken_order_is_found() {
        let mut table = fixture::table();
        table.rows[2].cells[0].1 = Cell::new(&[99.0], Some(89.66));
        assert_eq!(check(&table, "pgd is the strongest").ours, Count { held: 3, of: 4 });
        assert_eq!(check(&table, "pgd is the strongest").holds, Some(false));
    }

    #[test]
    fn nothing_is_claimed_of_an_empty_table() {
        let mut table = fixture::table();
        for (_, cell) in table.rows.iter_mut().flat_map(|row| &mut row.cells) {
            cell.ours = None;
        }
        assert!(checks(&table).iter().all(|check| check.holds.is_none()));
    }

    #[test]
    fn the_gradient_term_is_judged_where_there_are_columns_without_it() {
        let mut table = fixture::table();
        for (old, new) in [("adp", "cldl-4-2-0"), ("cldl-3-4-4", "cldl-4-2-4")] {
            let columns = table.columns.iter_mut().map(|column| &mut column.key);
            let cells = table.rows.iter_mut().flat_map(|row| &mut row.cells);
            for key in columns.chain(cells.map(|(key, _)| key)).filter(|key| *key == old) {
                new.clone_into(key);
            }
        }
        assert_eq!(check(&table, "cldl-4-2-4").paper, Count { held: 4, of: 4 });
        assert_eq!(check(&table, "cldl-4-2-4").ours, Count { held: 3, of: 4 });
    }
}
