"""The audit as a whole: planted copies are found and named, fresh images are not, and what was begun goes on."""

import json
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from separations.audit import alterations
from separations.audit.auditing import audit
from separations.audit.command import main
from separations.audit.detectors import InParts, InPixels, TrainingSet, cut
from separations.audit.report import opened_folder
from separations.audit.store import Store
from separations.metrics.memorization import memorization_ratio
from test_audit_inputs import folder, images

ALL = list(alterations.ALTERATIONS)
QUICK = ("pixels", "patches")


def first(pixels: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))


@pytest.fixture(scope="module")
def sets() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Generated (20 noisy copies of the first training images, 60 fresh), training, held-out images."""
    every = first(images(720, 5))
    train, held_out, fresh = every[:300], every[300:660], every[660:]
    copies = alterations.ALTERATIONS["noisy"](train[:20], torch.Generator().manual_seed(0))
    return np.concatenate([copies, fresh]), train, held_out


@pytest.fixture(scope="module")
def found(sets):
    return audit(*sets, features=(), planted=40, fail_above=0.05)


def test_planted_copies_are_found_with_the_right_training_image(found):
    assert found.verdict == "copies found" and found.report["failed"]
    assert found.flagged[:20].all() and found.flagged[20:].mean() < 0.1
    for pair in found.pairs[:20]:
        assert (
            pair["found"]
            and pair["train_row"] == pair["sample_row"] < 20
            and pair["images"]["sample"][:4] == b"\x89PNG"
        )
    excess = found.copies
    assert excess.low <= 0.25 <= excess.high
    assert found.report["copied"]["distinct"] >= 20


def test_the_rule_to_the_letter_is_that_of_the_library(found, sets):
    values = [torch.from_numpy(each).flatten(1).double() / 127.5 - 1 for each in sets]
    for key, x in (("generated", values[0]), ("held_out", values[2])):
        assert found.report["ratio"][key]["value"] == memorization_ratio(x, values[1]).ratio


def test_the_report_says_what_it_rests_on(found):
    report = found.report
    assert report["sets"]["train"]["n"] == 300 and report["reference"] == {
        "kind": "held-out",
        "m": 360,
        "words": "360 held-out points",
    }
    assert {row["alteration"] for row in report["power"]} == {"unaltered", *ALL}
    assert next(row for row in report["power"] if row["alteration"] == "unaltered")["joint"]["value"] == 1
    assert [row["name"] for row in report["distribution"]][:2] == ["Authenticity", "C_T"]
    assert all(-1 < each["excess"]["low"] <= each["excess"]["high"] < 1 for each in report["detectors"])
    assert "no copies" not in json.dumps(report["verdict"]).replace("no copies found than", "")
    assert any("rarer than" in each for each in report["verdict"]["limits"])
    json.dumps(report, allow_nan=False)


def test_fresh_images_are_not_called_copies(sets):
    _, train, held_out = sets
    report = audit(first(images(300, 77)), train, held_out, features=(), search=QUICK, planted=0, fail_above=0.0).report
    assert report["verdict"]["word"] != "copies found" and not report["failed"] and report["power"] == []
    assert report["joint"]["excess"]["low"] <= 0


def test_without_held_out_images_training_images_stand_in(sets):
    generated, train, _ = sets
    found = audit(generated, train, features=(), search=QUICK, planted=0)
    assert found.report["reference"]["kind"] == "training, leave-one-out" and found.report["reference"]["m"] == 300
    assert found.flagged[:20].all() and found.flagged[20:].mean() < 0.1
    assert any("held-out" in each for each in found.report["verdict"]["limits"])


def test_held_out_images_that_are_equal_to_training_images_count_unless_they_are_to_be_left_out(sets):
    generated, train, held_out = sets
    options = {"features": (), "search": QUICK, "planted": 20}
    mixed = np.concatenate([held_out, train[:7]])
    found = audit(generated, train, mixed, drop_equal=True, **options)
    assert (
        found.report["reference"]["m"] == 360
        and "7 more are equal to training points" in found.report["reference"]["words"]
    )
    assert found.verdict == "copies found"
    kept = audit(generated, train, mixed, **options)
    assert kept.report["reference"]["m"] == 367 and kept.report["reference"]["equal"] == 7
    assert kept.verdict == "not decided" and any("--drop-equal" in each for each in kept.report["verdict"]["limits"])


def test_a_source_with_duplicates_is_no_copying():
    """Generated, training and held-out images drawn alike from few different ones: nothing was copied by a model."""
    few, random = first(images(40, 11)), np.random.default_rng(0)
    other = first(images(300, 12))
    draw = [np.concatenate([few[random.integers(0, 40, 120)], other[100 * i : 100 * i + 100]]) for i in range(3)]
    found = audit(*draw, features=(), search=QUICK, planted=20)
    assert found.verdict == "not decided" and found.report["joint"]["excess"]["low"] <= 0


def test_duplicates_do_not_hide_copies_and_are_named(sets):
    generated, train, held_out = sets
    twice = np.concatenate([train, train[:10], train[:10]])
    found = audit(generated, twice, held_out, features=(), search=QUICK, planted=0)
    assert (
        found.flagged[:20].all()
        and found.report["duplicates"]["exact_groups"] == 10
        and found.report["duplicates"]["exact_copies"] == 20
    )
    assert found.report["copied"]["duplicated"]["value"] == 1 and found.report["copied"]["single"]["value"] < 0.1
    assert "p = " in found.report["copied"]["words"]


@pytest.mark.slow
@pytest.mark.parametrize("side", [16, 32, 64])
def test_every_alteration_is_found_at_three_sizes(side):
    """Copies planted by hand are found as often as the report says that they would be, and with the right training image."""
    every, count = first(images(280, 9, side=side)), 20
    train, held_out = every[:120], every[120:]
    draw = torch.Generator().manual_seed(side)
    planted = np.concatenate([alter(train[60 : 60 + count], draw) for alter in alterations.ALTERATIONS.values()])
    found = audit(planted, train, held_out, features=(), planted=40, listed=len(planted))
    power = {row["alteration"]: row["joint"] for row in found.report["power"]}
    whole = [
        pair for pair in found.pairs if pair["found"] and ALL[pair["sample_row"] // count] != "partial"
    ]  # that one has two
    for i, name in enumerate(alterations.ALTERATIONS):
        share = found.flagged[i * count : (i + 1) * count].mean()
        assert power[name]["low"] - 0.25 <= share <= power[name]["high"] + 0.25, (name, power[name], share)
        if name in ("noisy", "blurred", "recompressed", "flipped", "shifted", "cropped", "brightened"):
            assert share >= 0.9, (name, share)
    assert np.mean([pair["train_row"] == 60 + pair["sample_row"] % count for pair in whole]) >= 0.95


def test_patches_find_a_part_of_a_training_image_and_blank_parts_say_nothing(sets):
    _, train, held_out = sets
    detector = InParts(TrainingSet.of(train), cut(train))
    mixed = held_out[:20].copy()
    mixed[:, :, :, :8] = train[40:60, :, :, :8]
    said = detector(mixed)
    assert (said.row == np.arange(40, 60)).all() and (said.score < 2.0**-6).all() and said.how[0] == "8 of 16 parts"
    assert (detector(held_out[20:60]).score > 2.0**-6).all()
    blank = np.full((2, *train.shape[1:]), 200, np.uint8)
    assert (detector(blank).score == 1).all()
    assert (detector(train[:30], own=np.arange(30)).row != np.arange(30)).all()


def test_training_points_leave_themselves_out(sets):
    _, train, _ = sets
    twice = TrainingSet.of(np.concatenate([train, train[:5]]))
    said = InPixels(twice)(twice.values[:8], own=np.arange(8))
    assert ((said.row % 300) != np.arange(8)).all() and (said.score > 0).all()


def test_signals_are_audited(tmp_path):
    random = np.random.default_rng(0)
    walk = random.normal(size=(700, 64)).cumsum(1).astype(np.float32)
    train, held_out = walk[:300], walk[300:660]
    generated = np.concatenate([train[:15] + random.normal(0, 0.05, (15, 64)).astype(np.float32), walk[660:]])
    found = audit(generated, train, held_out, planted=20)
    assert found.flagged[:15].all() and found.verdict == "copies found" and found.report["setting"]["channels"] is None
    assert found.pairs[0]["images"]["sample"].startswith("<svg")
    np.save(tmp_path / "g.npy", generated), np.save(tmp_path / "t.npy", train), np.save(tmp_path / "h.npy", held_out)
    out = tmp_path / "out"
    assert (
        main(
            [
                f"{tmp_path}/g.npy",
                "--train",
                f"{tmp_path}/t.npy",
                "--held-out",
                f"{tmp_path}/h.npy",
                "--out",
                str(out),
                "--planted",
                "0",
                "--search",
                "pixels",
            ]
        )
        == 0
    )
    assert "<svg" in (out / "report.html").read_text()


# ------------------------------------------------------------------------------------------------------------ the command
@pytest.fixture
def files(tmp_path, sets):
    for name, each in zip(("generated", "train", "held_out"), sets):
        folder(tmp_path / name, each.transpose(0, 2, 3, 1))
    return tmp_path


def words(files: Path, *more: str) -> list[str]:
    return [f"{files}/generated", "--train", f"{files}/train", "--held-out", f"{files}/held_out", "--out", f"{files}/out",
            "--features", "none", "--search", "pixels", "--planted", "0", *more]  # fmt: skip


def test_the_command_writes_the_whole_report_and_its_exit_status_is_that_of_the_limit(files, capsys):
    assert main(words(files, "--fail-above", "0.5")) == 0
    report = json.loads((files / "out" / "report.json").read_text())
    assert {each.name for each in (files / "out").iterdir()} >= {
        "report.html",
        "report.json",
        "pairs.csv",
        "pairs.parquet",
        "audit.log",
        "cache",
    }
    table = pq.read_table(files / "out" / "pairs.parquet").to_pylist()
    assert len(table) == 80 and table[0]["sample"] == f"{table[0]['sample_row']:04d}.png" and table[0]["by"].split()
    assert "copies found" in (files / "out" / "audit.log").read_text()
    assert "Copies" in capsys.readouterr().out.capitalize() or report["verdict"]["word"] == "copies found"
    assert main(words(files, "--fail-above", "0.1")) == 1
    again = json.loads((files / "out" / "report.json").read_text())
    assert {**again, "made": 0, "seconds": 0, "fail_above": 0, "failed": 0, "verdict": 0} == {**report, "made": 0, "seconds": 0, "fail_above": 0, "failed": 0, "verdict": 0}  # fmt: skip


def test_a_second_audit_does_not_read_the_images_again(files, monkeypatch):
    from separations.audit import sources

    reads, before = [], sources.read_image
    monkeypatch.setattr(sources, "read_image", lambda *a, **k: reads.append(1) or before(*a, **k))
    assert main(words(files)) == 0
    first, reads[:] = len(reads), []
    assert main(words(files)) == 0
    assert first >= 740 and len(reads) <= 3 * 16  # some are looked at to see whether there is colour


def test_two_audits_of_one_folder_are_an_error_and_nothing_is_lost(files, capsys):
    with opened_folder(files / "out"):
        errors = []
        thread = threading.Thread(target=lambda: errors.append(main(words(files))))
        thread.start(), thread.join()
    assert errors == [2] and "another audit writes to this folder" in capsys.readouterr().err
    assert not (files / "out" / "report.json").exists()


def test_a_full_disk_is_one_line_and_leaves_no_report(files, capsys, monkeypatch):
    def full(self, kind, *rest, **options):
        raise OSError(28, "No space left on device", "x.bin")

    monkeypatch.setattr(Store, "array", full)
    assert main(words(files)) == 2
    assert "No space left on device" in capsys.readouterr().err and not (files / "out" / "report.json").exists()


@pytest.mark.slow
def test_a_killed_audit_goes_on_and_says_the_same(files):
    code = (
        "import sys, os, separations.audit.store as s; s.EVERY = 0.0\n"
        "before = s.Store.array\n"
        "def array(self, kind, *rest, **options):\n"
        "    found = before(self, kind, *rest, **options)\n"
        "    if kind == 'scores': os.kill(os.getpid(), 9)\n"
        "    return found\n"
        "s.Store.array = array\n"
        "from separations.audit.command import main\n"
        "sys.exit(main(sys.argv[1:]))\n"
    )
    ended = subprocess.run([sys.executable, "-c", code, *words(files)], capture_output=True, timeout=300)
    assert ended.returncode == -9 and not (files / "out" / "report.json").exists()
    assert list((files / "out" / "cache").glob("scores-*.json"))
    assert main(words(files)) == 0
    report = json.loads((files / "out" / "report.json").read_text())
    other = words(files)
    other[other.index(f"{files}/out")] = f"{files}/other"
    assert main(other) == 0
    expected = json.loads((files / "other" / "report.json").read_text())
    assert report["detectors"] == expected["detectors"] and report["joint"] == expected["joint"]


def test_names_that_nobody_wants_are_only_names(tmp_path, sets):
    place = folder(tmp_path / "g", sets[0][:30].transpose(0, 2, 3, 1))
    for i, name in enumerate(["<script>alert(1)<", '" onload="x', "=1+1", "ü\u202eabc", "a,b;c"]):
        (place / f"{i:04d}.png").rename(place / f"{name}.png")
    out = tmp_path / "out"
    np.save(tmp_path / "t.npy", sets[1])
    assert (
        main(
            [
                str(place),
                "--train",
                f"{tmp_path}/t.npy",
                "--out",
                str(out),
                "--features",
                "none",
                "--search",
                "pixels",
                "--planted",
                "0",
            ]
        )
        == 0
    )
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "<script>alert" not in page and 'onload="x' not in page.replace("&quot;", "")


def test_authenticity_and_the_rank_test_are_those_of_all_distances(found, sets):
    from scipy.stats import norm

    flat = [each.reshape(len(each), -1).astype(float) for each in sets]
    to_train = [np.sqrt(((x[:, None] - flat[1][None]) ** 2).sum(2)) for x in (flat[0], flat[2], flat[1])]
    np.fill_diagonal(to_train[2], np.inf)
    near = to_train[0].argmin(1)
    rows = {row["name"]: row for row in found.report["distribution"]}
    assert rows["Authenticity"]["generated"]["value"] == np.mean(to_train[0].min(1) > to_train[2].min(1)[near])
    assert 0.2 < rows["Authenticity"]["held_out"]["value"] < 1
    assert rows["C_T"]["generated"]["value"] < 0 and norm.sf(-rows["C_T"]["generated"]["value"]) > 1e-12


def test_a_mirrored_copy_is_shown_as_it_was_found(sets):
    _, train, held_out = sets
    one = audit(
        np.concatenate([train[:1, :, :, ::-1], held_out[:30]]), train, held_out[30:], features=(), planted=0
    ).pairs[0]
    assert one["found"] and "flipped" in one["how"] and "aligned" in one["images"] and one["times"] == 1


def test_each_pair_says_how_often_its_training_image_is_copied(sets):
    """Also beyond the twenty that are copied most often, and where images have one name."""
    _, train, held_out = sets
    generated = np.concatenate([train[:40], train[:5]])
    found = audit(generated, train, held_out, features=(), search=("pixels",), planted=0)
    assert [pair["times"] for pair in found.pairs] == [2 if pair["train_row"] < 5 else 1 for pair in found.pairs]


def test_authenticity_compares_distances(sets):
    """Without features too: the definition of Alaa et al., by brute force."""
    found = audit(*sets, features=(), search=("pixels",), planted=0).report["distribution"][0]
    generated, train, held_out = (each.reshape(len(each), -1).astype(float) for each in sets)
    own = np.linalg.norm(train[:, None] - train, axis=2) + np.diag(np.full(len(train), np.inf))
    for key, x in (("generated", generated), ("held_out", held_out)):
        away = np.linalg.norm(x[:, None] - train, axis=2)
        assert found[key]["value"] == (away.min(1) > own.min(1)[away.argmin(1)]).mean()


def test_scores_of_other_training_points_are_not_taken_from_the_cache(sets, tmp_path):
    """As many training points are matched by both generated sets, but other ones."""
    _, train, held_out = sets
    away = [((train.astype(float) - each) ** 2).sum((1, 2, 3)).argmin() for each in held_out[:200]]
    free = np.setdiff1d(np.arange(len(train)), away)
    for some in (train[free[:30]], train[free[30:60]]):
        options = {"features": (), "search": ("pixels",), "planted": 0}
        cached = audit(some, train, held_out[:200], cache=tmp_path, **options).report["distribution"]
        assert cached == audit(some, train, held_out[:200], **options).report["distribution"]


def test_an_audit_killed_while_it_wrote_its_report_goes_on(tmp_path):
    with opened_folder(tmp_path / "out") as folder_:
        (folder_ / "pairs.csv").write_text("half")
    with opened_folder(tmp_path / "out") as folder_:
        assert folder_.is_dir()


def test_a_damaged_index_of_the_cache_is_made_anew(sets, tmp_path):
    options = {"features": (), "search": ("pixels",), "planted": 0, "cache": tmp_path}
    first = audit(*sets, **options)
    (index,) = tmp_path.glob("rows-*.safetensors")
    content = bytearray(index.read_bytes())
    content[-3] ^= 64
    for damaged in (bytes(content), b"junk"):
        index.write_bytes(damaged)
        for scores in tmp_path.glob("scores-*"):
            scores.unlink()
        assert np.array_equal(audit(*sets, **options).p, first.p)


def test_parts_that_many_images_share_are_no_copies_without_held_out_images_either():
    """Families with one equal part: a training image, compared with all others, finds it as a fresh image does."""
    random = np.random.default_rng(0)
    every = random.integers(0, 256, (700, 1, 16, 16)).astype(np.uint8)
    family = random.random(700) < 0.1
    every[family, :, :4, :4] = every[0, :, :4, :4]
    found = audit(every[:300], every[300:], features=(), search=QUICK, planted=0)
    assert found.flagged.mean() < 0.03 and found.verdict != "copies found"


def test_pixels_may_be_features_too(sets):
    found = audit(*sets, features=["pixels"], search=QUICK, planted=10)
    assert [each["name"] for each in found.report["detectors"]] == ["pixels", "pixels as features", "patches"]
    assert found.flagged[:20].all() and set(found.pairs[0]["scores"]) == {"pixels", "pixels as features", "patches"}
    assert found.report["distribution"][0]["label"].startswith("share of authentic samples (pixels as features")
