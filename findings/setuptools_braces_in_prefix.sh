#!/usr/bin/env bash
# setuptools: an environment in a folder with braces in its name takes wheels, but nothing that has to be built
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
mkdir -p "$folder/my {clone}/package/src"; cd "$folder/my {clone}"
python3 -m venv env
env/bin/python -m pip install --quiet --disable-pip-version-check wheel==0.45.1 setuptools==80.9.0
cat > package/pyproject.toml <<'TOML'
[build-system]
requires = ["setuptools==80.9.0"]
build-backend = "setuptools.build_meta"

[project]
name = "tiny"
version = "1.0"

[tool.setuptools]
package-dir = {"" = "src"}
py-modules = ["tiny"]
TOML
echo "x = 1" > package/src/tiny.py
echo "setuptools 80.9.0, $(env/bin/python --version)"
echo "naive guess: an editable installation works in any folder in which the installation of wheels works"
if env/bin/python -m pip install --disable-pip-version-check --no-build-isolation --no-deps -e package > log 2>&1; then
    echo "behaviour: installed; that has changed"
    exit 1
fi
grep -m1 "invalid variable" log
echo "behaviour: the prefix of the installation goes through a function that fills in {variables}"
