"""What a misspelt word was probably meant to be."""

from __future__ import annotations

from talka_core.spelling import did_you_mean
from talka_protocols.workflow import Strategy


def test_the_closest_of_an_enumeration_is_shown_as_people_write_it() -> None:
    """Nobody types a member's representation."""
    assert did_you_mean("dept_first", list(Strategy)) == "Did you mean 'depth_first'?"


def test_where_nothing_is_close_some_are_listed() -> None:
    """In order, and under the caller's words."""
    assert did_you_mean("zzz", ["b", "a"], label="Fields") == "Fields: a, b."
    assert did_you_mean("zzz", []) == ""
