"""The book as every command sees it: one repository under one profile, and where everything of it lies.

A profile is parameters for many notebooks, by name: `params/NAME.yml` in the repository, or the notebooks' own defaults.
"""

import re
from dataclasses import dataclass, replace
from pathlib import Path

from ..files import PACKAGE
from .fingerprint import fingerprint
from .notebooks import read_notebook
from .parameters import checked_parameters, overrides_for, read_params

DEFAULT_PROFILE = "laptop"  # the notebooks' own defaults
PROFILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")  # a file in params/, and part of the names of folders


@dataclass(frozen=True)
class Book:
    """A repository of notebooks under a profile: each command makes one and hands it on, so neither can be another further down.

    It holds names, no contents: what a file says is read when it is asked for, since notebooks change while a book is built.

    Args:
        root: the repository, with `book/`, `params/`, `sweeps/` and `_toc.yml`; a command resolves it, links followed.
        profile: name of the parameters; it may be one that is not there, which `params_file` says.
    """

    root: Path
    profile: str = DEFAULT_PROFILE

    def under(self, profile: str) -> "Book":
        """The same repository under another profile."""
        return replace(self, profile=profile)

    @property
    def build(self) -> Path:
        """Folder of all that is made: `_build`."""
        return self.root / "_build"

    def notebook(self, key: str) -> Path:
        """File of a notebook by its key, as `foundations/13_two_scores`."""
        return self.root / "book" / f"{key}.ipynb"

    def run_folder(self, key: str) -> Path:
        """Folder of a notebook's run under this profile."""
        return self.build / "runs" / self.profile / key

    def folder(self, name: str) -> Path:
        """Folder `name` in `_build` that belongs to this profile, as 'html'; the default profile has the plain name."""
        return self.build / (name if self.profile == DEFAULT_PROFILE else f"{name}-{self.profile}")

    def sweep_folder(self, name: str) -> Path:
        """Folder of a sweep, whatever its profile."""
        return self.build / "sweeps" / name

    @property
    def evidence_file(self) -> Path:
        """Where the evidence of this profile is stored."""
        return self.root / "book" / "appendix" / "evidence" / f"{self.profile}.json"

    @property
    def profiles(self) -> list[str]:
        """Names of the parameters files, sorted."""
        return sorted(path.stem for path in (self.root / "params").glob("*.yml"))

    def params_file(self) -> Path | None:
        """Parameters file of the profile; None for the notebooks' own defaults.

        Raises:
            ValueError: the profile is not there, or its name is more than that of a file in `params/`.
        """
        if self.profile == DEFAULT_PROFILE:
            return None
        path = self.root / "params" / f"{self.profile}.yml"
        named = isinstance(self.profile, str) and PROFILE_NAME.fullmatch(self.profile)
        if not named or not path.is_file():
            raise ValueError(f"profile = {self.profile!r}: allowed are {', '.join([DEFAULT_PROFILE, *self.profiles])}")
        return path

    def named(self) -> list[str]:
        """Keys of the notebooks that the profile has an entry for, in its order; none for the default profile."""
        path = self.params_file()
        return [key for key in (read_params(path) if path else {}) if self.notebook(key).is_file()]

    def overrides(self, key: str) -> dict:
        """What a notebook's parameters are under the profile, where they differ from its defaults. ValueError for bad ones."""
        path = self.notebook(key)
        given = overrides_for(path, self.params_file())
        return checked_parameters(read_notebook(path), given, key)[1]

    def expected(self, key: str) -> dict:
        """Fingerprint that a fresh run of a notebook under the profile has. ValueError for bad parameters."""
        return fingerprint(self.notebook(key), self.overrides(key))

    def other_library(self) -> Path | None:
        """The repository's own copy of the library, where it has one and another one is at work; None otherwise."""
        own = self.root / "lib" / "separations"
        return own if (own / "__init__.py").is_file() and not own.samefile(PACKAGE) else None
