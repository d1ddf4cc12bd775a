"""YAML that people write: read in one way, or refused with the line."""

import pytest

from separations.files import PACKAGE
from separations.ledger.ledger import load_claims
from separations.yaml_files import parse_yaml, read_yaml


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3", 3),
        ("-0", 0),
        ("1e-3", 0.001),
        ("2E5", 2e5),
        (".5", 0.5),
        ("1.", 1.0),
        ("+4", 4),
        (str(2**70), 2**70),
        ("true", True),
        ("", None),
        ("~", None),
        ("yes", "yes"),
        ("on", "on"),
        ("2020-01-01", "2020-01-01"),
        ("'010'", "010"),
        ("'1:30'", "1:30"),
        ("nan", "nan"),
        ("[1, [2.0, x]]", [1, [2.0, "x"]]),
        ("{a: 1, 2: {b: null}}", {"a": 1, 2: {"b": None}}),
        ("a: &x [1]\nb: *x", {"a": [1], "b": [1]}),
        ("\ufeffa: 1", {"a": 1}),
    ],
)
def test_plain_values_are_read_as_yaml_1_2_has_them(text, value):
    found = parse_yaml(text, "it")
    assert found == value and type(found) is type(value)


def test_bytes_of_a_command_line_that_are_no_text_are_named():
    with pytest.raises(ValueError, match=r"^it holds bytes that are no UTF-8 text: '\\udcff'$"):
        parse_yaml("\udcff", "it")
    assert parse_yaml("[0e-400, 0.0, 5e-324]", "it") == [0.0, 0.0, 5e-324]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("010", "'010' is refused, for a leading zero"),
        ("-010", "leading zero"),
        ("0o17", "decimal"),
        ("0x1F", "decimal"),
        ("1:30", "colons"),
        ("12:30:45.5", "colons"),
        ("1_000", "underscores"),
        ("1_0.5", "underscores"),
        (".nan", "finite"),
        ("-.inf", "finite"),
        ("1e999", "beyond the largest"),
        ("-1.5e-400", "below the smallest"),
        ("9" * 5000, "too long"),
        ("a: 1\nb: 2\na: 3", r"'a' stands there twice \(line 3\)"),
        ("{1: a, 1: b}", "twice"),
        ("x: {y: {k: 1, k: 2}}", "'k' stands there twice"),
        ("{[1]: 2}", "is no key"),
        ("!!python/object/apply:os.getcwd []", "tag"),
        ("!!int '010'", "tag"),
        ("!!set {a}", "tag"),
        ("!mine 3", "tag"),
        ("a: [1", "is not valid YAML"),
        ("a: 1\n--- \nb: 2", "is not valid YAML"),
        ("&a [*a]", "is not valid YAML"),
        ("[" * 3000, "is not valid YAML"),
        ("a: \x00", "is not valid YAML"),
    ],
)
def test_what_could_be_read_in_two_ways_is_refused_in_one_line(text, message):
    with pytest.raises(ValueError, match=message) as caught:
        parse_yaml(text, "it")
    assert "\n" not in str(caught.value) and str(caught.value).startswith("it is not valid YAML")


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    (tmp_path / "latin.yml").write_bytes(b"name: caf\xe9\n")
    for path, message in [
        (tmp_path / "nothing.yml", "does not exist"),
        (tmp_path, "is a folder"),
        (tmp_path / "latin.yml", "is not UTF-8"),
        (tmp_path / ("x" * 5000), "does not exist"),
    ]:
        with pytest.raises(ValueError, match=message) as caught:
            read_yaml(path, "parameters file")
        assert str(caught.value).startswith("parameters file ")


def test_our_own_files_keep_to_it():
    assert len(load_claims()) > 30
    root = PACKAGE.parent.parent
    for path in [*root.glob("params/*.yml"), *root.glob("sweeps/*.yml"), root / "_toc.yml", root / "_config.yml"]:
        assert isinstance(read_yaml(path), dict), path
