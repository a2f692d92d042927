//! The control columns of `--controls`: what nobody has published, and what tells whether CLDL's gain is
//! its loss or what came along with it.
//!
//! Soft labels alone (a baseline with label smoothing), leaky ReLU and noise alone (D12 and D13: only
//! CLDL and GAL have them in the published code), and CLDL without one or the other of its terms.

use super::common::Variant;
use super::grid::{Column, Experiment};

/// What the published code gives to GAL and CLDL on CIFAR-10, and the paper does not mention.
const LEAKY_SLOPE: f64 = 0.1;
const NOISE_STD: f64 = 0.045;
const N_CLASSES: f64 = 10.0;

/// The control columns of a table, made from its first CLDL column.
pub(crate) fn columns(table: &Experiment, variant: Variant) -> Vec<Column> {
    let Some(cldl) = table.columns.iter().find(|column| column.method == "cldl") else {
        return Vec::new();
    };
    let (gamma, label) = (cldl.gamma.unwrap_or(0.0), cldl.label.clone());
    let baseline = Column { method: "baseline".to_owned(), ..Column::default() };
    let mut columns = vec![
        // The SLD of a flat label confusion vector puts e^γ / (e^γ + C - 1) on the true class.
        Column {
            label: "baseline, smoothed".to_owned(),
            key: Some("baseline-smoothed".to_owned()),
            label_smoothing: Some(N_CLASSES / (gamma.exp() + N_CLASSES - 1.0)),
            ..baseline.clone()
        },
        Column { label: format!("{label}, alpha 0"), alpha: Some(0.0), ..cldl.clone() },
        Column { label: format!("{label}, beta 0"), beta: Some(0.0), ..cldl.clone() },
    ];
    if table.arch == "resnet20" {
        let extras = |column: Column, key: &str, label: &str, slope: f64, noise: f64| Column {
            label: label.to_owned(),
            key: Some(key.to_owned()),
            leaky_slope: Some(slope),
            noise_std: Some(noise),
            ..column
        };
        // The variant has them or not; the control is the other way round.
        let (suffix, what, slope, noise) = match variant {
            Variant::Official => ("plain", "plain", 0.0, 0.0),
            Variant::Paper => ("leaky-noise", "leaky, noise", LEAKY_SLOPE, NOISE_STD),
        };
        let key = format!("{}-{suffix}", cldl.key());
        columns.push(extras(
            baseline,
            "baseline-leaky-noise",
            "baseline, leaky, noise",
            LEAKY_SLOPE,
            NOISE_STD,
        ));
        columns.push(extras(cldl.clone(), &key, &format!("{label}, {what}"), slope, noise));
    }
    for column in &mut columns {
        column.control = true;
    }
    let known: Vec<String> = table.columns.iter().map(Column::key).collect();
    columns.retain(|column| !known.contains(&column.key()));
    columns
}

#[cfg(test)]
mod tests {
    use super::{Variant, columns};
    use crate::reproduce::grid::{Column, Experiment};
    use crate::workspace::experiments;

    fn keys(table: u8, variant: Variant) -> Vec<String> {
        let table = Experiment::read(&experiments(), table).unwrap();
        columns(&table, variant).iter().map(Column::key).collect()
    }

    #[test]
    fn controls_follow_the_tables_first_cldl_column() {
        assert_eq!(keys(4, Variant::Paper), ["baseline-smoothed", "cldl-3-0-4", "cldl-3-4-0"]);
        assert_eq!(
            keys(1, Variant::Official)[3..],
            ["baseline-leaky-noise".to_owned(), format!("{}-plain", first_cldl(1))]
        );
        assert_eq!(keys(1, Variant::Paper)[4], format!("{}-leaky-noise", first_cldl(1)));
    }

    #[test]
    fn the_smoothing_is_that_of_a_flat_sld() {
        let table = Experiment::read(&experiments(), 4).unwrap();
        let smoothing = columns(&table, Variant::Paper)[0].label_smoothing.unwrap();
        // The true class keeps 0.691 at gamma 3.
        assert!((1.0 - smoothing + smoothing / 10.0 - 0.690_6).abs() < 1e-4, "{smoothing}");
    }

    fn first_cldl(table: u8) -> String {
        let table = Experiment::read(&experiments(), table).unwrap();
        table.columns.iter().find(|column| column.method == "cldl").unwrap().key()
    }
}
