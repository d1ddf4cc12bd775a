"""Profiles: parameters for many notebooks, by name; `params/NAME.yml` in the repository, or the notebooks' own defaults."""

import re
from pathlib import Path

from .fingerprint import fingerprint
from .notebooks import read_notebook
from .parameters import checked_parameters, overrides_for, read_params

DEFAULT_PROFILE = "laptop"  # the notebooks' own defaults


PROFILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")  # a file in params/, and part of the names of folders


def params_file(root: Path, profile: str) -> Path | None:
    """Parameters file of a profile; None for the notebooks' own defaults.

    ValueError for a profile that is not there, or whose name is more than that of a file in `params/`.
    """
    if profile == DEFAULT_PROFILE:
        return None
    path = root / "params" / f"{profile}.yml"
    if not isinstance(profile, str) or not PROFILE_NAME.fullmatch(profile) or not path.is_file():
        there = sorted(item.stem for item in (root / "params").glob("*.yml"))
        raise ValueError(f"profile = {profile!r}: allowed are {', '.join([DEFAULT_PROFILE, *there])}")
    return path


def expected(root: Path, profile: str, key: str) -> dict:
    """Fingerprint that a fresh run of the notebook under the profile has. ValueError for bad parameters."""
    path = root / "book" / f"{key}.ipynb"
    overrides = overrides_for(path, params_file(root, profile))
    return fingerprint(path, checked_parameters(read_notebook(path), overrides, key)[1])


def named_by(root: Path, profile: str) -> list[str]:
    """Keys of the notebooks of the book that a profile has an entry for, in its order; none for the default profile."""
    path = params_file(root, profile)
    table = read_params(path) if path else {}
    return [key for key in table if (root / "book" / f"{key}.ipynb").is_file()]
