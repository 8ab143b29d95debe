"""Values of tasks to come (run times, memory), from those of tasks that ran, as quantiles.

Everything happens to logarithms. A kind has a line (`regression`), a *spread*, by which its
tasks differ within a run, and a *drift*, by which whole runs differ. Few tasks say little about
their spread, so it is drawn to that of the kinds in the middle; few runs say little about drift,
so it is drawn to what is usual: little for work that keeps a core busy, much for work that waits
for networks and disks.

The shape of the distribution is that of the errors of tasks left out, in spreads of their kind:
the conformal quantile of normalised scores (Papadopoulos et al. 2008; Lei et al. 2018), left
out as in the jackknife+ (Barber et al. 2021), and taken of a kind alone where it has enough.
With n errors the p-quantile is the (n + 1) p smallest. Where there are few, those of a normal
distribution make up the number.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from math import copysign, exp, hypot, log, sqrt
from statistics import NormalDist, fmean, median

from msgspec import Struct

from talka_core.forecast.observations import Kind, Observation
from talka_core.forecast.regression import Line, fit

SHAPE_MIN = 20
"""Errors that a shape is made of at least, so that its 5 % and 95 % quantiles are among them."""
SPREAD_USUAL = 0.3
SPREAD_GUESSED = 0.5
SPREAD_LEAST = 1e-3
SPREAD_WEIGHT = 2.0
DRIFT_BUSY, DRIFT_WAITING, DRIFT_UNKNOWN = 0.05, 0.5, 0.15
DRIFT_WEIGHT = 2.0
"""What is usual, in natural logarithms (0.1 is about 10 %), and as how many tasks or runs it counts."""
RESOLUTIONS = (1.0, 0.1, 0.01)
SMALLEST = 1e-3

_HALVINGS = 20

_NORMAL = NormalDist()


class Prediction(Struct, frozen=True):
    """The distribution of one task's value; ``samples`` is how many tasks it rests on.

    Attributes:
        centre: Logarithm of the value to be expected.
        spread: By how much the logarithm varies from task to task.
        drift: By how much that of the whole kind varies from run to run.
        shape: The sorted errors, in spreads.
        kind: Of which kind the tasks are that it rests on; two may share their drift.
    """

    centre: float
    spread: float
    drift: float
    shape: tuple[float, ...]
    samples: int
    kind: str

    def share_under(self, value: float, drift_share: float) -> float:
        """Return the share of its kind's tasks that lie under a value, in a run at a share of all runs."""
        low, high = 0.0, 1.0
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            low, high = (middle, high) if self.drawn(middle, drift_share) < value else (low, middle)
        return (low + high) / 2

    def quantile(self, share: float) -> float:
        """Return the value below which a share (over 0, under 1) of such tasks lies."""
        middle = quantile_of(self.shape, 0.5)
        error = self.spread * (quantile_of(self.shape, share) - middle)
        width = hypot(error, self.drift * _NORMAL.inv_cdf(share))
        return exp(self.centre + self.spread * middle + copysign(width, share - 0.5))

    def drawn(self, share: float, drift_share: float) -> float:
        """Return the value at a share of its kind's tasks, in a run at a share of all runs."""
        error = self.spread * quantile_of(self.shape, share)
        return exp(self.centre + error + self.drift * _NORMAL.inv_cdf(drift_share))


def guess(kind: Kind, seconds: float) -> Prediction:
    """Return the distribution of a run time of which nothing but an estimate is known."""
    centre = log(max(seconds, SMALLEST))
    return Prediction(centre, SPREAD_GUESSED, DRIFT_UNKNOWN, shape_of(()), 0, _LEVELS[0](kind))


class Model:
    """What a history of observations says about values to come."""

    def __init__(self, observations: Iterable[Observation]) -> None:
        self._observations = list(observations)
        self._floor = _floor_of([seen.value for seen in self._observations])
        self._groups: dict[str, _Group | None] = {}
        whole: dict[str, list[Observation]] = {}
        for seen in self._observations:
            whole.setdefault(_LEVELS[0](seen.kind), []).append(seen)
        self._usual = self._usual_spread(whole.values())
        fitted = {key: _Group.of(key, found, self._usual, self._floor) for key, found in whole.items()}
        self._groups |= fitted
        scores = [score for group in fitted.values() for score in group.scores]
        self._shape = shape_of(scores)

    def __len__(self) -> int:
        return len(self._observations)

    def predict(self, kind: Kind, features: Mapping[str, float]) -> Prediction | None:
        """Return the distribution of a value, or None if nothing like it was ever seen.

        What is like it: tasks of its kind, else of its name in other workflows, else of its agent type.
        """
        for level in _LEVELS:
            group = self._group(level, level(kind))
            if group is not None:
                shape = shape_of(group.scores) if len(group.scores) >= SHAPE_MIN else self._shape
                return group.predict(features, shape)
        return None

    def _group(self, level: Callable[[Kind], str], key: str) -> _Group | None:
        if key not in self._groups:
            found = [seen for seen in self._observations if level(seen.kind) == key]
            self._groups[key] = _Group.of(key, found, self._usual, self._floor) if found else None
        return self._groups[key]

    def _usual_spread(self, kinds: Iterable[Sequence[Observation]]) -> float:
        """Return the spread of a kind in the middle."""
        spreads = [
            sqrt(fmean(error**2 for error in errors))
            for errors in (_fitted(found, self._floor)[1] for found in kinds if len(found) >= 3)
        ]
        return median(spreads) if spreads else SPREAD_USUAL


_LEVELS: tuple[Callable[[Kind], str], ...] = (
    lambda kind: f"{kind.workflow}/{kind.name}/{kind.agent_type}",
    lambda kind: f"*/{kind.name}/{kind.agent_type}",
    lambda kind: f"*/*/{kind.agent_type}",
)


class _Group(Struct, frozen=True):
    """One kind's line, spread and drift, and the errors of its tasks in spreads."""

    key: str
    line: Line
    spread: float
    drift: float
    scores: list[float]
    samples: int

    @classmethod
    def of(cls, key: str, found: Sequence[Observation], usual: float, floor: float) -> _Group:
        line, errors = _fitted(found, floor)
        runs: dict[str, list[float]] = {}
        for seen in found:
            runs.setdefault(seen.run, []).append(log(max(seen.value, floor)) - line.at(seen.features))
        is_apart = len(runs) > 1 and len(found) > len(runs)
        if is_apart:
            errors = [error for rests in runs.values() for error in _left_out(rests)]
        else:
            # Tasks of one run, or each of a run of its own: nothing tells spread from drift.
            runs = {"": [rest for rests in runs.values() for rest in rests]}
        spread = _spread(list(runs.values()), usual)
        scores = [error / spread for error in errors] if len(errors) >= 3 else []
        drift = _drift(list(runs.values()), spread, _usual_drift(found), len({seen.run for seen in found}))
        grain = floor / max(floor, exp(line.level)) / sqrt(3)
        return cls(key, line, spread, hypot(drift, grain), scores, len(found))

    def predict(self, features: Mapping[str, float], shape: tuple[float, ...]) -> Prediction:
        # Errors of tasks left out hold what a level of few tasks is uncertain by; without them it is added.
        spread = self.spread if self.scores else self.spread * sqrt(1 + 1 / self.samples)
        return Prediction(self.line.at(features), spread, self.drift, shape, self.samples, self.key)


def _fitted(found: Sequence[Observation], floor: float) -> tuple[Line, list[float]]:
    return fit([log(max(seen.value, floor)) for seen in found], [seen.features for seen in found])


def _left_out(rests: Sequence[float]) -> list[float]:
    """Return by how much each differs from the others of its run, if there are any."""
    count, level = len(rests), fmean(rests)
    return [(rest - level) * count / (count - 1) for rest in rests] if count > 1 else []


def _spread(runs: Sequence[Sequence[float]], usual: float) -> float:
    own = sum((rest - fmean(rests)) ** 2 for rests in runs for rest in rests)
    freedom = sum(len(rests) - 1 for rests in runs)
    return max(SPREAD_LEAST, sqrt((SPREAD_WEIGHT * usual**2 + own) / (SPREAD_WEIGHT + freedom)))


def _usual_drift(found: Sequence[Observation]) -> float:
    busy = [min(1.0, seen.busy) for seen in found if seen.busy is not None]
    if not busy:
        return DRIFT_UNKNOWN
    return DRIFT_BUSY + (DRIFT_WAITING - DRIFT_BUSY) * (1 - fmean(busy))


def _drift(runs: Sequence[Sequence[float]], spread: float, usual: float, count: int) -> float:
    """Return by how much runs differ: as usual, as far as runs on record do not say otherwise.

    What their levels differ by holds what a level of few tasks is uncertain by, which is taken off.
    """
    levels = [fmean(rests) for rests in runs]
    middle = fmean(levels)
    noise = fmean([spread**2 / len(rests) for rests in runs])
    own = max(0.0, sum((level - middle) ** 2 for level in levels) - (len(levels) - 1) * noise)
    drift = sqrt((DRIFT_WEIGHT * usual**2 + own) / (DRIFT_WEIGHT + count - 1))
    # The runs on record drifted from the usual themselves.
    return drift * sqrt(1 + 1 / count)


def shape_of(scores: Sequence[float]) -> tuple[float, ...]:
    """Return the sorted errors of a distribution; a normal one's make up what is missing."""
    missing = max(0, SHAPE_MIN - len(scores))
    return tuple(sorted([*scores, *_normal_scores(missing)]))


def _normal_scores(count: int) -> Iterator[float]:
    for number in range(1, count + 1):
        yield _NORMAL.inv_cdf(number / (count + 1))


def quantile_of(ordered: Sequence[float], share: float) -> float:
    """Return the (n + 1) p smallest of n sorted numbers, between two of them in proportion."""
    place = (len(ordered) + 1) * share - 1
    low = min(max(int(place), 0), len(ordered) - 1)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + min(max(place - low, 0.0), 1.0) * (ordered[high] - ordered[low])


def _floor_of(values: Sequence[float]) -> float:
    """Return half of what values were rounded to: nobody knows them better, and none is smaller."""
    for resolution in RESOLUTIONS:
        if len(values) >= SHAPE_MIN and all(_is_multiple(value, resolution) for value in values):
            return resolution / 2
    return SMALLEST


def _is_multiple(value: float, unit: float) -> bool:
    return abs(value / unit - round(value / unit)) < 1e-6
