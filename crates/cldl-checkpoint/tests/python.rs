//! PyTorch reads what we write and we read what it writes. Needs a Python with torch and safetensors (`python3`, or what
//! `CLDL_PYTHON` names); says so and passes where there is none.
#![allow(clippy::unwrap_used, reason = "a test fails where it unwraps")]

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use candle::{Device, Tensor};
use cldl_checkpoint::pytorch::{ImportOptions, import};
use cldl_checkpoint::{Config, load, write};
use cldl_core::{Classifier as _, Params, Stream};
use cldl_data::DatasetName;
use cldl_models::{Arch, Ensemble, EnsembleConfig};

/// Saves a checkpoint as the authors of CLDL do: wrapped, with the normalization, a file for the label confusion model.
const SAVE: &str = r#"
import sys, torch
from collections import OrderedDict
from safetensors.torch import load_file
folder, out, lcm_out, mean, std = sys.argv[1:]
state = load_file(folder + "/model.safetensors")
saved, lcm = {}, OrderedDict()
for name, tensor in state.items():
    place, rest = name.split(".", 1)
    if place == "lcm":
        lcm[rest] = tensor
        continue
    member = saved.setdefault(place, OrderedDict())
    member["model." + rest] = tensor
    if rest.endswith("running_mean"):
        member["model." + rest.replace("running_mean", "num_batches_tracked")] = torch.tensor(5)
numbers = lambda text: torch.tensor([float(x) for x in text.split(",")])
for member in saved.values():
    member["normalizer.mean"], member["normalizer.std"] = numbers(mean), numbers(std)
torch.save(saved, out)
torch.save({"lcm_model": lcm}, lcm_out)
"#;

fn python() -> Option<PathBuf> {
    let python = std::env::var_os("CLDL_PYTHON").map_or("python3".into(), PathBuf::from);
    let found = Command::new(&python).args(["-c", "import torch, safetensors.torch"]).output();
    if found.is_ok_and(|output| output.status.success()) {
        return Some(python);
    }
    println!("skipped: `{}` has no torch and safetensors (see CLDL_PYTHON)", python.display());
    None
}

fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// An ensemble with drawn weights and running statistics that are not those of a fresh one.
fn ensemble(arch: Arch, leaky_slope: f64) -> (Ensemble, DatasetName) {
    let dataset = if arch == Arch::LeNet5 { DatasetName::Mnist } else { DatasetName::Cifar10 };
    let numbers = |v: &[f32]| v.iter().map(|x| x.to_string().parse().unwrap()).collect();
    let config = EnsembleConfig {
        arch,
        members: 3,
        n_classes: 10,
        leaky_slope,
        mean: numbers(dataset.mean()),
        std: numbers(dataset.std()),
        lcm: true,
    };
    let ensemble =
        Ensemble::new(config, &mut Params::fresh(3, &Device::Cpu), &Device::Cpu).unwrap();
    for (name, var) in &ensemble.params.buffers {
        let mut stream = Stream::new(7, name, &[]);
        let values: Vec<f32> = (0..var.elem_count()).map(|_| 0.5 + stream.uniform()).collect();
        var.set(&Tensor::from_vec(values, var.dims(), &Device::Cpu).unwrap()).unwrap();
    }
    (ensemble, dataset)
}

fn images(arch: Arch) -> Tensor {
    let [c, h, w] = arch.image_shape();
    let mut stream = Stream::new(1, "images", &[]);
    let pixels: Vec<f32> = (0..8 * c * h * w).map(|_| stream.uniform()).collect();
    Tensor::from_vec(pixels, (8, c, h, w), &Device::Cpu).unwrap()
}

#[test]
fn pytorch_and_we_read_each_other() {
    let Some(python) = python() else { return };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/load_checkpoint.py");
    for (arch, slope) in [(Arch::LeNet5, 0.0), (Arch::ResNet20, 0.1)] {
        let folder = tempfile::tempdir().unwrap();
        let place = |name: &str| folder.path().join(name);
        let (ensemble, dataset) = ensemble(arch, slope);
        let config = Config::new(ensemble.config.clone(), dataset.into(), None, 0);
        write(&place("ours"), &ensemble, config, false).unwrap();

        let images = images(arch);
        let log_probs = ensemble.logits(&images).unwrap();
        let tensors = HashMap::from([("images", images), ("log_probs", log_probs)]);
        candle::safetensors::save(&tensors, place("images.safetensors")).unwrap();
        let (ours, images) = (place("ours"), place("images.safetensors"));
        let text = run(Command::new(&python).arg(&script).args([&ours, &images]));
        let difference: f64 = text.trim().parse().unwrap();
        assert!(difference < 1e-5, "{arch}: {difference}");

        let list =
            |numbers: &[f64]| numbers.iter().map(f64::to_string).collect::<Vec<_>>().join(",");
        let mut save = Command::new(&python);
        save.args(["-c", SAVE]).args([&ours, &place("theirs.pth"), &place("lcm.pth")]);
        run(save.args([list(&ensemble.config.mean), list(&ensemble.config.std)]));
        let options = ImportOptions { dataset: dataset.into(), leaky_slope: slope };
        let files = [place("theirs.pth"), place("lcm.pth")];
        let (back, config) = import(&files, &options).unwrap();
        assert_eq!(back.config, ensemble.config);
        write(&place("back"), &back, config, false).unwrap();
        let model = |name: &str| std::fs::read(place(name).join("model.safetensors")).unwrap();
        assert!(model("ours") == model("back"), "{arch}: the weights changed on the way");
        load(&place("back"), &Device::Cpu).unwrap();
    }
}
