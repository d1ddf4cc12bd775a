"""What all commands share: lines that never end a command, and errors in one line with the exit status of the command."""

import io
import os
import subprocess
import sys

import pytest

from separations import command_line
from separations.files import PACKAGE

CALL = "import sys\nfrom separations.command_line import say, tell\n"


def ended(code: str, redirection: str) -> subprocess.CompletedProcess:
    """How Python ends with standard streams redirected by a shell."""
    line = ["bash", "-c", f'"$0" -c "$1" {redirection}', sys.executable, CALL + code]
    return subprocess.run(line, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": str(PACKAGE.parent)})


@pytest.mark.parametrize("redirection", [">&-", "> /dev/full", "| true", "2>&-", "2> /dev/full"])
def test_a_line_that_nobody_can_read_ends_nothing_where_it_need_not_be_read(redirection):
    done = ended(
        "for i in range(9): tell('x' * 99999, must=False), say('y')\nsys.exit(7)",
        f"{redirection}; exit ${{PIPESTATUS[0]}}",
    )
    assert done.returncode == 7 and "Traceback" not in done.stderr


def test_a_line_that_must_be_written_is_an_error_on_a_full_disk_and_none_for_a_reader_that_left():
    code = "try:\n    tell('x' * 99999)\nexcept OSError as error:\n    sys.exit(error.errno)"
    assert ended(code, "> /dev/full").returncode == 28
    assert ended(code, "| true; exit ${PIPESTATUS[0]}").returncode == 0


def test_what_an_encoding_lacks_is_written_as_its_number(monkeypatch):
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", stream)
    command_line.tell("é\ud800")
    assert stream.buffer.getvalue() == b"\\xe9\\ud800\n"


def test_an_error_is_one_line_with_the_words_and_the_status_of_the_command(capsys):
    def fail(error):
        raise error

    assert command_line.guarded("x", lambda: 5) == 5
    assert command_line.guarded("x", lambda: fail(ValueError("a\n  b"))) == 2
    status, words = {FileNotFoundError: 74, ValueError: 3}, {FileNotFoundError: "gone", ValueError: "odd"}
    for error in (FileNotFoundError(2, "no"), ValueError("v")):
        found = command_line.guarded("y", lambda e=error: fail(e), lambda e: status[type(e)], lambda e: words[type(e)])
        assert found == status[type(error)]
    assert capsys.readouterr().err == "separations.x: a b\nseparations.y: gone\nseparations.y: odd\n"
    with pytest.raises(KeyError):  # a mistake of ours is no bad input
        command_line.guarded("x", lambda: fail(KeyError("k")))
