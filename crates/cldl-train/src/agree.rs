//! Where two configs differ, and where one contradicts itself: said in one line that names both sides.

use cldl_data::DatasetSpec;
use cldl_models::EnsembleConfig;
use serde_json::Value;

use crate::TrainConfig;

/// The first setting in which two configs (as JSON or what deserializes to it) differ, with both values.
pub fn difference(one: &Value, other: &Value) -> Option<(String, String, String)> {
    differ("", one, other)
}

fn differ(name: &str, one: &Value, other: &Value) -> Option<(String, String, String)> {
    if let (Value::Object(left), Value::Object(right)) = (one, other) {
        let names = left.keys().chain(right.keys().filter(|key| !left.contains_key(*key)));
        return names.into_iter().find_map(|key| {
            let path = if name.is_empty() { key.clone() } else { format!("{name}.{key}") };
            let side = |object: &serde_json::Map<String, Value>| object.get(key).cloned();
            differ(&path, &side(left).unwrap_or_default(), &side(right).unwrap_or_default())
        });
    }
    (one != other).then(|| (name.to_owned(), shown(one), shown(other)))
}

/// A value as a person writes it: no quotes, "none" for what is not there.
fn shown(value: &Value) -> String {
    match value {
        Value::Null => "none".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Checks that `ensemble` is one for the images of `dataset`; it may be normalized otherwise than our own.
///
/// # Errors
/// One line with both sides.
pub fn fits(ensemble: &EnsembleConfig, dataset: &DatasetSpec) -> Result<(), String> {
    // The name finds a folder: it must not lead anywhere else.
    if dataset.name().contains(['/', '\\']) || [".", ".."].contains(&dataset.name()) {
        return Err(format!("`{dataset}` is no name of a dataset"));
    }
    let (takes, has) = (ensemble.arch.image_shape(), dataset.image_shape());
    if takes != has {
        return Err(format!("`{}` takes images {takes:?}, `{dataset}` has {has:?}", ensemble.arch));
    }
    if ensemble.n_classes != dataset.n_classes() {
        let (here, there) = (ensemble.n_classes, dataset.n_classes());
        return Err(format!("the ensemble has {here} classes, `{dataset}` has {there}"));
    }
    if !ensemble.std.iter().all(|std| std.is_finite() && *std > 0.0) {
        return Err(format!("the normalization's std {:?} is not above 0", ensemble.std));
    }
    let (mean, channels) = (&ensemble.mean, takes[0]);
    if !mean.iter().all(|mean| mean.is_finite())
        || [mean, &ensemble.std].map(Vec::len) != [channels; 2]
    {
        return Err(format!(
            "the normalization's mean {mean:?} and std {:?} are not a number for each of {channels} channels",
            ensemble.std
        ));
    }
    Ok(())
}

impl TrainConfig {
    /// What in the config contradicts itself: the ensemble must be one for its dataset.
    ///
    /// # Errors
    /// One line with both sides.
    pub fn check(&self) -> Result<(), String> {
        let (ensemble, dataset) = (&self.ensemble, &self.data.dataset);
        fits(ensemble, dataset)?;
        for (name, values, expected) in
            [("mean", &ensemble.mean, dataset.mean()), ("std", &ensemble.std, dataset.std())]
        {
            // The config holds the shortest decimal form of the dataset's f32.
            let same = values.iter().map(|value| *value as f32).eq(expected.iter().copied());
            if !same {
                return Err(format!(
                    "the ensemble is normalized by {name} {values:?}, `{dataset}` by {expected:?}"
                ));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::difference;

    #[test]
    fn a_difference_names_the_setting_and_both_values() {
        let one = json!({"seed": 0, "ensemble": {"arch": "lenet5", "members": 3}});
        assert_eq!(difference(&one, &one), None);
        let mut other = one.clone();
        other["ensemble"]["arch"] = json!("resnet20");
        let (name, here, there) = difference(&one, &other).unwrap();
        assert_eq!(
            (name.as_str(), here.as_str(), there.as_str()),
            ("ensemble.arch", "lenet5", "resnet20")
        );
        let more = json!({"seed": 0, "ensemble": {"arch": "lenet5", "members": 3}, "init": "abc"});
        assert_eq!(difference(&one, &more).unwrap(), ("init".into(), "none".into(), "abc".into()));
    }
}
