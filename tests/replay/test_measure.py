"""Goal: the documented measurement of a replay runs, and folds the history that it says."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest


def test_the_measurement_folds_what_it_says(capsys: pytest.CaptureFixture[str]) -> None:
    """Every task of the measured history has succeeded, and the number of events is printed."""
    runpy.run_path(str(Path(__file__).parent / "measure.py"), run_name="__main__")
    assert capsys.readouterr().out.startswith("10,002 events: ")
