"""Bounded capture of a stream."""

from __future__ import annotations

import pytest

from talka_services.executors.capture import Capture


@pytest.mark.parametrize("size", [0, 1, 9, 10])
def test_what_fits_is_kept_whole(size: int) -> None:
    """Up to the bound nothing is dropped, wherever it is cut into chunks."""
    data = b"0123456789"[:size]
    for cut in range(size + 1):
        capture = Capture(10)
        capture.feed(data[:cut])
        capture.feed(data[cut:])
        assert capture.text() == data.decode()
        assert not capture.is_truncated


@pytest.mark.parametrize("chunk", [1, 3, 7, 100])
def test_the_middle_is_dropped(chunk: int) -> None:
    """Beginning and end stay, and the marker says how much is missing."""
    data = b"head." + b"x" * 90 + b".tail"
    capture = Capture(10)
    for start in range(0, len(data), chunk):
        capture.feed(data[start : start + chunk])
    assert capture.text() == "head.\n... [90 bytes dropped] ...\n.tail"
    assert capture.is_truncated


def test_characters_are_not_torn() -> None:
    """A character of which only a part was kept is left out rather than shown as rubbish."""
    capture = Capture(10)
    capture.feed("ééééééééééé".encode())
    assert "\ufffd" not in capture.text()
