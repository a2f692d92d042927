"""Writes a golden case in f64 throughout: `python make_f64.py ORACLE_DIR --arch resnet20 --slope 0.1 --out FILE`.

`ORACLE_DIR` holds the oracle's `oracle.py` and `make_golden.py`; the other options are `make_golden.py`'s.
In f32 a deep network in training mode amplifies rounding, PyTorch's as well as ours, so that its f32
case can only be compared loosely. In f64 nothing hides: such a case is held to 1e-6.
"""
import json
import sys

import numpy as np
import torch

sys.path.insert(0, sys.argv[1])
import oracle

torch.set_default_dtype(torch.float64)
uniform = oracle.uniform
oracle.uniform = lambda name, seed, n: uniform(name, seed, n).astype(np.float64)
torch.Tensor.float = torch.Tensor.double

import make_golden as m

p = m.argparse.ArgumentParser()
p.add_argument("oracle")
p.add_argument("--arch", choices=["lenet5", "resnet20"], required=True)
p.add_argument("--members", type=int, default=3)
p.add_argument("--batch", type=int, default=8)
p.add_argument("--seed", type=int, default=1)
p.add_argument("--slope", type=float, default=0.0)
p.add_argument("--out", required=True)
a = p.parse_args()
case = {"dtype": "f64", **m.case(a.arch, a.members, a.batch, a.seed, a.slope)}
# One attack will do: the others differ in settings alone, which the f32 case holds, and f64 is slow.
case["attacks"] = [x for x in case["attacks"] if (x["kind"], x["loss"]) == ("pgd", "ce")][-1:]
with open(a.out, "w") as f:
    json.dump(m.rounded(case), f)
