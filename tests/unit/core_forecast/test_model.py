"""Goal: predicted intervals hold what they promise, from little history and from much."""

from __future__ import annotations

from itertools import pairwise
from math import exp, log
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from talka_core.forecast.model import Model, Prediction, guess, quantile_of, shape_of
from talka_core.forecast.observations import Kind, Observation, features_of, kind_of, unnumbered
from talka_core.forecast.regression import fit
from talka_protocols.workflow import Task

KIND = Kind("w", "part", "python")


def _seen(run: str, value: float, kind: Kind = KIND, **features: float) -> Observation:
    return Observation(kind, run, value, features)


def _coverage(model: Model, values: list[tuple[Kind, float, dict[str, float]]]) -> float:
    inside = 0
    for kind, value, features in values:
        found = model.predict(kind, features)
        assert found is not None
        inside += found.quantile(0.05) <= value <= found.quantile(0.95)
    return inside / len(values)


def _skewed(random: Random) -> float:
    return random.expovariate(1.0) - 1.0


def _world(random: Random, runs: int, kinds: int, tasks: int) -> list[Observation]:
    """Draw runs of kinds that differ in level and spread, drift from run to run, and are skewed."""
    levels = [(random.uniform(-3, 6), random.uniform(0.05, 0.8)) for _ in range(kinds)]
    drawn: list[Observation] = []
    for run in range(runs):
        for number, (level, spread) in enumerate(levels):
            drift = random.gauss(0, 0.15)
            kind = Kind("w", f"kind{number}", "python")
            drawn += [
                _seen(str(run), exp(level + drift + spread * _skewed(random)), kind) for _ in range(tasks)
            ]
    return drawn


@pytest.mark.parametrize(("runs", "tasks"), [(1, 25), (1, 4), (4, 25), (4, 3), (12, 1), (2, 60)])
def test_nine_of_ten_lie_in_the_interval(runs: int, tasks: int) -> None:
    """Over many drawn histories, 85 to 95 % of the tasks of the next run lie in their 90 % intervals."""
    random = Random(7)
    shares: list[float] = []
    for _ in range(40):
        drawn = _world(random, runs + 1, 8, tasks)
        past = [seen for seen in drawn if seen.run != str(runs)]
        coming = [(seen.kind, seen.value, seen.features) for seen in drawn if seen.run == str(runs)]
        shares.append(_coverage(Model(past), coming))
    assert 0.85 <= sum(shares) / len(shares) <= 0.95


def test_a_feature_that_explains_is_used() -> None:
    """Where run times grow with the input, the interval of a large input lies above, and is narrow."""
    random = Random(3)
    sizes = [2.0 ** random.uniform(0, 10) for _ in range(40)]
    seen = [_seen("1", 0.5 * size**0.9 * exp(random.gauss(0, 0.05)), size=size) for size in sizes]
    model = Model(seen)
    small, large = model.predict(KIND, {"size": 4.0}), model.predict(KIND, {"size": 1000.0})
    assert small is not None
    assert large is not None
    assert small.quantile(0.95) < 4
    assert large.quantile(0.05) > 150
    assert large.quantile(0.95) / large.quantile(0.05) < 3
    without = model.predict(KIND, {})
    assert without is not None
    assert small.quantile(0.5) < without.quantile(0.5) < large.quantile(0.5)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.lists(st.floats(1e-6, 1e7), min_size=1, max_size=30), st.integers(1, 4))
def test_quantiles_are_ordered_and_finite(values: list[float], runs: int) -> None:
    """Whatever was seen, quantiles grow, and lie around what was seen."""
    model = Model(_seen(str(i % runs), value) for i, value in enumerate(values))
    found = model.predict(KIND, {})
    assert found is not None
    assert found.samples == len(values)
    quantiles = [found.quantile(share / 20) for share in range(1, 20)]
    assert all(low <= high for low, high in pairwise(quantiles))
    assert 0 < quantiles[0] <= quantiles[-1] < float("inf")


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.floats(0.01, 0.99), st.floats(0.01, 0.99))
def test_shares_and_values_are_inverse(share: float, drift_share: float) -> None:
    """Of the tasks of a kind, that share lies under the value that was drawn at it."""
    found = Prediction(1.0, 0.3, 0.2, shape_of([number / 50 for number in range(-50, 51)]), 101, "k")
    if 0.02 < share < 0.98:
        assert found.share_under(found.drawn(share, drift_share), drift_share) == pytest.approx(
            share, abs=1e-3
        )


def test_what_is_like_a_task() -> None:
    """First its kind, then its name in any workflow, then its agent type; nothing else is like it."""
    model = Model([_seen("1", 10.0), _seen("1", 100.0, Kind("w", "other", "python"))])
    own = model.predict(KIND, {})
    elsewhere = model.predict(Kind("v", "part", "python"), {})
    unheard = model.predict(Kind("v", "new", "python"), {})
    assert own is not None
    assert elsewhere is not None
    assert unheard is not None
    assert (own.samples, elsewhere.samples, unheard.samples) == (1, 1, 2)
    assert own.quantile(0.5) == pytest.approx(10, rel=0.01)
    assert 10 < unheard.quantile(0.5) < 100
    assert model.predict(Kind("w", "part", "command"), {}) is None
    assert guess(KIND, 5.0).samples == 0
    assert guess(KIND, 5.0).quantile(0.5) == pytest.approx(5.0)


def test_waiting_work_drifts_more_than_busy_work() -> None:
    """The same run times of work that waits for a network promise less than those of work that computes."""

    def width(busy: float) -> float:
        found = Model(Observation(KIND, "1", 10.0, {}, busy) for _ in range(5)).predict(KIND, {})
        assert found is not None
        return log(found.quantile(0.95) / found.quantile(0.05))

    assert width(0.05) > 2 * width(1.0)


def test_whole_seconds_are_known_to_half_a_second() -> None:
    """Values that were rounded to seconds leave room for what was rounded away."""
    found = Model(_seen("1", 1.0) for _ in range(30)).predict(KIND, {})
    assert found is not None
    assert found.quantile(0.95) > 1.2
    finer = Model(_seen("1", 1.0 + number / 1e4) for number in range(30)).predict(KIND, {})
    assert finer is not None
    assert finer.quantile(0.95) < found.quantile(0.95)


def test_a_line_is_not_bent_by_an_outlier() -> None:
    """The slope between pairs in the middle ignores one value that is a thousand times too large."""
    places = [2.0**number for number in range(1, 13)]
    logs = [log(place) for place in places]
    logs[5] += log(1000)
    line, errors = fit(logs, [{"n": place} for place in places])
    assert line.feature == "n"
    assert line.slope == pytest.approx(1.0, abs=0.05)
    assert len(errors) == len(places)


def test_a_feature_that_explains_nothing_is_left_out() -> None:
    """Where a feature does not make errors smaller, the level alone is the line."""
    random = Random(5)
    logs = [random.gauss(0, 1) for _ in range(30)]
    line, _ = fit(logs, [{"n": random.uniform(1, 9)} for _ in logs])
    assert line.feature == ""


def test_kinds_are_named_without_numbers() -> None:
    """Items, parts and the instant at which a trace was made do not make a kind; a name's own number does."""
    assert unnumbered("bowtie2_ID0000003") == "bowtie2"
    assert unnumbered("map_sequence_4_ID0000012") == "map_sequence"
    assert unnumbered("each[3][12]") == "each"
    assert unnumbered("7") == "7"
    task = Task("part-3", "python", payload={"n": 4, "flag": True, "text": "x", "zero": 0})
    assert kind_of("genome-20200401T035039Z-0", task) == Kind("genome", "part", "python")
    assert features_of(task) == {"n": 4.0}


def test_quantiles_lie_between_sorted_numbers() -> None:
    """With 19 numbers the 5 % quantile is the smallest; beyond the ends there is nothing."""
    ordered = [float(number) for number in range(1, 20)]
    assert quantile_of(ordered, 0.05) == 1.0
    assert quantile_of(ordered, 0.5) == 10.0
    assert quantile_of(ordered, 0.95) == 19.0
    assert (quantile_of(ordered, 0.001), quantile_of(ordered, 0.999)) == (1.0, 19.0)
