"""Verdicts: they follow from findings, need power, and never improve when a check fails."""

import itertools
import json
import math

import numpy as np
import pytest
import torch

from separations.ledger.findings import EXACT, counted, detectable_difference, finding, mean_of, rank_correlation, share
from separations.ledger.ledger import check_findings
from separations.ledger.verdicts import (
    Criterion,
    Finding,
    above,
    at_least,
    at_most,
    below,
    between,
    combined,
    near,
    verdict,
)
from separations.numerics import Estimate, IntervalEstimate

WORDS = ("holds", "differs", "not decided")
RANK = {"holds": 2, "holds in part": 1, "differs": 0}


@pytest.mark.parametrize(
    "criterion, interval, word",
    [
        (near(1, 0.1), (0.95, 1.05), "holds"),
        (near(1, 0.1), (0.5, 1.5), "not decided"),  # too wide to differ
        (near(1, 0.1), (1.09, 1.11), "not decided"),
        (near(1, 0.1), (1.2, 1.3), "differs"),
        (above(0), (0, 1), "not decided"),
        (above(0), (0, 0), "differs"),  # no effect at all is no positive one
        (above(0), (1e-9, 1), "holds"),
        (below(0), (-1, -0.5), "holds"),
        (below(0), (0, 0.5), "differs"),
        (at_least(0), (0, 0), "holds"),
        (at_most(5), (-math.inf, math.inf), "not decided"),
        (between(0, 1), (0, 1), "holds"),
    ],
)
def test_what_an_interval_says(criterion, interval, word):
    middle = sum(interval) / 2 if math.isfinite(sum(interval)) else 0.0
    found = finding("x", middle, interval, criterion)
    assert found.verdict == word
    assert finding("x", middle, interval, criterion, precondition=False).verdict == "not decided"
    assert finding("x", middle, interval, criterion, {"enough runs": False}).unmet == "enough runs"


def test_nothing_measured_decides_nothing():
    assert finding("x", None, None, at_least(0)).verdict == "not decided"
    assert mean_of("x", [], at_least(0)).verdict == "not decided"
    assert mean_of("x", [3.0], at_least(0)).verdict == "not decided"  # one replication has no error
    assert counted("x", 0, 0).verdict == "not decided"


def test_a_failing_check_never_improves_a_verdict():
    for words in itertools.product(WORDS, repeat=3):
        before = combined(words)
        for i in range(3):
            unknown, failed = (combined([*words[:i], word, *words[i + 1 :]]) for word in ("not decided", "differs"))
            assert unknown in (before, "not decided")
            assert failed != "holds"
            if before in RANK and failed in RANK:
                assert RANK[failed] <= RANK[before]


def test_how_findings_are_combined():
    assert combined(["holds"] * 3) == "holds" and combined(["differs"] * 2) == "differs"
    assert combined(["holds", "differs"]) == "holds in part" == combined(["holds", "differs", "not decided"])
    assert combined(["holds", "not decided"]) == combined(["differs", "not decided"]) == "not decided"


def test_intervals_of_the_usual_numbers():
    from scipy import stats

    values = np.array([1.0, 2.0, 4.0, 7.0])
    low, high = stats.t.interval(0.95, 3, values.mean(), stats.sem(values))
    found = mean_of("x", torch.tensor(values), above(0))
    assert (found.low, found.high, found.estimate) == pytest.approx((low, high, 3.5))
    assert share("x", 0, 50, below(0.1)).verdict == "holds" and share("x", 0, 5, below(0.1)).verdict == "not decided"
    e = Estimate(torch.tensor([1.0, 2.0, 3.0, 4.0], dtype=torch.float64))
    assert finding("x", e, None, above(0)).high == pytest.approx(2.5 + 1.959964 * e.se)
    assert counted("x", 3, 3).verdict == "holds" and counted("x", 2, 3).verdict == "differs"
    assert finding("x", np.float32(2), EXACT, at_least(2)).verdict == "holds"


def test_a_rank_correlation_is_named_after_its_columns_and_decides_nothing_where_there_is_none():
    found = {("copies", "mean"): IntervalEstimate(-0.5, -0.7, -0.2, 0.95), ("copies", "width"): None}
    part = rank_correlation(found, "copies", "mean", below(0), words={"mean": "location"}, where="digits")
    assert part == finding(
        "rank correlation of copies with the location, digits", found["copies", "mean"], None, below(0)
    )
    assert part.verdict == "holds"
    none = rank_correlation(found, "copies", "width", below(0))
    assert none.what == "rank correlation of copies with the width" and none.verdict == "not decided"
    assert rank_correlation(found, "copies", "mean", below(0), False).verdict == "not decided"
    with pytest.raises(ValueError, match="no correlation of 'mean' with 'copies'"):
        rank_correlation(found, "mean", "copies", below(0))


def test_the_detectable_difference_has_the_power_it_names():
    gen = torch.Generator().manual_seed(0)
    draws = torch.randn(20000, 8, generator=gen, dtype=torch.float64)
    difference = detectable_difference([*np.linspace(-1, 1, 8) / np.std(np.linspace(-1, 1, 8), ddof=1)])  # sd 1
    t = (draws.mean(1) + difference) / (draws.std(1) / 8**0.5)
    assert float((t > 2.364624).double().mean()) == pytest.approx(0.8, abs=0.03)
    assert detectable_difference([1.0]) == math.inf


def test_a_finding_comes_back_from_its_record():
    for found in (
        finding("a b", 1.0, (0.5, math.inf), above(0), {"enough runs": False}),
        finding("c", None, None, between(0, 1)),
        finding("d", 2, EXACT, near(2, 0)),
    ):
        record = json.loads(json.dumps(found.as_record(), allow_nan=False))
        assert Finding.from_record(record) == found and str(found)
        with pytest.raises(ValueError, match="follows"):
            Finding.from_record(record | {"verdict": "differs"})


def test_a_record_whose_verdict_does_not_follow_is_refused():
    parts = [counted("x", 1, 1).as_record(), counted("y", 0, 1).as_record()]
    check_findings({"id": "a", "verdict": "holds in part", "findings": parts})
    check_findings({"id": "a", "verdict": "holds"})  # of an earlier version
    for claim in (
        {"verdict": "holds", "findings": parts},
        {"verdict": "holds", "findings": []},
        {"verdict": "holds", "findings": [{}]},
        {"verdict": "holds", "findings": parts[:1], "scale": 3},
        {"verdict": "holds", "findings": [parts[0] | {"low": "0"}]},
        {"verdict": "holds", "findings": [parts[0] | {"strict": 1}]},
    ):
        with pytest.raises(ValueError):
            check_findings({"id": "a", **claim})


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: finding("x", math.nan, EXACT, above(0)), "does not hold its estimate"),
        (lambda: finding("x", 2, (0, 1), above(0)), "does not hold its estimate 2"),
        (lambda: finding("x", 2, None, above(0)), "interval = None"),
        (lambda: finding("x", 2, "95 %", above(0)), "interval = '95 %'"),
        (lambda: finding("", 2, EXACT, above(0)), "what = ''"),
        (lambda: finding("x", 2, EXACT, 0), "criterion = 0"),
        (lambda: Criterion(), "a criterion needs an end"),
        (lambda: Criterion(2, 1), "no value can meet"),
        (lambda: above(math.nan), "least = nan"),
        (lambda: near(1, -1), "margin = -1"),
        (lambda: verdict([], "d = 2"), "findings = "),
        (lambda: verdict(counted("x", 1, 1), " "), "scale = ' '"),
        (lambda: verdict([counted("x", 1, 1)] * 2, "d = 2"), "a name of its own"),
        (lambda: counted("x", 3, 2), "k|right"),
        (lambda: mean_of("x", [math.nan], above(0)), "finite numbers"),
        (lambda: combined([]), "words is empty"),
    ],
)
def test_bad_arguments(call, message):
    with pytest.raises(ValueError, match=message):
        call()
