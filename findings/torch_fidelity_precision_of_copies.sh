#!/usr/bin/env bash
# torch-fidelity: exact copies of the reference get a precision below 1
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT; cd "$folder"
python3 -m venv env
env/bin/pip install --quiet --disable-pip-version-check numpy==2.4.6 torch==2.14.1 torchvision==0.29.1 torch-fidelity==0.4.0
cat > find.py <<'PYTHON'
import sys

import torch
import torch_fidelity
from torch_fidelity.metric_prc import prc_features_to_metric

print("torch-fidelity", torch_fidelity.__version__, "torch", torch.__version__)
print("naive guess: a sample that is equal to a reference point lies in that point's ball whatever its radius, so precision is 1")
points = torch.randn(60, 1280, generator=torch.Generator().manual_seed(0))
options = {"prc_batch_size": 10000, "save_cpu_ram": False, "verbose": False}
copies = prc_features_to_metric(points, points.repeat(6, 1), prc_neighborhood=3, **options)["precision"]
single = prc_features_to_metric(points, points, prc_neighborhood=3, **options)["precision"]
print(f"60 points against themselves: {single:.3f}; against a reference that holds each of them six times: {copies:.3f}")
print("behaviour: cdist goes through a matrix product; a distance and a radius that are both 0 become two different rounding errors")
sys.exit(not (single == 1 and copies < 0.99))
PYTHON
env/bin/python find.py
