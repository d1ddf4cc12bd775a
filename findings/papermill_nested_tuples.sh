#!/usr/bin/env bash
# papermill: tuples become lists, and tuples inside a list become text
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT; cd "$folder"
python3 -m venv env
env/bin/pip install --quiet --disable-pip-version-check papermill==2.7.0 ipykernel==7.4.0
cat > find.py <<'PYTHON'
import sys
from importlib.metadata import version

import nbformat
import papermill
from nbformat.v4 import new_code_cell, new_notebook

print("papermill", version("papermill"))
print("naive guess: a parameter arrives as what it is in Python")
cells = [new_code_cell("widths = [(8, 2)]", metadata={"tags": ["parameters"]}), new_code_cell("print(type(widths[0]).__name__)")]
metadata = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
nbformat.write(new_notebook(cells=cells, metadata=metadata), "in.ipynb")
out = papermill.execute_notebook("in.ipynb", "out.ipynb", parameters={"widths": [(16, 4)]}, progress_bar=False)
print("injected:", out.cells[1].source.splitlines()[-1], "| the notebook sees:", out.cells[2].outputs[0].text.strip())
print("behaviour: the translator for Python knows lists and dictionaries; what it does not know is written as text")
sys.exit(out.cells[2].outputs[0].text.strip() != "str")
PYTHON
env/bin/python find.py
