"""Every decoder survives what is kept in the corpus, and what a few hundred changes make of it."""

from __future__ import annotations

import tracemalloc
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.fuzz.mutation import changed
from tests.fuzz.targets import CORPUS, SHAPES, SUPPRESSED, TARGETS, corpus

EXAMPLES = 80
MEMORY_BYTES, MEMORY_FACTOR = 32 * 1024 * 1024, 200
"""What reading an input may take: room for the largest file, and so many times its own length."""
PIECES = (
    b"",
    b"\x00",
    b"\xff",
    b"[",
    b"{",
    b'"',
    b"1e999",
    b"-1",
    b"null",
    b"[" * 2_000,
    b"&a",
    b"*a",
    b"${",
    b"\xc3",
)


@pytest.mark.parametrize("name", TARGETS)
def test_what_is_kept_is_read_or_refused(name: str) -> None:
    """Each file of the corpus, cut short at every place of a few, and empty."""
    found = list(corpus(name))
    assert found
    for body in [*found, b""]:
        TARGETS[name](body)
        for part in range(1, 8):
            TARGETS[name](body[: len(body) * part // 8])


@pytest.mark.parametrize("name", TARGETS)
def test_what_is_kept_takes_little_memory(name: str) -> None:
    """No input makes a reader hold much more than it is long, whatever it claims to be or refers to."""
    found = list(corpus(name))
    TARGETS[name](found[0])
    tracemalloc.start()
    try:
        for body in found:
            tracemalloc.reset_peak()
            before, _ = tracemalloc.get_traced_memory()
            TARGETS[name](body)
            _, peak = tracemalloc.get_traced_memory()
            assert peak - before < MEMORY_BYTES + MEMORY_FACTOR * len(body), body[:100]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", TARGETS)
@settings(
    max_examples=EXAMPLES,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=SUPPRESSED,
)
@given(data=st.data())
def test_what_is_changed_is_read_or_refused(name: str, data: st.DataObject) -> None:
    """Some of its bytes are replaced, repeated or left out."""
    body = data.draw(st.sampled_from(list(corpus(name))), "from the corpus")
    for _ in range(data.draw(st.integers(1, 4), "changes")):
        begin = data.draw(st.integers(0, len(body)), "from")
        end = min(len(body), begin + data.draw(st.integers(0, 12), "length"))
        put = data.draw(
            st.one_of(st.sampled_from(PIECES), st.binary(max_size=8), st.just(body[begin:end] * 2))
        )
        body = body[:begin] + put + body[end:]
    TARGETS[name](body)


@pytest.mark.parametrize("name", SHAPES)
def test_what_says_something_else_is_read_or_refused(name: str) -> None:
    """What the inputs say is changed, and not only their bytes; much of it is still of the target's shape."""
    known, dice, put_together = list(corpus(name)), Random(name), 0
    for _ in range(EXAMPLES):
        found = changed(SHAPES[name], dice.choice(known), dice)
        if found is not None:
            TARGETS[name](found)
            put_together += 1
    assert put_together > EXAMPLES / 4


def test_the_corpus_has_files_of_every_target_and_no_others() -> None:
    assert {path.name for path in CORPUS.iterdir()} == set(TARGETS)
