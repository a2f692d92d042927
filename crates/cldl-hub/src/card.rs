//! Model cards: is the front matter what the Hub accepts?
//!
//! The Hub checks a card when it is pushed and rejects the whole commit if `license`, `datasets` or `model-index` is not
//! as it wants them. This finds out before.

use serde::Deserialize;

/// Licences by the ids that the Hub knows; any other is `other`, with a name and a link.
const LICENSES: [&str; 40] = [
    "afl-3.0",
    "agpl-3.0",
    "apache-2.0",
    "artistic-2.0",
    "bigscience-openrail-m",
    "bsd",
    "bsd-2-clause",
    "bsd-3-clause",
    "bsd-3-clause-clear",
    "bsl-1.0",
    "cc",
    "cc-by-2.0",
    "cc-by-3.0",
    "cc-by-4.0",
    "cc-by-nc-4.0",
    "cc-by-nc-nd-4.0",
    "cc-by-nc-sa-4.0",
    "cc-by-sa-3.0",
    "cc-by-sa-4.0",
    "cc0-1.0",
    "cdla-permissive-2.0",
    "creativeml-openrail-m",
    "ecl-2.0",
    "epl-2.0",
    "eupl-1.1",
    "gpl",
    "gpl-2.0",
    "gpl-3.0",
    "isc",
    "lgpl",
    "lgpl-3.0",
    "mit",
    "mpl-2.0",
    "ms-pl",
    "ncsa",
    "openrail",
    "other",
    "unlicense",
    "wtfpl",
    "zlib",
];

/// The front matter, as far as it is checked.
#[derive(Debug, Deserialize)]
struct FrontMatter {
    license: Option<OneOrMany>,
    license_name: Option<String>,
    license_link: Option<String>,
    library_name: Option<String>,
    pipeline_tag: Option<String>,
    #[serde(default)]
    tags: Vec<String>,
    datasets: Option<OneOrMany>,
    metrics: Option<OneOrMany>,
    #[serde(rename = "model-index")]
    model_index: Option<Vec<Model>>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

impl OneOrMany {
    fn all(&self) -> &[String] {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::Many(many) => many,
        }
    }
}

#[derive(Debug, Deserialize)]
struct Model {
    name: String,
    results: Vec<Measured>,
}

#[derive(Debug, Deserialize)]
struct Measured {
    task: Task,
    dataset: Dataset,
    metrics: Vec<Metric>,
}

#[derive(Debug, Deserialize)]
struct Task {
    r#type: String,
}

#[derive(Debug, Deserialize)]
struct Dataset {
    r#type: String,
    name: String,
}

#[derive(Debug, Deserialize)]
struct Metric {
    r#type: String,
    value: f64,
}

/// Whether the Hub would accept the model card `text`.
///
/// # Errors
/// In one line what it would refuse.
pub fn check_card(text: &str) -> Result<(), String> {
    let body = text.trim_start_matches('\u{feff}').strip_prefix("---\n");
    let yaml = body.and_then(|body| body.split_once("\n---")).map(|(yaml, _)| yaml);
    let yaml = yaml.ok_or("has no front matter: its first lines are YAML between `---`")?;
    let front: FrontMatter = serde_saphyr::from_str(yaml).map_err(|e| {
        let reason = e.to_string();
        format!("its front matter is wrong: {}", reason.lines().next().unwrap_or_default())
    })?;
    let FrontMatter { license, license_name, license_link, .. } = &front;
    for license in license.as_ref().ok_or("its front matter has no license")?.all() {
        if !LICENSES.contains(&license.as_str()) {
            return Err(format!(
                "license `{license}` is not known to the Hub: use its id there (`mit`), or `other` with \
                 license_name and license_link"
            ));
        }
        if license == "other" && (license_name.is_none() || license_link.is_none()) {
            return Err("license `other` needs license_name and license_link".to_owned());
        }
    }
    for (field, value) in
        [("library_name", &front.library_name), ("pipeline_tag", &front.pipeline_tag)]
    {
        if value.as_deref().is_none_or(str::is_empty) {
            return Err(format!("its front matter has no {field}"));
        }
    }
    let metrics = front.metrics.as_ref().map_or(&[][..], OneOrMany::all);
    if let Some(empty) = front.tags.iter().chain(metrics).find(|text| text.trim().is_empty()) {
        return Err(format!("has an empty tag or metric `{empty}`"));
    }
    for dataset in front.datasets.as_ref().map_or(&[][..], OneOrMany::all) {
        let allowed = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
        if dataset.is_empty() || !dataset.chars().all(allowed) || 1 < dataset.matches('/').count() {
            return Err(format!(
                "dataset `{dataset}` is no id on the Hub, as in `uoft-cs/cifar10`"
            ));
        }
    }
    front.model_index.iter().flatten().try_for_each(check_model)
}

fn check_model(model: &Model) -> Result<(), String> {
    let wrong = |what: &str| Err(format!("model-index of `{}`: {what}", model.name));
    if model.name.is_empty() || model.results.is_empty() {
        return wrong("needs a name and at least one result");
    }
    for Measured { task, dataset, metrics } in &model.results {
        if [&task.r#type, &dataset.r#type, &dataset.name].into_iter().any(String::is_empty) {
            return wrong("a result needs the types of task and dataset, and the dataset's name");
        }
        if metrics.is_empty() {
            return wrong("a result needs at least one metric");
        }
        if metrics.iter().any(|metric| metric.r#type.is_empty() || !metric.value.is_finite()) {
            return wrong("a metric needs a type and a finite value");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::check_card;

    const GOOD: &str = "---\nlicense: \"mit\"\nlibrary_name: \"cldl\"\npipeline_tag: image-classification\n\
        tags:\n- a\ndatasets:\n- uoft-cs/cifar10\nmetrics:\n- accuracy\nmodel-index:\n- name: \"x (y)\"\n  results:\n  - \
        task: {type: image-classification}\n    dataset: {type: uoft-cs/cifar10, name: CIFAR-10}\n    \
        metrics:\n    - {type: accuracy, value: 0.5, name: \"Robust (PGD-20, 8/255)\"}\n---\n\n# Card\n";

    #[test]
    fn a_good_card_passes() {
        check_card(GOOD).unwrap();
    }

    #[test]
    fn what_the_hub_refuses_is_told() {
        for (from, to, says) in [
            ("license: \"mit\"\n", "", "no license"),
            ("\"mit\"", "\"MIT License\"", "`MIT License`"),
            ("\"mit\"", "other", "license_name"),
            ("library_name: \"cldl\"\n", "", "no library_name"),
            ("- uoft-cs/cifar10", "- the CIFAR ten", "`the CIFAR ten`"),
            ("value: 0.5", "value: high", "front matter is wrong"),
            ("value: 0.5", "value: .nan", "finite"),
            ("type: image-classification}", "kind: x}", "front matter is wrong"),
            ("---\nlicense", "license", "no front matter"),
            ("tags:\n- a", "tags:\n- [unclosed", "front matter is wrong"),
        ] {
            assert!(GOOD.contains(from), "{from}");
            let error = check_card(&GOOD.replace(from, to)).unwrap_err();
            assert!(error.contains(says) && !error.contains('\n'), "{to}: {error}");
        }
        let cut = GOOD.split("  results").next().unwrap();
        let error = check_card(&format!("{cut}  results: []\n---\n")).unwrap_err();
        assert!(error.contains("at least one result"), "{error}");
    }
}
