#!/usr/bin/env bash
# MyST-NB: a glued NumPy number with a format vanishes from the page
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT; cd "$folder"
python3 -m venv env
env/bin/pip install --quiet --disable-pip-version-check numpy==2.4.6 myst-nb==1.4.0 sphinx==7.4.7 ipykernel==7.4.0
cat > find.py <<'PYTHON'
import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

print("myst-nb", version("myst-nb"))
print("naive guess: {glue:text}`a:.2f` prints a NumPy number as it prints one of Python")
Path("conf.py").write_text('extensions = ["myst_nb"]\nnb_execution_mode = "force"\n')
Path("index.md").write_text("""---
file_format: mystnb
kernelspec: {name: python3}
---
# Page

```{code-cell}
import numpy as np
from myst_nb import glue
glue("plain", 0.125, display=False)
glue("scalar", np.float32(0.125), display=False)
```

plain <{glue:text}`plain:.2f`>, scalar <{glue:text}`scalar:.2f`>
""")
done = subprocess.run([sys.executable, "-m", "sphinx", "-q", "-b", "html", ".", "html"], capture_output=True, text=True)
text = re.sub("<[^<>]*>", "", Path("html/index.html").read_text())
line = next(line for line in text.splitlines() if line.startswith("plain"))
words = [line[-90:] for line in done.stderr.splitlines() if "index.md" in line]
print("exit status", done.returncode, "| warnings of the page:", words or "none")
print("the page says:", line)
print("behaviour: the text of a NumPy scalar is its repr, np.float32(0.125), which cannot be read back as a number: a warning, exit status 0, and a gap in the sentence")
sys.exit(not ("0.12" in line.split("scalar")[0] and "0.12" not in line.split("scalar")[1]))
PYTHON
env/bin/python find.py
