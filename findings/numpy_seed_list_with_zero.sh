#!/usr/bin/env bash
# NumPy: default_rng([seed, 0]) is default_rng(seed)
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT; cd "$folder"
python3 -m venv env
env/bin/pip install --quiet --disable-pip-version-check numpy==2.4.6
cat > find.py <<'PYTHON'
import sys

import numpy as np

print("numpy", np.__version__)
print("naive guess: a seed and a purpose as a list, default_rng([5, 0]), is another stream than default_rng(5)")
alone, zero, zeros, one, turned = (np.random.default_rng(s).random(4) for s in (5, [5, 0], [5, 0, 0], [5, 1], [0, 5]))
same = {"[5, 0]": (alone == zero).all(), "[5, 0, 0]": (alone == zeros).all(), "[5, 1]": (alone == one).all(), "[0, 5]": (alone == turned).all()}
for name, equal in same.items():
    print(f"default_rng({name}) is default_rng(5): {bool(equal)}")
print("behaviour: zeros at the end of the list do not count, so purpose 0 shares its numbers with whoever seeds by 5 alone")
sys.exit(list(map(bool, same.values())) != [True, True, False, False])
PYTHON
env/bin/python find.py
