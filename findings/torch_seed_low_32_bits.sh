#!/usr/bin/env bash
# PyTorch: the generator of the CPU keeps the low 32 bits of a seed
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT; cd "$folder"
python3 -m venv env
env/bin/pip install --quiet --disable-pip-version-check numpy==2.4.6 torch==2.14.1
cat > find.py <<'PYTHON'
import sys

import torch

print("torch", torch.__version__)
print("naive guess: seeds are 64 bits wide (manual_seed takes them, initial_seed gives them back), so 1 and 1 + 2^32 differ")
streams = {seed: torch.rand(4, generator=torch.Generator().manual_seed(seed)) for seed in (1, 1 + 2**32, 1 + 2**33, 2)}
for seed, numbers in streams.items():
    print(seed, torch.Generator().manual_seed(seed).initial_seed(), [round(float(x), 4) for x in numbers])
same = [bool((streams[1] == streams[seed]).all()) for seed in (1 + 2**32, 1 + 2**33, 2)]
print("behaviour: the Mersenne twister is seeded by 32 bits; runs that count as independent are one run")
print("so 1000 * seed + purpose coincides for seeds 1 and 536870913:", (1000 * 1) % 2**32 == (1000 * 536870913) % 2**32)
sys.exit(same != [True, True, False])
PYTHON
env/bin/python find.py
