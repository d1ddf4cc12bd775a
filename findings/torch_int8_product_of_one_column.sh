#!/usr/bin/env bash
# PyTorch: on a CPU the int8 product of single columns is wrong where the second factor is a transpose
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT; cd "$folder"
python3 -m venv env
env/bin/pip install --quiet --disable-pip-version-check numpy==2.4.6 torch==2.14.1
cat > find.py <<'PYTHON'
import sys

import torch

print("torch", torch.__version__)
print("naive guess: torch._int_mm(a, b.T), the int8 product that quantised linear layers are built on, is exact for every inner size")
g = torch.Generator().manual_seed(0)
wrong = {}
for d in (1, 2, 3, 8, 64):
    a, b = (torch.randint(-127, 128, (n, d), generator=g, dtype=torch.int8) for n in (4, 5))
    exact = a.long() @ b.long().T
    wrong[d] = [int((torch._int_mm(a, other).long() != exact).sum()) for other in (b.T, b.T.contiguous())]
    print(f"inner size {d}: {wrong[d][0]} of 20 products wrong with b.T, {wrong[d][1]} with b.T.contiguous()")
print("behaviour: a transposed column has strides (1, 1), which are taken for those of a plain row; no error, no warning")
sys.exit(not (wrong[1][0] > 0 and not any(wrong[d][0] for d in (2, 3, 8, 64))))
PYTHON
env/bin/python find.py
