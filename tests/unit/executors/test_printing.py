"""What one run of a child process prints: by lines, from any thread, up to a limit."""

from __future__ import annotations

from talka_protocols.tasklogs import Channel
from talka_services.executors.printing import BYTES_MAX, LINE_CHARS_MAX, Printout


def _printout() -> tuple[Printout, list[tuple[Channel, str, int]]]:
    told: list[tuple[Channel, str, int]] = []
    return Printout(lambda channel, text, dropped: told.append((channel, text, dropped))), told


def test_lines_are_told_when_they_are_whole() -> None:
    """Channels do not mix, and what has no end of line comes at the end."""
    printout, told = _printout()
    printout.write(Channel.STDOUT, "a")
    printout.write(Channel.STDERR, "warning\nmore")
    assert told == [(Channel.STDERR, "warning\n", 0)]
    printout.write(Channel.STDOUT, "b\nc")
    printout.close()
    assert told[1:] == [(Channel.STDOUT, "ab\n", 0), (Channel.STDOUT, "c", 0), (Channel.STDERR, "more", 0)]


def test_a_line_without_an_end_is_told_in_parts() -> None:
    """A progress bar, say, never ends its line."""
    printout, told = _printout()
    printout.write(Channel.STDOUT, "x" * (LINE_CHARS_MAX + 1))
    assert told == [(Channel.STDOUT, "x" * (LINE_CHARS_MAX + 1), 0)]


def test_what_is_too_much_is_counted() -> None:
    """Nothing follows it, so that no text has a hole in it."""
    printout, told = _printout()
    line = "x" * 999 + "\n"
    count = BYTES_MAX // len(line) + 10
    for _ in range(count):
        printout.write(Channel.STDOUT, line)
    printout.write(Channel.STDOUT, "end")
    printout.close()
    missing = told[-1]
    assert missing[:2] == (Channel.STDOUT, "")
    assert missing[2] + sum(len(text) for _, text, _ in told) == count * len(line) + 3
