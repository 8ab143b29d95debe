"""Goal: whoever steps through a history gets to the event that was asked for, and never out of it."""

from __future__ import annotations

import pytest

from talka_services.cli.stepping import moved


@pytest.mark.parametrize(
    ("asked", "here", "there"),
    [("", 1, 2), ("n", 4, 5), ("n", 5, 5), ("p", 3, 2), ("p", 1, 1), (" 4 ", 1, 4), ("6", 2, 2), ("x", 2, 2)],
)
def test_stepping_stays_within_the_history(asked: str, here: int, there: int) -> None:
    """Enter and n go on, p goes back, a number jumps; what makes no sense stays."""
    assert moved(asked, here, 5) == there
