"""Files of data sets that are not what they should be: cut short, not normalised, damaged, in the way."""

import io
import os
import sys
import urllib.request
import warnings

import numpy as np
import pytest
import torch

from separations import data
from separations.data import command as data_command
from separations.data import fetch as data_fetch
from separations.data import formats as data_formats
from separations.data import load
from separations.data.sources import SPECS


@pytest.fixture(autouse=True)
def own_root(tmp_path, monkeypatch):
    (tmp_path / "root").mkdir()
    monkeypatch.setenv("SEPARATIONS_DATA", str(tmp_path / "root"))
    return tmp_path / "root"


def beats(n: int = 500) -> np.ndarray:
    x = np.random.default_rng(0).normal(size=(n, 140))
    return (x - x.mean(1, keepdims=True)) / x.std(1, keepdims=True)


def ecg_text(x: np.ndarray, label: str = "1") -> str:
    return "".join(f"{label} {' '.join(f'{v:.7f}' for v in row)}\n" for row in x)


def ecg_file(root, text: str):
    path = root / "ecg5000" / "ECG5000_TRAIN.txt"
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


# --- ECG5000 ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scale", [400.0, 1e-5, 1e300])
def test_signals_that_are_not_normalised_are_and_that_is_said(own_root, scale):
    x = beats()
    path = ecg_file(own_root, "".join(f"2 {' '.join(map(repr, row))}\n" for row in (scale * (x + 2.5)).tolist()))
    with pytest.warns(UserWarning, match=f"ecg5000: {path}: 500 of 500 signals do not have mean 0 and variance 1"):
        found = load("ecg5000")
    assert np.abs(found.x.numpy() - x[found.index]).max() < 1e-5 and (found.labels == 1).all()


@pytest.mark.parametrize("correction", [0, 1])
def test_signals_as_published_stay_as_they_are(own_root, correction):
    x = np.round(beats() * np.sqrt((140 - correction) / 140), 7)
    ecg_file(own_root, ecg_text(x))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = load("ecg5000")
    assert torch.equal(found.x, torch.from_numpy(x[found.index]).to(torch.float32)) and found.notes == ()


@pytest.mark.parametrize("value", [0.0, 1024.0, -1e300])
def test_a_signal_without_any_change_is_refused(own_root, value):
    x = beats(3)
    x[1] = value
    path = ecg_file(own_root, ecg_text(x))
    with pytest.raises(ValueError, match=f"{path}, line 2: all 140 samples are the same"):
        load("ecg5000", partial=True)


@pytest.mark.parametrize("n", [249, 499, 501, 1000])
def test_a_file_with_another_number_of_rows_is_refused_unless_it_is_meant(own_root, n):
    path = ecg_file(own_root, ecg_text(beats(n)))
    with pytest.raises(ValueError, match=rf"{path} has {n} rows, ecg5000 \(train\) has 500: .*partial=True"):
        load("ecg5000", limit=10)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert load("ecg5000", partial=True).n == n
    with pytest.raises(ValueError, match="partial = 1: True or False is needed"):
        load("ecg5000", partial=1)


def test_a_last_line_without_an_end_and_repeated_lines_are_said(own_root):
    x = beats()
    x[7] = x[3]
    ecg_file(own_root, ecg_text(x)[:-1])
    with pytest.warns(UserWarning) as said:
        assert len(load("ecg5000").notes) == 2
    texts = " ".join(str(warning.message) for warning in said)
    assert "the last line has no end" in texts and "1 lines repeat others" in texts


@pytest.mark.parametrize("word", ["1_0", "٣", "0x10", "--1", "1e", "."])
def test_words_that_only_python_takes_for_numbers_are_refused(own_root, word):
    text = ecg_text(beats(2)).rstrip("\n").rsplit(" ", 1)[0]
    path = ecg_file(own_root, f"{text} {word}\n")
    with pytest.raises(ValueError, match=f"{path}, line 2: could not convert string to float"):
        load("ecg5000", partial=True)


# --- files of arrays and the originals --------------------------------------------------------------------------------


def npz(root, n=3, labels=(0, 1, 9), split="train", **arrays):
    path = root / "cifar10" / f"{split}.npz"
    path.parent.mkdir(exist_ok=True)
    np.savez(path, **({"x": np.zeros((n, 32, 32, 3), np.uint8), "labels": np.array(labels)} | arrays))
    return path


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([0, 1, 10], r"labels\[2\] = 10, 0 to 9 is needed"),
        ([0, -1, 2], r"labels\[1\] = -1, 0 to 9"),
        ([0.0, 1.0, 2.0], r"labels is float64 of shape \(3,\)"),
        ([True, False, True], "labels is bool"),
        ([[0], [1], [2]], r"labels is int64 of shape \(3, 1\)"),
    ],
)
def test_labels_outside_the_set_are_named(own_root, labels, message):
    path = npz(own_root, labels=labels)
    with pytest.raises(ValueError, match=f"{path}: {message}"):
        load("cifar10", partial=True)


def test_whole_numbers_of_any_kind_are_labels_and_half_a_file_is_refused(own_root):
    path = npz(own_root, labels=np.array([0, 1, 9], np.uint8))
    found = load("cifar10", partial=True)
    assert sorted(found.labels.tolist()) == [0, 1, 9] and found.labels.dtype == torch.int64
    with pytest.raises(ValueError, match=rf"{path} has 3 rows, cifar10 \(train\) has 50000"):
        load("cifar10")


@pytest.mark.parametrize("kind", [bool, np.complex64, np.float16, np.int16])
def test_arrays_of_other_numbers_are_refused(own_root, kind):
    path = npz(own_root, x=np.zeros((3, 32, 32, 3), kind))
    with pytest.raises(ValueError, match=f"{path}: x is {np.dtype(kind)}"):
        load("cifar10")


def test_original_files_that_are_not_all_there_are_named(own_root):
    folder = own_root / "cifar-10-batches-py"
    folder.mkdir()
    (folder / "data_batch_1").write_bytes(b"")
    with pytest.raises(ValueError, match=f"{folder} lacks data_batch_2, data_batch_3, data_batch_4, data_batch_5"):
        load("cifar10")
    (own_root / "flowers-102" / "jpg").mkdir(parents=True)
    with pytest.raises(ValueError, match=r"flowers-102 lacks imagelabels\.mat, setid\.mat"):
        load("flowers102")


# --- fetch ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def downloads(monkeypatch):
    """A set of three images in each split that 'downloads' at once; the list of what was downloaded."""
    done = []
    image = np.full((3, 32, 32, 3), 9, np.uint8)
    split = (image, np.array([0, 1, 2]))
    monkeypatch.setattr(data_fetch, "_download", lambda url, path, sha256, progress: done.append(path.name))
    download = data_fetch.Download("file:///", {"a": ""}, 1, lambda folder: {"train": split, "test": split})
    monkeypatch.setitem(data_fetch.DOWNLOADS, "cifar10", download)
    for name in ("train", "test"):
        monkeypatch.setitem(SPECS["cifar10"].splits, name, 3)
    return done


def test_fetch_keeps_what_is_there_and_adds_what_is_missing(own_root, downloads):
    mine = npz(own_root)
    before = mine.read_bytes()
    assert data_fetch.fetch("cifar10", str(own_root)) and mine.read_bytes() == before
    assert (own_root / "cifar10" / "test.npz").is_file() and downloads == ["a"]
    assert not data_fetch.fetch("cifar10", own_root) and downloads == ["a"]


@pytest.mark.parametrize("damage", ["half", "cut", "no labels", "link"])
def test_fetch_takes_no_damaged_file_for_whole_and_overwrites_none(own_root, downloads, damage):
    path = npz(own_root, n=2 if damage == "half" else 3, labels=(0, 1) if damage == "half" else (0, 1, 2))
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:500])
    if damage == "no labels":
        np.savez(path, x=np.zeros((3, 32, 32, 3), np.uint8))
    if damage == "link":
        path.unlink()
        path.symlink_to("nowhere")
    with pytest.raises(ValueError, match=f"{path} .*take it away"):
        data_fetch.fetch("cifar10", own_root)
    assert downloads == [] and os.path.lexists(path)


def test_a_download_that_breaks_off_is_never_taken_for_whole(own_root, monkeypatch):
    class Answer(io.BytesIO):
        headers = {"Content-Length": "1000"}  # noqa: RUF012

    monkeypatch.setattr(urllib.request, "urlopen", lambda url, timeout: Answer(b"half"))
    with pytest.raises(ValueError, match="SHA-256"):
        data_fetch.fetch("cifar10", own_root)
    monkeypatch.setattr(Answer, "headers", {"Content-Length": "many"})
    with pytest.raises(ValueError, match="SHA-256"):
        data_fetch.fetch("cifar10", own_root)
    assert list(own_root.iterdir()) == []


@pytest.mark.parametrize("name", [None, ["cifar10"], 3])
def test_names_of_another_kind_cannot_be_fetched(name, own_root):
    with pytest.raises(ValueError, match="cannot be fetched: there is no such data set"):
        data_fetch.fetch(name, own_root)


def test_roots_to_fetch_into_that_are_no_folders(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    for root in (tmp_path / "file", tmp_path / "file" / "below", "~nosuchuser/x"):
        assert data_command.main(["fetch", "cifar10", "--root", str(root)]) == 1
        error = capsys.readouterr().err
        assert error.startswith("error: root = ") and error.count("\n") == 1
    with pytest.raises(ValueError, match="root = None"):
        data_fetch.fetch("cifar10", None)


# --- the command ------------------------------------------------------------------------------------------------------


class Closed(io.StringIO):
    """A pipe whose reader has gone."""

    def __init__(self, error: OSError, descriptor: int):
        super().__init__()
        self.error, self.descriptor = error, descriptor

    def flush(self):
        raise self.error

    def fileno(self):
        return self.descriptor


@pytest.mark.parametrize(("error", "status"), [(BrokenPipeError(), 0), (OSError(28, "No space left on device"), 1)])
def test_output_that_cannot_be_written(monkeypatch, capsys, tmp_path, error, status):
    monkeypatch.setattr(data_command, "overview", lambda root: "the list")
    with (tmp_path / "out").open("w") as file:
        monkeypatch.setattr(sys, "stdout", Closed(error, file.fileno()))
        assert data_command.main(["list"]) == status
        assert os.readlink(f"/proc/self/fd/{file.fileno()}") == os.devnull if os.path.exists("/proc/self") else True
    assert capsys.readouterr().err == ("error: [Errno 28] No space left on device\n" if status else "")


def test_closed_streams(monkeypatch):
    monkeypatch.setattr(data_command, "overview", lambda root: "the list")
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", None)
    assert data_command.main(["list"]) == 0
    assert data_command.main(["fetch", "nothing"]) == 1


def test_an_interrupted_command_is_one_line(monkeypatch, capsys):
    def interrupted(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(data_command, "fetch", interrupted)
    assert data_command.main(["fetch", "cifar10"]) == 130
    assert capsys.readouterr().err == "error: interrupted, what was not finished is not kept\n"


def test_the_list_names_files_that_are_cut_short(own_root, capsys):
    path = ecg_file(own_root, ecg_text(beats(9)))
    assert data_command.main([]) == 0
    assert f"damaged: {path} has 9 rows, ecg5000 (train) has 500" in capsys.readouterr().out


# --- arguments --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [int, np.int64, np.uint8, torch.tensor])
def test_whole_numbers_of_any_library(kind):
    found = load("emoji", size=kind(32), limit=kind(50))
    train, rest = found.split(kind(40), torch.Generator().manual_seed(0))
    assert (found.n, train.n, rest.n) == (50, 40, 10)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": ["digits"]}, r"name = \['digits'\]: did you mean 'digits'\? Allowed"),
        ({"split": ["train"]}, r"split = \['train'\]: digits has train"),
        ({"split": None}, "split = None: digits has train"),
        ({"size": True}, "size = True: digits comes with size 8"),
        ({"size": "8"}, "size = '8': digits comes with size 8"),
        ({"limit": True}, "limit = True: a whole number"),
        ({"limit": "3"}, "limit = '3': a whole number"),
        ({"limit": -1}, "limit = -1: a whole number"),
        ({"root": 3}, "root = 3: the path of a folder is needed"),
        ({"root": "a\0b"}, "root = .*: the path of a folder is needed"),
        ({"root": "~nosuchuser/x"}, "root = '~nosuchuser/x': there is no such home folder"),
        ({"name": "folder:~nosuchuser/x"}, "~nosuchuser/x.*: there is no such home folder"),
        ({"name": "folder:.", "size": 10**6}, "size = 1000000: a whole number from 1 to 16384 is needed"),
    ],
)
def test_wrong_arguments_are_one_line(arguments, message):
    with pytest.raises(ValueError, match=message) as error:
        load(**({"name": "digits"} | arguments))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("generator", [3, "seed", np.random.default_rng(0)])
def test_a_generator_of_another_kind(generator):
    with pytest.raises(ValueError, match=r"generator = .*: a torch\.Generator, or None, is needed"):
        load("digits", limit=50).split(10, generator)


@pytest.mark.parametrize("indices", ["ab", None, [2**70], [1j], [[1], [2, 3]]])
def test_indices_of_another_kind(indices):
    with pytest.raises(ValueError, match=r"whole numbers in 0\.\.49"):
        load("digits", limit=50).take(indices)


def test_a_data_root_that_cannot_be_does_not_touch_what_is_installed(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    for root, error, message in (
        ("~nosuchuser/x", ValueError, "SEPARATIONS_DATA = '~nosuchuser/x': there is no such home folder"),
        (str(tmp_path / "file"), FileNotFoundError, "SEPARATIONS_DATA = .* is a file: a folder is needed"),
    ):
        monkeypatch.setenv("SEPARATIONS_DATA", root)
        assert load("digits", limit=3).n == 3
        with pytest.raises(error, match=message):
            load("cifar10")
        with pytest.raises(error, match=message):
            data.data_root()


def test_arrays_are_read_without_a_number_of_classes(own_root):
    assert data_formats.read_npz(npz(own_root), (32, 32, 3))[1].tolist() == [0, 1, 9]
