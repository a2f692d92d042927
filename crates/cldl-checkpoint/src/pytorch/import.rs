//! From tensors under PyTorch's names to an ensemble.

use std::collections::BTreeMap;
use std::path::PathBuf;

use candle::{DType, Device, Tensor};
use cldl_core::{Init, Params};
use cldl_data::DatasetSpec;
use cldl_models::{Arch, Ensemble, EnsembleConfig};

use super::state_dict::{read_state_dict, tensors_of};
use crate::error::first_line;
use crate::{CheckpointError, Config};

/// What files of weights do not say.
#[derive(Debug, Clone)]
pub struct ImportOptions {
    /// The images that the ensemble classifies.
    pub dataset: DatasetSpec,
    /// Negative slope of ResNet-20's activations; 0 is ReLU.
    pub leaky_slope: f64,
}

/// Reads an ensemble from `files`: each holds one network, several as `model_0`, `model_1` .. (as the authors of
/// CLDL save them, with or without their wrapper), or a label confusion model (`lcm_model`).
/// Members are numbered in the order of the files. The architecture follows from the tensors' names.
///
/// # Errors
/// If a file can't be read, or the tensors are not exactly those of an ensemble: says what is missing, what
/// is not known, and what has another shape.
pub fn import(
    files: &[PathBuf],
    options: &ImportOptions,
) -> Result<(Ensemble, Config), CheckpointError> {
    let mut found = Found::default();
    let mut origins = Vec::new();
    for path in files {
        let file = read_state_dict(path)?;
        found.add(file.tensors).map_err(|problem| CheckpointError::invalid(path, problem))?;
        origins.push(file.origin);
    }
    let names = files.iter().map(|path| format!("`{}`", path.display())).collect::<Vec<_>>();
    let misfit =
        |problem: String| CheckpointError::Argument(format!("{} {problem}", names.join(" with ")));
    let ensemble = found.ensemble(options).map_err(misfit)?;
    let config = Config::new(ensemble.config.clone(), options.dataset.clone(), None, 0);
    Ok((ensemble, Config { imported_from: origins, ..config }))
}

/// The ensemble in the bytes of one file: what [`import`] makes of it.
///
/// # Errors
/// What is wrong with it.
#[doc(hidden)]
pub fn ensemble_of(bytes: &[u8], options: &ImportOptions) -> Result<Ensemble, String> {
    let mut found = Found::default();
    found.add(tensors_of(bytes)?)?;
    found.ensemble(options)
}

/// Tensors under our names, from one or several files.
#[derive(Default)]
struct Found {
    tensors: BTreeMap<String, Tensor>,
    members: usize,
    /// Mean and standard deviation of each channel, where a file has them.
    mean: Option<Vec<f64>>,
    std: Option<Vec<f64>>,
}

impl Found {
    /// Adds the tensors of one file.
    fn add(&mut self, tensors: BTreeMap<String, Tensor>) -> Result<(), String> {
        let mut members = 0;
        for (name, tensor) in tensors {
            let (place, rest) = place(&name);
            let prefix = match place {
                Place::Lcm => "lcm".to_owned(),
                Place::Member(i) => {
                    members = members.max(i + 1);
                    format!("model_{}", self.members + i)
                }
            };
            match rest {
                "normalizer.mean" => self.mean = normalization(&tensor, self.mean.take(), &name)?,
                "normalizer.std" => self.std = normalization(&tensor, self.std.take(), &name)?,
                _ if rest.ends_with("num_batches_tracked") => {}
                _ => {
                    let name = format!("{prefix}.{rest}");
                    if self.tensors.insert(name.clone(), tensor).is_some() {
                        return Err(format!("has `{name}`, which another file has too"));
                    }
                }
            }
        }
        self.members += members;
        Ok(())
    }

    /// The ensemble that the tensors are of.
    fn ensemble(mut self, options: &ImportOptions) -> Result<Ensemble, String> {
        let config = self.config(options)?;
        cldl_train::fits(&config, &options.dataset)
            .map_err(|what| format!("can't be imported: {what}"))?;
        let problems = self.problems(&config).map_err(|e| first_line(&e))?;
        if !problems.is_empty() {
            return Err(format!("can't be imported: {}", problems.join("; ")));
        }
        let mut source = Params::stored(&mut self.tensors);
        let ensemble = Ensemble::new(config, &mut source, &Device::Cpu);
        drop(source);
        let ensemble = ensemble.map_err(|e| first_line(&e))?;
        cldl_train::check_finite(&ensemble)?;
        Ok(ensemble)
    }

    /// The shape of the ensemble that the tensors are of.
    fn config(&self, options: &ImportOptions) -> Result<EnsembleConfig, String> {
        let has = |name: &str| self.tensors.contains_key(&format!("model_0.{name}"));
        let arch = if has("Linear.weight") {
            Arch::LeNet5
        } else if has("layer1.0.conv1.weight") {
            Arch::ResNet20
        } else {
            let first = self.tensors.keys().next().map_or("nothing", String::as_str);
            return Err(format!("holds neither a lenet5 nor a resnet20, but `{first}`"));
        };
        let dataset = &options.dataset;
        if arch.image_shape() != dataset.image_shape() {
            return Err(format!("holds a {arch}, whose images are not those of {dataset}"));
        }
        Ok(EnsembleConfig {
            arch,
            members: self.members,
            n_classes: dataset.n_classes(),
            leaky_slope: options.leaky_slope,
            mean: self.mean.clone().unwrap_or_else(|| shortest(dataset.mean())),
            std: self.std.clone().unwrap_or_else(|| shortest(dataset.std())),
            lcm: self.tensors.keys().any(|name| name.starts_with("lcm.")),
        })
    }

    /// How the tensors differ from those of an ensemble of shape `config`.
    fn problems(&self, config: &EnsembleConfig) -> candle::Result<Vec<String>> {
        let wanted = shapes(config)?;
        let missing: Vec<_> =
            wanted.keys().filter(|name| !self.tensors.contains_key(*name)).collect();
        let unknown: Vec<_> =
            self.tensors.keys().filter(|name| !wanted.contains_key(*name)).collect();
        let misshapen = self.tensors.iter().filter_map(|(name, tensor)| {
            let (found, wanted) = (tensor.dims(), wanted.get(name)?.as_slice());
            (found != wanted).then(|| format!("`{name}` is {found:?}, expected {wanted:?}"))
        });
        let mut problems = Vec::new();
        problems.extend(listed("missing", &missing));
        problems.extend(listed("not known", &unknown));
        problems.extend(misshapen.take(MOST_LISTED));
        Ok(problems)
    }
}

/// Name and shape of every tensor of an ensemble of shape `config`. One member is built and stands for all: their
/// number is whatever a name in the file says.
fn shapes(config: &EnsembleConfig) -> candle::Result<BTreeMap<String, Vec<usize>>> {
    let mut source =
        |_: &str, shape: &[usize], _: Init| Tensor::zeros(shape, DType::F32, &Device::Cpu);
    let one = EnsembleConfig { members: 1, ..config.clone() };
    let mut shapes = BTreeMap::new();
    for (name, tensor) in Ensemble::new(one, &mut source, &Device::Cpu)?.params.tensors() {
        let shape = tensor.dims().to_vec();
        match name.strip_prefix("model_0.") {
            None => drop(shapes.insert(name, shape)),
            Some(rest) => shapes
                .extend((0..config.members).map(|i| (format!("model_{i}.{rest}"), shape.clone()))),
        }
    }
    Ok(shapes)
}

/// How many names a message lists.
const MOST_LISTED: usize = 4;

/// `missing: a, b and 3 more`, if there are any.
fn listed(what: &str, names: &[&String]) -> Option<String> {
    let first: Vec<_> = names.iter().take(MOST_LISTED).map(|name| format!("`{name}`")).collect();
    let more = match names.len().saturating_sub(MOST_LISTED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    (!first.is_empty()).then(|| format!("{what}: {}{more}", first.join(", ")))
}

/// Whose tensor a name is.
enum Place {
    Member(usize),
    Lcm,
}

/// Whose tensor `name` is, and its name there: without the wrappers of the authors (`model.`, which adds the
/// normalization) and of `DataParallel` (`module.`).
fn place(name: &str) -> (Place, &str) {
    let name = name.strip_prefix("module.").unwrap_or(name);
    for lcm in ["lcm_model.", "lcm."] {
        if let Some(rest) = name.strip_prefix(lcm) {
            return (Place::Lcm, rest);
        }
    }
    let member = name.strip_prefix("model_").and_then(|rest| {
        let (number, rest) = rest.split_once('.')?;
        Some((number.parse::<usize>().ok().filter(|number| *number < 1000)?, rest))
    });
    let (number, rest) = member.unwrap_or((0, name));
    let rest = rest.strip_prefix("module.").unwrap_or(rest);
    (Place::Member(number), rest.strip_prefix("model.").unwrap_or(rest))
}

/// The normalization's numbers in `tensor`, which must be those `known` from another member.
fn normalization(
    tensor: &Tensor,
    known: Option<Vec<f64>>,
    name: &str,
) -> Result<Option<Vec<f64>>, String> {
    let values: Vec<f32> =
        tensor.flatten_all().and_then(|t| t.to_vec1()).map_err(|e| first_line(&e))?;
    let values = shortest(&values);
    match known {
        Some(known) if known != values => {
            Err(format!("has members with different normalizations: `{name}` is {values:?}"))
        }
        _ => Ok(Some(values)),
    }
}

/// Each f32 as the f64 with the same shortest decimal form: 0.1307, not 0.13070000708.
fn shortest(values: &[f32]) -> Vec<f64> {
    values.iter().map(|v| v.to_string().parse().unwrap_or(f64::from(*v))).collect()
}
