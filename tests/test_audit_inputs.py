"""Sets of an audit: every format that people have comes out the same; whatever cannot be read is named, in one line."""

import io
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from safetensors.numpy import save_file

from separations.audit.command import main
from separations.audit.sets import read_sets
from separations.audit.sources import open_source
from separations.audit.store import Store
from separations.data import load

S = 16


def images(n: int = 120, seed: int = 0, channels: int = 3, side: int = S) -> np.ndarray:
    """Smooth random images, uint8 (n, h, w, c)."""
    random = np.random.default_rng(seed)
    coarse = random.integers(0, 256, (n, 4, 4, channels)).astype(np.uint8)
    return np.stack([np.asarray(Image.fromarray(each.squeeze()).resize((side, side), Image.Resampling.BICUBIC)).reshape(side, side, channels) for each in coarse])  # fmt: skip


def folder(path, pixels: np.ndarray, ending: str = "png", **options):
    """The images as files."""
    path.mkdir(parents=True, exist_ok=True)
    for i, each in enumerate(pixels):
        Image.fromarray(each.squeeze()).save(path / f"{i:04d}.{ending}", **options)
    return path


def read(given, **options) -> np.ndarray:
    """The values of a set."""
    sets, _ = read_sets(given, given, **options)
    return sets["generated"].values


@pytest.fixture(scope="module")
def pixels() -> np.ndarray:
    return images(20)


def png(image: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image.squeeze()).save(buffer, "PNG")
    return buffer.getvalue()


# ---------------------------------------------------------------------------------------------------------------- formats
def test_all_formats_of_the_same_images_are_the_same_bytes(tmp_path, pixels):
    first = np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))
    np.save(tmp_path / "a.npy", pixels)
    np.save(tmp_path / "b.npy", first)
    np.savez(tmp_path / "c.npz", x=first, labels=np.arange(20))
    save_file({"images": first}, tmp_path / "d.safetensors")
    np.save(tmp_path / "e.npy", first.astype(np.float32) / 127.5 - 1)
    np.save(tmp_path / "f.npy", first.astype(np.float64) / 255)
    table = pa.table(
        {"image": [{"bytes": png(each), "path": f"{i}.png"} for i, each in enumerate(pixels)], "label": list(range(20))}
    )
    pq.write_table(table, tmp_path / "g.parquet")
    with pa.OSFile(str(tmp_path / "h.arrow"), "wb") as sink, pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    with pa.OSFile(str(tmp_path / "i.arrow"), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    (tmp_path / "hub" / "data").mkdir(parents=True)
    pq.write_table(table.slice(0, 12), tmp_path / "hub" / "data" / "train-00000-of-00002.parquet")
    pq.write_table(table.slice(12), tmp_path / "hub" / "data" / "train-00001-of-00002.parquet")
    given = [tmp_path / f"{name}" for name in ("a.npy", "b.npy", "c.npz", "d.safetensors", "e.npy", "f.npy", "g.parquet", "h.arrow", "i.arrow", "hub")]  # fmt: skip
    given += [folder(tmp_path / "folder", pixels), f"{tmp_path}/c.npz::x", torch.from_numpy(first), pixels]
    for each in given:
        found = read(each)
        assert found.dtype == np.uint8 and np.array_equal(found, first), str(each)


def test_a_data_set_by_name_is_that_of_load():
    assert np.array_equal(read("emoji") / np.float32(127.5) - 1, load("emoji").x.numpy())
    assert read("mnist5k").shape == (5000, 1, 28, 28)
    digits = read("digits", size=8)
    assert digits.max() == 255 and digits.shape == (1797, 1, 8, 8)


def test_modes_and_orientation_are_read_as_a_person_sees_them(tmp_path):
    grey = (np.arange(S * S, dtype=np.uint16).reshape(S, S) * 257).clip(0, 65535).astype(np.uint16)
    Image.fromarray(grey).save(tmp_path / "a16.png")
    eight = (grey // 257).astype(np.uint8)
    Image.fromarray(eight).save(tmp_path / "b8.png")
    Image.fromarray(eight).convert("P").save(tmp_path / "palette.png")
    Image.merge("LA", [Image.fromarray(eight), Image.new("L", (S, S), 0)]).save(tmp_path / "clear.png")
    Image.fromarray(eight).convert("RGB").convert("CMYK").save(tmp_path / "cmyk.tiff")
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(eight).save(tmp_path / "turned.png", exif=exif)
    sets, _ = read_sets(tmp_path, tmp_path)
    found = dict(zip(sets["train"].labels, sets["train"].values[:, 0]))
    assert np.array_equal(found["a16.png"], eight) and np.array_equal(found["b8.png"], eight)
    assert (found["clear.png"] == 255).all()
    assert np.array_equal(found["turned.png"], np.rot90(eight, -1))
    assert np.abs(found["cmyk.tiff"].astype(int) - eight).max() <= 2
    assert np.abs(found["palette.png"].astype(int) - eight).max() <= 8


def test_mixed_sizes_become_one_and_the_words_say_it(tmp_path):
    folder(tmp_path / "small", images(5, side=24))
    folder(tmp_path / "large", images(5, side=100))
    sets, words = read_sets(tmp_path / "small", tmp_path / "large")
    assert sets["train"].values.shape == (5, 3, 24, 24) and "24 x 24" in words and "three channels" in words
    assert read_sets(tmp_path / "large", tmp_path / "large")[0]["train"].values.shape[-1] == 64
    assert read_sets(tmp_path / "large", tmp_path / "large", size=32)[0]["train"].values.shape[-1] == 32


def test_a_colour_image_that_comes_late_makes_all_sets_three_channels(tmp_path):
    grey = folder(tmp_path / "grey", images(40, channels=1))
    Image.new("RGB", (S, S), (255, 0, 0)).save(grey / "0021b.png")
    sets, _ = read_sets(grey, images(5, channels=1), store=Store(tmp_path / "cache"))
    assert {each.values.shape[1] for each in sets.values()} == {3}


def test_what_cannot_be_read_is_listed_and_the_rest_goes_on(tmp_path, pixels):
    place = folder(tmp_path / "some", pixels)
    (place / "0003.png").write_bytes(b"no image")
    (place / "0007.png").write_bytes((place / "0006.png").read_bytes()[:60])
    (place / "notes.txt").write_text("hello")
    sets, _ = read_sets(place, pixels)
    said = sets["generated"]
    assert len(said) == 18 and [name for name, _ in said.left_out] == ["0003.png", "0007.png"]
    assert "notes.txt" in said.notes[0] and "0003.png" not in said.labels and said.labels[3] == "0004.png"
    assert said.words()["left_out"] == 2


def test_floats_that_are_not_finite_are_left_out_by_row(pixels):
    x = pixels.transpose(0, 3, 1, 2) / np.float32(127.5) - 1
    x[4, 0, 0, 0] = np.nan
    sets, _ = read_sets(x, pixels)
    assert sets["generated"].left_out == [["row 4", "has NaN or infinite values"]]
    signals = np.random.default_rng(0).normal(size=(30, 20)).astype(np.float32)
    signals[2, 3] = np.inf
    assert read_sets(signals, signals)[0]["train"].left_out[0][0] == "row 2"


# ---------------------------------------------------------------------------------------------------------------- storage
def test_a_killed_reading_goes_on_where_it_stopped(tmp_path):
    made, store = [], Store(tmp_path)

    def produce(start, stop, kill_at=600):
        if start >= kill_at:
            raise KeyboardInterrupt
        made.append(start)
        return np.arange(start, stop, dtype=np.float32)[:, None], [[start, "note"]]

    import separations.audit.store as module

    before, module.EVERY = module.EVERY, 0.0
    try:
        with pytest.raises(KeyboardInterrupt):
            store.array("x", {"a": 1}, 1000, (1,), np.float32, produce, step=100)
        kept = store.array("x", {"a": 1}, 1000, (1,), np.float32, lambda a, b: produce(a, b, 10**9), step=100)
    finally:
        module.EVERY = before
    assert sorted(made) == list(range(0, 1000, 100)) and len(kept.notes) == 10
    assert np.array_equal(kept.values[:, 0], np.arange(1000))
    again = store.array("x", {"a": 1}, 1000, (1,), np.float32, lambda a, b: pytest.fail("made again"))
    assert (
        again.digest
        == kept.digest
        == Store().array("x", {"a": 1}, 1000, (1,), np.float32, lambda a, b: produce(a, b, 10**9)).digest
    )


def test_a_damaged_array_is_made_again_and_a_strange_file_is_not_touched(tmp_path):
    store = Store(tmp_path)

    def produce(start, stop):
        return np.ones((stop - start, 2), np.float32), []

    kept = store.array("x", {}, 10, (2,), np.float32, produce)
    (path,) = tmp_path.glob("*.bin")
    path.write_bytes(b"\1" * path.stat().st_size)
    assert np.array_equal(store.array("x", {}, 10, (2,), np.float32, produce).values, kept.values)
    (known,) = tmp_path.glob("*.json")
    known.write_text(json.dumps({"format": "another"}))
    with pytest.raises(ValueError, match="is not ours"):
        store.array("x", {}, 10, (2,), np.float32, produce)


def test_a_set_that_changes_while_it_is_read_is_an_error(tmp_path, pixels):
    place = folder(tmp_path / "some", pixels)
    source = open_source(place, "train")
    read_one = source.image

    def image(row, side):
        (place / "0001.png").write_bytes(png(pixels[5]))
        return read_one(row, side)

    changing = type(source)(**{**vars(source), "image": image})
    with pytest.raises(ValueError, match=r"train = .*some' changed while it was read"):
        read_sets(pixels, changing)


# --------------------------------------------------------------------------------------------------------------- bad input
def _npz(path, **arrays):
    np.savez(path, **arrays)
    return path


def _file(path, content: bytes):
    path.write_bytes(content)
    return path


def _save(path, array):
    np.save(path, array, allow_pickle=array.dtype == object)
    return path


def _table(path, **columns):
    pq.write_table(pa.table(columns), path)
    return path


GOOD = "GOOD"
BAD = {  # name -> (generated, options, words that the one line must hold); a function of the folder, or a value
    "no such path": ("nowhere/at/all", {}, ["generated = 'nowhere/at/all'", "no such file or folder"]),
    "a misspelt set": ("mnits5k", {}, ["'mnits5k'", "mnist5k"]),
    "no such split": ("mnist5k:test", {}, ["split = 'test'"]),
    "an empty folder": (lambda p: (p / "e").mkdir() or p / "e", {}, ["generated", "no image in it"]),
    "a folder of text": (lambda p: folder(p / "t", images(1)[:0]) and _file(p / "t" / "a.txt", b"x").parent, {}, ["no image", "a.txt"]),
    "a folder with an array": (lambda p: _save((p / "k").mkdir() or p / "k" / "a.npy", images(3)).parent, {}, ["holds a.npy", "name that file"]),
    "a text file": (lambda p: _file(p / "a.txt", b"hello"), {}, ["a.txt", ".npy"]),
    "an empty file": (lambda p: _file(p / "a.npy", b""), {}, ["is empty (0 bytes)"]),
    "a cut npy": (lambda p: _file(p / "a.npy", _save(p / "b.npy", images(9)).read_bytes()[:200]), {}, ["a.npy", "cannot be read"]),
    "a pickled npy": (lambda p: _save(p / "a.npy", np.array([{}, {}], dtype=object)), {}, ["a.npy", "cannot be read"]),
    "a cut npz": (lambda p: _file(p / "a.npz", b"PK\3\4 broken"), {}, ["a.npz", "cannot be read"]),
    "an npz with many arrays": (lambda p: _npz(p / "a.npz", one=images(3), two=images(3)), {}, ["has one, two", "a.npz::NAME"]),
    "a key that is not there": (lambda p: f"{_npz(p / 'a.npz', one=images(3))}::two", {}, ["::two", "the file has one"]),
    "a cut safetensors": (lambda p: _file(p / "a.safetensors", b"\xff" * 40), {}, ["a.safetensors", "cannot be read"]),
    "integers": (lambda p: _save(p / "a.npy", images(3).astype(np.int64)), {}, ["int64", "uint8 images"]),
    "five axes": (lambda p: _save(p / "a.npy", images(3)[None]), {}, ["(1, 3, 16, 16, 3)", "(n, c, h, w)"]),
    "two channels": (lambda p: _save(p / "a.npy", images(3)[..., :2]), {}, ["c = 1, 3 or 4"]),
    "bits for bytes": (lambda p: _save(p / "a.npy", images(3) // 255 | 1), {}, ["0 and 1 alone", "multiply by 255"]),
    "no rows": (lambda p: _save(p / "a.npy", images(3)[:0]), {}, ["has no entries"]),
    "floats in 0..255": (lambda p: _save(p / "a.npy", images(3).astype(np.float32)), {}, ["values from", "[-1, 1]"]),
    "only NaN": (lambda p: _save(p / "a.npy", np.full((3, 3, 8, 8), np.nan, np.float32)), {}, ["none of its 3 entries", "NaN"]),
    "a broken image alone": (lambda p: _file((p / "o").mkdir() or p / "o" / "a.png", b"x").parent, {}, ["none of its 1 entries", "a.png"]),
    "a parquet of text": (lambda p: _table(p / "a.parquet", words=["a", "b"]), {}, ["columns words", "images (bytes)"]),
    "a column that is not there": (lambda p: f"{_table(p / 'a.parquet', image=[b'1'])}::photo", {}, ["::photo", "image"]),
    "a cut parquet": (lambda p: _file(p / "a.parquet", b"PAR1 broken"), {}, ["a.parquet", "cannot be read"]),
    "a parquet without rows": (lambda p: _table(p / "a.parquet", image=pa.array([], pa.binary())), {}, ["has no rows"]),
    "an arrow file cut short": (lambda p: _file(p / "a.arrow", b"ARROW1"), {}, ["a.arrow", "cannot be read"]),
    "signals against images": (lambda p: _save(p / "a.npy", np.zeros((5, 20), np.float32)), {}, ["holds signals", "train holds images"]),
    "a training set of one": (GOOD, {"--train": lambda p: _save(p / "t.npy", images(1))}, ["train", "at least 3"]),
    "a training set of equal images": (GOOD, {"--train": lambda p: _save(p / "t.npy", np.repeat(images(1), 9, 0))}, ["1 distinct"]),
    "few held-out images": (GOOD, {"--held-out": lambda p: _save(p / "h.npy", images(50, 3))}, ["held_out has 50", "99 are needed"]),
    "held-out images from training": (GOOD, {"--held-out": lambda p: _save(p / "h.npy", images(120, 1))}, ["equal to training", "99 for rate"]),
    "no held-out path": (GOOD, {"--held-out": "not/here"}, ["held_out = 'not/here'"]),
    "size too small": (GOOD, {"--size": "4"}, ["size = 4", "8"]),
    "size too large": (GOOD, {"--size": "4000"}, ["size = 4000", "512"]),
    "rate of nothing": (GOOD, {"--rate": "0"}, ["rate = 0", "(0, 0.5]"]),
    "rate above a half": (GOOD, {"--rate": "0.9"}, ["rate = 0.9"]),
    "confidence of one": (GOOD, {"--confidence": "1"}, ["confidence = 1"]),
    "a negative seed": (GOOD, {"--seed": "-1"}, ["seed = -1"]),
    "no pairs": (GOOD, {"--pairs": "0"}, ["listed = 0"]),
    "planted below zero": (GOOD, {"--planted": "-5"}, ["planted = -5"]),
    "an unknown search": (GOOD, {"--search": "sounds"}, ["'sounds'", "pixels, aligned, patches"]),
    "fail above one": (GOOD, {"--fail-above": "1.5"}, ["fail_above = 1.5"]),
    "an unknown extractor": (GOOD, {"--features": "resnet9000"}, ["resnet9000"]),
    "an extractor that is not there": (GOOD, {"--features": "no/such/file.onnx"}, ["no/such/file.onnx"]),
    "a model that is not there": (GOOD, {"--model": "no/such/model.safetensors"}, ["no/such/model.safetensors"]),
    "out is a file": (GOOD, {"--out": lambda p: _file(p / "file", b"x")}, ["out = ", "is a file"]),
    "out holds another report": (GOOD, {"--out": lambda p: _file((p / "r").mkdir() or p / "r" / "report.json", b"{}").parent}, ["holds report.json"]),
    "cache is a file": (GOOD, {"--cache": lambda p: _file(p / "file", b"x")}, ["cache = ", "is a file"]),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line_that_names_it(case, tmp_path, capsys):
    generated, options, words = BAD[case]
    place = tmp_path / "inputs"
    place.mkdir()
    given = {
        "--train": lambda p: _save(p / "good_train.npy", images(120, 1)),
        "--out": place / "out",
        "--features": "none",
        "--search": "pixels",
    } | options
    given = {name: str(each(place) if callable(each) else each) for name, each in given.items()}
    if generated == GOOD:
        generated = _save(place / "good.npy", images(30, 2))
    generated = str(generated(place) if callable(generated) else generated)
    status = main([generated, *[word for pair in given.items() for word in pair]])
    captured = capsys.readouterr()
    assert status == 2 and captured.out == ""
    lines = captured.err.strip().splitlines()
    assert len(lines) == 1 and lines[0].startswith("separations.audit: ")
    for word in words:
        assert word in lines[0], lines[0]
    assert not (place / "out" / "report.json").exists()


# ------------------------------------------------------------------------------------------------- what people really have
def test_two_columns_of_one_folder_of_tables_are_two_sets_in_the_cache(tmp_path, pixels):
    (tmp_path / "data").mkdir()
    columns = {name: [{"bytes": png(each), "path": "x.png"} for each in these]
               for name, these in (("image", pixels), ("mask", 255 - pixels))}  # fmt: skip
    pq.write_table(pa.table(columns), tmp_path / "data" / "a.parquet")
    store = Store(tmp_path / "cache")
    found = [read(f"{tmp_path}/data::{name}", store=store) for name in columns]
    assert np.array_equal(found[1], 255 - found[0])


def test_splits_in_one_folder_are_named_and_tables_of_a_report_are_not_read(tmp_path, pixels):
    table = pa.table({"image": [{"bytes": png(each), "path": "x.png"} for each in pixels]})
    for name in ("train-00000-of-00001", "test-00000-of-00001", "report/pairs", ".hidden/more"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        pq.write_table(table, tmp_path / f"{name}.parquet")
    (tmp_path / "report" / ".audit.lock").touch()
    sets, _ = read_sets(tmp_path, pixels)
    assert len(sets["generated"]) == 40 and "splits train, test" in sets["generated"].notes[0]


def test_rows_of_a_table_without_a_signal_are_left_out(tmp_path):
    pq.write_table(pa.table({"x": [[0.1, 0.2, 0.3], None, [0.3, None, 0.1], [0.4, 0.5, 0.6]]}), tmp_path / "a.parquet")
    sets, _ = read_sets(tmp_path / "a.parquet", tmp_path / "a.parquet")
    assert len(sets["train"]) == 2 and [name for name, _ in sets["train"].left_out] == ["row 1", "row 2"]


def test_signals_of_one_channel_are_signals_and_those_of_several_are_named():
    x = np.random.default_rng(0).normal(size=(6, 1, 140)).astype(np.float32)
    assert np.array_equal(read(x), x[:, 0]) and np.array_equal(read(torch.from_numpy(x) / 10), x[:, 0] / np.float32(10))
    with pytest.raises(ValueError, match="signals of several channels"):
        read(np.zeros((6, 12, 1000), np.float32))


def test_images_in_zero_to_one_that_were_not_clipped_stay_such(pixels):
    first = np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))
    x = first.astype(np.float32) / 255
    x[0, 0, 0, :2] = [-0.06, 1.08]
    assert np.abs(read(x).astype(int)[1:] - first[1:]).max() == 0
    assert np.array_equal(read(first / np.float32(127.5) - 1), first)


@pytest.mark.parametrize(
    "make", [lambda x: x.to_sparse(), lambda x: x.to("meta"), lambda x: x.to(torch.complex64).conj()]
)
def test_tensors_that_are_no_arrays_are_named(make):
    with pytest.raises(ValueError, match="generated"):
        read_sets(make(torch.rand(4, 3, 16, 16)), np.zeros((4, 3, 16, 16), np.uint8))


def test_an_eight_bit_float_is_read_and_names_with_colons_and_strange_homes_are_paths(tmp_path, pixels):
    assert read(torch.rand(4, 3, 16, 16).to(torch.float8_e4m3fn)).shape == (4, 3, 16, 16)
    assert len(read(str(folder(tmp_path / "a::b", pixels)))) == 20
    with pytest.raises(FileNotFoundError):
        read("~nobody-of-that-name/x")


@pytest.mark.parametrize("damage", ["rows", "notes", "sha256", "done"])
def test_a_damaged_note_of_the_cache_is_made_anew(tmp_path, pixels, damage):
    first = read(pixels, store=Store(tmp_path / "cache"))
    (known,) = (tmp_path / "cache").glob("images-*.json")
    said = json.loads(known.read_text())
    del said[damage]
    known.write_text(json.dumps(said))
    assert np.array_equal(read(pixels, store=Store(tmp_path / "cache")), first)
