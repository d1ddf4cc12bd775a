#!/usr/bin/env bash
# papermill: braces in a path are filled in with parameters
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT; cd "$folder"
python3 -m venv env
env/bin/pip install --quiet --disable-pip-version-check papermill==2.7.0 ipykernel==7.4.0
cat > find.py <<'PYTHON'
import os
import sys
from importlib.metadata import version

import nbformat
import papermill
from nbformat.v4 import new_code_cell, new_notebook

print("papermill", version("papermill"))
print("naive guess: a notebook that is to be written into a folder called 'run {seed}' is written there")
metadata = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
cells = [new_code_cell("seed = 0", metadata={"tags": ["parameters"]})]
nbformat.write(new_notebook(cells=cells, metadata=metadata), "in.ipynb")
for folder in ("run {seed}", "run 3"):
    os.mkdir(folder)
papermill.execute_notebook("in.ipynb", "run {seed}/out.ipynb", parameters={"seed": 3}, progress_bar=False)
found = {folder: os.listdir(folder) for folder in ("run {seed}", "run 3")}
print("what is where:", found)
print("behaviour: both paths are formatted with the parameters before they are used, which is documented for templates only")
sys.exit(found != {"run {seed}": [], "run 3": ["out.ipynb"]})
PYTHON
env/bin/python find.py
