"""How the logarithm of a value depends on one feature, or on none: lines that outliers do not bend.

The slope is the median of the slopes between pairs (Theil 1950, Sen 1968). Beyond the features
that were seen a line goes on for a factor of ten only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import log
from statistics import fmean, median

from msgspec import Struct

SAMPLES_MIN = 8
DISTINCT_MIN = 4
GAIN_MIN = 0.9
"""A feature is used if the errors of tasks left out shrink to at most this share."""
BEYOND = log(10)
PAIRS_MAX = 20_000


class Line(Struct, frozen=True):
    """``level`` at the feature's middle, and the change with the logarithm of the feature.

    Without a feature it is the level alone.
    """

    level: float
    feature: str = ""
    slope: float = 0.0
    middle: float = 0.0
    low: float = 0.0
    high: float = 0.0

    def at(self, features: Mapping[str, float]) -> float:
        """Return the logarithm of the value to be expected; without the feature that of its middle."""
        given = features.get(self.feature, 0.0)
        if given <= 0:
            return self.level
        place = min(max(log(given), self.low - BEYOND), self.high + BEYOND)
        return self.level + self.slope * (place - self.middle)


def fit(logs: Sequence[float], features: Sequence[Mapping[str, float]]) -> tuple[Line, list[float]]:
    """Return the line through logarithms of values, and by how much each misses the line of all others."""
    best = Line(fmean(logs))
    errors = _left_out(logs, [0.0] * len(logs))
    for name in _candidates(features):
        places = [log(each[name]) for each in features]
        slope = _slope(places, logs)
        middle = fmean(places)
        rests = [y - slope * (x - middle) for x, y in zip(places, logs, strict=True)]
        missed = _left_out(rests, places)
        if _size(missed) <= GAIN_MIN * _size(errors):
            best, errors = Line(fmean(rests), name, slope, middle, min(places), max(places)), missed
    return best, errors


def _candidates(features: Sequence[Mapping[str, float]]) -> list[str]:
    if len(features) < SAMPLES_MIN:
        return []
    shared = set[str](features[0]).intersection(*features[1:])
    usable = (name for name in sorted(shared) if all(each[name] > 0 for each in features))
    return [name for name in usable if len({each[name] for each in features}) >= DISTINCT_MIN]


def _slope(places: Sequence[float], logs: Sequence[float]) -> float:
    count = len(places)
    step = max(1, count * count // (2 * PAIRS_MAX))
    slopes = [
        (logs[j] - logs[i]) / (places[j] - places[i])
        for i in range(count)
        for j in range(i + 1, count, step)
        if places[i] != places[j]
    ]
    return median(slopes)


def _left_out(rests: Sequence[float], places: Sequence[float]) -> list[float]:
    """Return what each value differs from what the others say; the slope counts as one value more."""
    count = len(rests)
    if count < 2:
        return []
    middle = fmean(places)
    wide = sum((place - middle) ** 2 for place in places)
    level = fmean(rests)
    leverage = (1 / count + ((place - middle) ** 2 / wide if wide else 0.0) for place in places)
    return [(rest - level) / max(1 - h, 1 / count) for rest, h in zip(rests, leverage, strict=True)]


def _size(errors: Sequence[float]) -> float:
    return fmean(abs(error) for error in errors) if errors else 0.0
