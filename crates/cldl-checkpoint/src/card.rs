//! The model card: front matter that the Hugging Face Hub reads, then words for people.

use std::fmt::Write as _;

use cldl_data::DatasetSpec;
use cldl_train::TrainConfig;

use crate::{Accuracy, Config};

/// The model card of a checkpoint, a `README.md`.
///
/// Equal configs give equal cards.
pub fn model_card(config: &Config) -> String {
    let mut card = String::new();
    // Writing to a string can't fail.
    let _ = write_card(&mut card, config);
    card
}

fn write_card(card: &mut String, config: &Config) -> std::fmt::Result {
    front_matter(card, config)?;
    let (title, dataset) = (config.title(), config.dataset.name());
    writeln!(card, "\n# {title}\n")?;
    writeln!(
        card,
        "An ensemble of image classifiers that is meant to resist adversarial images, in the format of \
         cldl: robust ensembles in Rust on candle. Its answer is the \
         logarithm of the mean of its members' probabilities. It takes pixels in [0, 1]; normalization \
         (mean {}, deviation {}) is part of the model.",
        numbers(&config.ensemble.mean),
        numbers(&config.ensemble.std)
    )?;
    card.push_str(USE);
    card.push_str("\n## Results\n\n");
    results(card, config)?;
    card.push_str("\n## How it was made\n\n");
    origin(card, config)?;
    let classes = config.classes.iter().map(|class| format!("`{class}`"));
    let classes = classes.collect::<Vec<_>>().join(", ");
    writeln!(
        card,
        "\n## Intended use and limits\n\n\
         For research on adversarial robustness: to compare defences, to attack, to build upon. It knows \
         {dataset} images alone ({classes}) and answers with one of these classes whatever it is shown. \
         The accuracies above hold for the attacks, radii and images that are named; a stronger or an \
         adaptive attack may well do better. It is not made for decisions about people or safety."
    )?;
    writeln!(card, "\n## Licence\n\n`{}`, for the weights and this card.", config.license)?;
    card.push_str(CITATION);
    Ok(())
}

const USE: &str = r#"
## Use

On the command line:

```sh
cldl eval clean OWNER/NAME        # or a folder with these files
```

In Rust:

```rust
let loaded = cldl_checkpoint::load("FOLDER".as_ref(), &candle_core::Device::Cpu)?;
let log_probs = loaded.ensemble.logits(&images)?;  // [B, Ch, H, W] in [0, 1] -> [B, C]
```

In Python, the tensors have the names of a PyTorch state_dict (`model_0.` and so on in front):

```python
from safetensors.torch import load_file
state = load_file("model.safetensors")
member = {name.removeprefix("model_0."): t for name, t in state.items() if name.startswith("model_0.")}
```

A whole program, networks included, is `docs/load_checkpoint.py` in cldl's repository.
"#;

const CITATION: &str = r"
## Citation

```bibtex
@misc{cldl,
  title  = {Adversarial Ensemble Training by Jointly Learning Label Dependencies and Member Models},
  author = {Wang, Lele and Liu, Bin}
}
```
";

/// YAML, in which every JSON string is a string.
fn front_matter(card: &mut String, config: &Config) -> std::fmt::Result {
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    let arch = config.ensemble.arch.to_string();
    let method = config.training.as_ref().map(|training| training.method.name());
    writeln!(card, "---\nlicense: {}", quoted(&config.license))?;
    writeln!(card, "library_name: \"cldl\"\npipeline_tag: \"image-classification\"\ntags:")?;
    for tag in
        ["cldl", "candle", "adversarial-robustness", "ensemble", &arch].into_iter().chain(method)
    {
        writeln!(card, "- {}", quoted(tag))?;
    }
    let dataset = match &config.dataset {
        DatasetSpec::Published(name) => name.hub_id(),
        DatasetSpec::Custom(custom) => &custom.name,
    };
    if let DatasetSpec::Published(_) = config.dataset {
        writeln!(card, "datasets:\n- {}", quoted(dataset))?;
    }
    writeln!(card, "metrics:\n- \"accuracy\"")?;
    // The Hub refuses a model-index without results.
    if !config.results.is_empty() {
        writeln!(card, "model-index:\n- name: {}\n  results:", quoted(&config.title()))?;
        writeln!(card, "  - task:\n      type: \"image-classification\"\n    dataset:")?;
        writeln!(card, "      type: {}", quoted(dataset))?;
        writeln!(card, "      name: {}\n      split: \"test\"", quoted(config.dataset.name()))?;
        writeln!(card, "    metrics:")?;
        for result in &config.results {
            writeln!(card, "    - type: \"accuracy\"\n      value: {}", result.percent / 100.0)?;
            writeln!(card, "      name: {}", quoted(&metric(result)))?;
        }
    }
    writeln!(card, "---")
}

fn metric(result: &Accuracy) -> String {
    match result.attack {
        None => "Clean accuracy".to_owned(),
        Some(_) => format!("Robust accuracy ({})", result.title()),
    }
}

fn results(card: &mut String, config: &Config) -> std::fmt::Result {
    if config.results.is_empty() {
        return writeln!(card, "None were measured before this card was written.");
    }
    writeln!(card, "| test images | right | of | percent |\n| --- | ---: | ---: | ---: |")?;
    for result in &config.results {
        let (title, Accuracy { right, examples, percent, .. }) = (result.title(), result);
        writeln!(card, "| {title} | {right} | {examples} | {percent:.2} |")?;
    }
    writeln!(
        card,
        "\nProtocol: white-box. The attacker knows the whole ensemble; an image counts as right if it is right \
         under every random start; percentages are among all images that were tried. Steps are of size eps/5."
    )
}

fn origin(card: &mut String, config: &Config) -> std::fmt::Result {
    for origin in &config.imported_from {
        writeln!(card, "Imported from `{}` (SHA-256 `{}`).\n", origin.name, origin.digest.sha256)?;
    }
    let Some(training) = &config.training else {
        return writeln!(card, "How it was trained is not recorded.");
    };
    let TrainConfig { variant, epochs, batch_size, lr, seed, data, .. } = training;
    let (done, examples) = (config.epochs_done, data.examples);
    let adversarial =
        if training.plus_adv.is_some() { ", with adversarial training on top" } else { "" };
    writeln!(
        card,
        "Method `{}` ({variant} variant){adversarial}; {done} of {epochs} epochs over {examples} training images \
         in batches of {batch_size}, learning rate {lr}, seed {seed}. The same settings give the same bytes: \
         the whole config is in `config.json`, and its digest is `{}`. The training images have the SHA-256 \
         `{}`.",
        training.method,
        training.digest(),
        data.sha256
    )
}

fn numbers(values: &[f64]) -> String {
    values.iter().map(f64::to_string).collect::<Vec<_>>().join(", ")
}
