//! `table.json`: the contract, with what the table shows added at its end.

use serde_json::{Value, json as value};

use super::{Table, agreement, checks};

/// The table as JSON: its fields, then `kendall_tau` (the mean and by row) and `checks`.
///
/// # Errors
/// If a number is not finite.
pub fn json(table: &Table) -> serde_json::Result<Value> {
    let mut object = serde_json::to_value(table)?;
    let agreement = agreement(table);
    object["kendall_tau"] = value!({"mean": agreement.mean, "rows": agreement.rows});
    object["checks"] = serde_json::to_value(checks(table))?;
    Ok(object)
}

#[cfg(test)]
mod tests {
    use super::json;
    use crate::table::{Table, fixture};

    #[test]
    fn keys_are_the_contract_s_in_its_order() {
        let json = json(&fixture::table()).unwrap();
        let text = serde_json::to_string(&json).unwrap();
        let start = concat!(
            r#"{"table":4,"scale":"smoke","variant":"paper","protocol":"official","seeds":[0],"#,
            r#""examples":200,"wall_seconds":83.4,"#,
            r#""clean":{"adp":98.5,"cldl-3-4-4":99.0,"baseline":98.25},"#,
            r#""rows":[{"attack":"fgsm","eps":0.1,"cells":{"#,
            r#""adp":{"ours":92.0,"paper":93.29,"difference":-1.29},"#,
            r#""gal":{"ours":null,"paper":90.77,"difference":null},"#,
            r#""cldl-3-4-4":{"ours":95.5,"paper":95.43,"difference":0.07},"#,
            r#""baseline":{"ours":90.0,"paper":null,"difference":null}}}"#,
        );
        assert!(text.starts_with(start), "{text}");
        assert_eq!(json["kendall_tau"]["mean"], 1.0);
        assert_eq!(json["checks"][0]["holds"], true);
    }

    #[test]
    fn a_table_is_read_back_as_it_was() {
        let table = fixture::table();
        let text = serde_json::to_string(&json(&table).unwrap()).unwrap();
        assert_eq!(serde_json::from_str::<Table>(&text).unwrap(), table);
    }
}
