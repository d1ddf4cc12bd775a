#!/usr/bin/env bash
# scikit-learn: PCA(whiten=True) of n points keeps a direction without variance and divides by its rounding error
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT; cd "$folder"
python3 -m venv env
env/bin/pip install --quiet --disable-pip-version-check numpy==2.4.6 scikit-learn==1.9.1
cat > find.py <<'PYTHON'
import sys

import numpy as np
import sklearn
from sklearn.decomposition import PCA

print("scikit-learn", sklearn.__version__)
print("naive guess: whitened coordinates of new points from the same law are of order 1")
random = np.random.default_rng(0)
points, new = random.normal(size=(20, 50)), random.normal(size=(5, 50))
pca = PCA(whiten=True).fit(points)
print(f"20 points in 50 dimensions: {pca.n_components_} components, the last with variance {pca.explained_variance_[-1]:.1e}")
print(f"largest coordinate: of the 20 points {abs(pca.transform(points)).max():.1f}, of new ones {abs(pca.transform(new)).max():.1e}")
print("behaviour: centred points span 19 dimensions; the 20th component is rounding, and whitening divides by it")
sys.exit(not (pca.n_components_ == 20 and abs(pca.transform(new)).max() > 1e10))
PYTHON
env/bin/python find.py
