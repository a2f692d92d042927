//! Do our columns come in the paper's order? Kendall's tau, row by row.

use super::Table;

/// Agreement of ranks between ours and the paper's columns.
#[derive(Debug, Clone, PartialEq)]
pub struct Agreement {
    /// For each row, in order; none if fewer than two columns can be compared.
    pub rows: Vec<Option<f64>>,
    /// Mean over the rows that have one.
    pub mean: Option<f64>,
}

/// Kendall's tau of every row, over the columns that have both numbers.
pub fn agreement(table: &Table) -> Agreement {
    let tau = |row: &super::Row| {
        let both = row.cells.iter().filter_map(|(_, cell)| cell.ours.zip(cell.paper));
        kendall_tau(&both.collect::<Vec<_>>())
    };
    let rows: Vec<Option<f64>> = table.rows.iter().map(tau).collect();
    let known: Vec<f64> = rows.iter().copied().flatten().collect();
    let mean = (!known.is_empty()).then(|| known.iter().sum::<f64>() / known.len() as f64);
    Agreement { rows, mean }
}

/// Kendall's tau-b of pairs (x, y): 1 if y comes in the order of x, -1 if in the opposite one.
///
/// `τ_b = (C - D) / √((n₀ - n₁)(n₀ - n₂))`, with C concordant and D discordant of n₀ pairs of pairs,
/// of which n₁ are tied in x and n₂ in y. None if all are tied, or there are fewer than two.
pub fn kendall_tau(pairs: &[(f64, f64)]) -> Option<f64> {
    let (mut balance, mut untied_x, mut untied_y) = (0, 0, 0);
    for (i, a) in pairs.iter().enumerate() {
        for b in &pairs[..i] {
            let (x, y) = (sign(a.0 - b.0), sign(a.1 - b.1));
            balance += x * y;
            untied_x += x.abs();
            untied_y += y.abs();
        }
    }
    let scale = (f64::from(untied_x) * f64::from(untied_y)).sqrt();
    (0.0 < scale).then(|| f64::from(balance) / scale)
}

fn sign(value: f64) -> i32 {
    i32::from(0.0 < value) - i32::from(value < 0.0)
}

#[cfg(test)]
mod tests {
    use super::{agreement, kendall_tau};
    use crate::table::fixture;

    #[test]
    fn tau_of_known_orders() {
        let same = [(1.0, 10.0), (2.0, 20.0), (3.0, 30.0)];
        let swapped = [(1.0, 10.0), (2.0, 30.0), (3.0, 20.0)];
        let opposite = [(1.0, 30.0), (2.0, 20.0), (3.0, 10.0)];
        assert_eq!(kendall_tau(&same), Some(1.0));
        assert!((kendall_tau(&swapped).unwrap() - 1.0 / 3.0).abs() < 1e-12);
        assert_eq!(kendall_tau(&opposite), Some(-1.0));
    }

    #[test]
    fn ties_shrink_the_scale_not_the_sign() {
        // C = 2, D = 0, one pair tied in x: 2 / sqrt(2 * 3).
        let tied = [(1.0, 1.0), (1.0, 2.0), (2.0, 3.0)];
        assert!((kendall_tau(&tied).unwrap() - 2.0 / 6f64.sqrt()).abs() < 1e-12);
        assert_eq!(kendall_tau(&[(1.0, 1.0), (1.0, 2.0)]), None);
        assert_eq!(kendall_tau(&[(1.0, 1.0)]), None);
    }

    #[test]
    fn rows_that_can_t_be_compared_are_left_out_of_the_mean() {
        let agreement = agreement(&fixture::table());
        assert_eq!(agreement.rows, [Some(1.0), Some(1.0), None, Some(1.0)]);
        assert_eq!(agreement.mean, Some(1.0));
    }
}
