"""A program that hangs is stopped, and one that is only given little of a processor is not."""

from __future__ import annotations

import subprocess
import time
from unittest import mock

import psutil
import pytest
from tests.docs.patience import Patience, communicate


@pytest.fixture
def busy_share() -> mock.Mock:
    """The share of the processors that are in use, in percent."""
    return mock.Mock(return_value=0.0)


def program(seconds: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        ["sleep", str(seconds)], stdout=subprocess.PIPE, text=True, start_new_session=True
    )


def test_a_program_that_hangs_on_an_idle_machine_is_stopped(busy_share: mock.Mock) -> None:
    """Nothing else wants the processors, so what passes is its own time."""
    process = program(60)
    try:
        with mock.patch.object(psutil, "cpu_percent", busy_share), pytest.raises(subprocess.TimeoutExpired):
            communicate(process, 0.1)
    finally:
        process.kill()
        process.communicate()


def test_waiting_for_a_busy_machine_is_not_counted(busy_share: mock.Mock) -> None:
    """A second that others had the processors costs nothing; one on an idle machine does."""
    process = program(60)
    try:
        with mock.patch.object(psutil, "cpu_percent", busy_share):
            patience = Patience(process.pid, 60.0)
            busy_share.return_value = 100.0
            with mock.patch.object(time, "monotonic", return_value=time.monotonic() + 1_000):
                assert not patience.is_over()
            busy_share.return_value = 10.0
            with mock.patch.object(time, "monotonic", return_value=time.monotonic() + 2_000):
                assert patience.is_over()
    finally:
        process.kill()
        process.communicate()
