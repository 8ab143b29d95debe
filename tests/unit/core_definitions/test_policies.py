"""Goal: policies that cannot be meant are refused before anything runs, with the place."""

from __future__ import annotations

from typing import Any

import pytest

from talka_core.validation import check
from talka_protocols.errors import WorkflowInvalidError
from talka_protocols.policies import RetryPolicy
from talka_protocols.workflow import Task, Workflow


def _refusal(**fields: Any) -> WorkflowInvalidError:
    with pytest.raises(WorkflowInvalidError) as caught:
        check(Workflow("w", "w", (Task("a", "sleep", **fields),)))
    return caught.value


@pytest.mark.parametrize(
    ("policy", "field"),
    [
        (RetryPolicy(base_seconds=-1), "base_seconds"),
        (RetryPolicy(max_seconds=1e12), "max_seconds"),
        (RetryPolicy(base_seconds=5, max_seconds=1), "base_seconds"),
        (RetryPolicy(factor=0.5), "factor"),
        (RetryPolicy(jitter=1.5), "jitter"),
    ],
)
def test_numbers_of_a_retry_policy(policy: RetryPolicy, field: str) -> None:
    """A pause, factor or jitter out of range is named with its place."""
    error = _refusal(retry=policy)
    assert (error.code, error.path) == ("bad_number", ("tasks", 0, "retry", field))


def test_pattern_that_matches_nothing() -> None:
    """An empty pattern is a mistake and says what to write."""
    error = _refusal(retry=RetryPolicy(never=("ValueError", " ")))
    assert (error.code, error.path) == ("bad_pattern", ("tasks", 0, "retry", "never", 1))
    assert "ValueError" in error.hint


def test_too_many_patterns() -> None:
    """A list that is longer than anybody writes is refused."""
    error = _refusal(retry=RetryPolicy(only=("x",) * 101))
    assert (error.code, error.path) == ("bad_pattern", ("tasks", 0, "retry", "only"))
