"""Goal: policies that cannot be meant are refused before anything runs, with the place."""

from __future__ import annotations

from typing import Any

import pytest

from talka_core.validation import check
from talka_protocols.errors import WorkflowInvalidError
from talka_protocols.policies import Action, RetryPolicy
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


@pytest.mark.parametrize(
    ("action", "code", "field"),
    [
        (Action(" "), "unknown_agent_type", "agent_type"),
        (Action("sleep", timeout_seconds=0), "bad_number", "timeout_seconds"),
        (Action("sleep", retries=1001), "bad_number", "retries"),
    ],
)
def test_a_fallback_is_checked_like_a_task(action: Action, code: str, field: str) -> None:
    """What could not run as a task cannot run in its place."""
    error = _refusal(fallback=action)
    assert (error.code, error.path) == (code, ("tasks", 0, "fallback", field))


def test_what_a_fallback_refers_to_must_exist() -> None:
    """A reference in a fallback is checked as one in a payload, and its place is named."""
    error = _refusal(fallback=Action("sleep", {"result": "${nobody.x}"}))
    assert (error.code, error.path) == (
        "unknown_reference",
        ("tasks", 0, "fallback", "payload", "result"),
    )


def test_the_agent_type_of_a_fallback_must_be_offered() -> None:
    """A fallback that no worker can run is refused as the task itself would be."""
    task = Task("a", "sleep", fallback=Action("slep"))
    with pytest.raises(WorkflowInvalidError) as caught:
        check(Workflow("w", "w", (task,)), agent_types=frozenset({"sleep"}))
    assert caught.value.path == ("tasks", 0, "fallback", "agent_type")
    assert "sleep" in caught.value.hint
