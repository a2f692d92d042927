# /// script
# requires-python = ">=3.9"
# dependencies = ["torch>=2", "safetensors", "numpy"]
# ///
"""Loads a checkpoint of cldl in PyTorch and classifies images.

    python load_checkpoint.py CHECKPOINT IMAGES.safetensors

CHECKPOINT is a directory of `cldl export` or `cldl hub pull`; IMAGES holds `images` (f32, [N, Ch, H, W], pixels in [0, 1]),
as `cldl attack --out` writes them. Prints one class a line. If IMAGES has `log_probs` too, the largest difference to
these is printed instead.
"""

import json
import pathlib
import sys

import torch
from safetensors.torch import load_file
from torch import nn
from torch.nn import functional as F


class LeNet5(nn.Module):
    """20 and 50 channels, 500, 64 (the representation), classes."""

    def __init__(self, n_classes, slope):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 20, 5)
        self.conv2 = nn.Conv2d(20, 50, 5)
        self.Linear = nn.Linear(800, 500)
        self.input_vec = nn.Linear(500, 64)
        self.predicted_label = nn.Linear(64, n_classes)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        x = F.relu(self.Linear(x.flatten(1)))
        return self.predicted_label(F.relu(self.input_vec(x)))


class Block(nn.Module):
    """Two 3x3 convolutions and a shortcut."""

    def __init__(self, inputs, width, stride, slope):
        super().__init__()
        self.slope = slope
        self.conv1 = nn.Conv2d(inputs, width, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.downsample = None
        if stride != 1 or inputs != width:
            conv = nn.Conv2d(inputs, width, 1, stride, bias=False)
            self.downsample = nn.Sequential(conv, nn.BatchNorm2d(width))

    def forward(self, x):
        shortcut = x if self.downsample is None else self.downsample(x)
        y = F.leaky_relu(self.bn1(self.conv1(x)), self.slope)
        return F.leaky_relu(self.bn2(self.conv2(y)) + shortcut, self.slope)


class ResNet20(nn.Module):
    """Widths 16, 32, 64, three blocks each; 64 (the representation), classes."""

    def __init__(self, n_classes, slope):
        super().__init__()
        self.slope = slope
        self.conv1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        inputs = 16
        for stage, width in enumerate([16, 32, 64], start=1):
            first = Block(inputs, width, 1 if stage == 1 else 2, slope)
            others = [Block(width, width, 1, slope) for _ in range(2)]
            setattr(self, f"layer{stage}", nn.Sequential(first, *others))
            inputs = width
        self.input_vec = nn.Linear(64, 64)
        self.predicted_label = nn.Linear(64, n_classes)

    def forward(self, x):
        x = F.leaky_relu(self.bn1(self.conv1(x)), self.slope)
        x = self.layer3(self.layer2(self.layer1(x))).mean((2, 3))
        return self.predicted_label(F.leaky_relu(self.input_vec(x), self.slope))


class Ensemble(nn.Module):
    """Log of the mean probability of its members (one member: its logits); takes pixels in [0, 1]."""

    def __init__(self, config, state):
        super().__init__()
        shape = config["ensemble"]
        network = {"lenet5": LeNet5, "resnet20": ResNet20}[shape["arch"]]
        self.mean = torch.tensor(shape["mean"]).view(1, -1, 1, 1)
        self.std = torch.tensor(shape["std"]).view(1, -1, 1, 1)
        self.members = nn.ModuleList()
        for i in range(shape["members"]):
            member = network(shape["n_classes"], shape["leaky_slope"])
            prefix = f"model_{i}."
            own = {k[len(prefix):]: v for k, v in state.items() if k.startswith(prefix)}
            member.load_state_dict(own)  # strict: every name and shape
            self.members.append(member)

    def forward(self, x):
        logits = [member((x - self.mean) / self.std) for member in self.members]
        if len(logits) == 1:
            return logits[0]
        probs = torch.stack([F.softmax(z, dim=-1) for z in logits]).mean(0)
        return probs.clamp_min(1.2e-38).log()


def load(checkpoint):
    """The ensemble in the directory `checkpoint`, ready to classify."""
    folder = pathlib.Path(checkpoint)
    config = json.loads((folder / "config.json").read_text())
    return Ensemble(config, load_file(folder / "model.safetensors")).eval(), config


def main():
    if len(sys.argv) != 3:
        sys.exit("usage: python load_checkpoint.py CHECKPOINT IMAGES.safetensors")
    ensemble, config = load(sys.argv[1])
    data = load_file(sys.argv[2])
    with torch.no_grad():
        log_probs = ensemble(data["images"])
    if "log_probs" in data:
        print((log_probs - data["log_probs"]).abs().max().item())
        return
    for label in log_probs.argmax(-1):
        print(config["classes"][label])


if __name__ == "__main__":
    main()
