"""Says in words how a process ended."""

from __future__ import annotations

import signal


def signal_name(number: int) -> str:
    """Return the name of a signal, such as ``SIGKILL``."""
    try:
        return signal.Signals(number).name
    except ValueError:
        # Real-time signals have numbers only.
        return f"signal {number}"


def exit_text(code: int) -> str:
    """Return how a process ended, from its exit code (negative: minus the signal's number)."""
    return f"was killed by {signal_name(-code)}" if code < 0 else f"ended with exit code {code}"
