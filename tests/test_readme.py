"""The README says what the book found, in the sentences of the results page, and shows its figures as they are committed."""

from pathlib import Path

import pytest

from separations.book.readme import BELOW, FOLDER, HEADING, readme_files, with_findings
from separations.run.profiles import Book

ROOT = Path(__file__).parents[1]


def test_the_readme_is_that_of_the_book():
    files = readme_files(Book(ROOT, "laptop"))
    behind = [name for name, content in files.items() if (ROOT / name).read_bytes() != content]
    assert not behind, f"{', '.join(behind)}: python -m separations.book readme brings them up to date"
    assert {path.name for path in (ROOT / FOLDER).iterdir()} == {Path(name).name for name in files} - {"README.md"}
    assert len(files) >= 7, "a picture of each part"


def test_sentences_are_numbered_below_their_heading_and_nothing_else_changes():
    text = f"# T\n\n{HEADING}\n\nold\n\n## Next\n\n1. own\n"
    made = with_findings(text, ["A " * 100, "b"])
    assert made.startswith(f"# T\n\n{HEADING}\n\n1. A A") and "\n2. b\n" in made and "old" not in made
    assert made.endswith(f"{BELOW}\n\n## Next\n\n1. own\n") and with_findings(made, ["A " * 100, "b"]) == made
    assert max(map(len, made.splitlines())) <= 128


def test_a_readme_without_the_heading_is_refused():
    with pytest.raises(ValueError, match="What it found"):
        with_findings("# T\n", ["a"])
