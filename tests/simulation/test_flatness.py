"""A soak tells what grows from what goes up and down."""

from __future__ import annotations

import pytest

from talka_chaos.soak.flatness import course_of
from talka_chaos.soak.samples import ARCHIVED_BYTES, MIB, Samples

GROWING = [float(number) for number in range(100, 160)]
SAWTOOTH = [100.0 + number % 10 for number in range(60)]
WARMING_UP = [float(number) for number in range(0, 100, 10)] + [100.0] * 50


@pytest.mark.parametrize(("values", "is_flat"), [(GROWING, False), (SAWTOOTH, True), (WARMING_UP, True)])
def test_only_what_grows_is_told(values: list[float], is_flat: bool) -> None:
    """Steady growth is found; a sawtooth and what warms up at the beginning are not growth."""
    course = course_of(values, share=0.1, slack=5.0)
    assert course is not None
    assert course.is_flat is is_flat


def test_few_samples_tell_nothing() -> None:
    """A soak that was too short says nothing about a figure."""
    assert course_of([1.0] * 7, share=0.0, slack=0.0) is None


def test_what_archived_executions_leave_is_no_growth() -> None:
    """The log may keep a little of every execution, and no more than that."""
    samples = Samples()
    for count in range(0, 60_000, 1_000):
        samples.executions.append(count)
        samples.add("stream log", 10 + count * ARCHIVED_BYTES / MIB)
        samples.add("stream snapshot", 10 + count * ARCHIVED_BYTES / MIB)
    courses = samples.courses()
    assert courses["stream log"].is_flat
    assert not courses["stream snapshot"].is_flat
