"""What is found in signed logs that somebody has changed, and what is not held against honest ones."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.sealing.chains import LOG, OTHER, changed, commit, found, ring, sealing, written

from talka_core.auditing import Anchor
from talka_core.readmodel import anchor_of
from talka_protocols.ports import StoredCommit
from talka_protocols.seals import digest_of, read_signature, without_signature
from talka_protocols.subjects import POOL, LogName
from talka_services.loop import run
from talka_services.memory.log import MemoryLog
from talka_services.sealing.vault import Vault

SIGNING = Vault(ring(encrypts=False))
HONEST: list[StoredCommit] = run(written(sealing(SIGNING), 4))
SEALING_VAULT = Vault(ring())
SEALING_INNER = MemoryLog()
run(written(sealing(SEALING_VAULT, SEALING_INNER), 2))
SEALED: list[StoredCommit] = list(run(SEALING_INNER.read(LOG)))


def anchors(commits: list[StoredCommit]) -> dict[str, dict[int, Anchor]]:
    """Return what a read model notes of commits."""
    rows = [row for stored in commits if (row := anchor_of(stored)) is not None]
    return {str(LOG): {row.position: Anchor(row.version, row.digest) for row in rows}}


def test_an_honest_log_is_clean() -> None:
    """Each commit is linked to the one before it, and says what it said before it was signed."""
    assert found(SIGNING, HONEST, anchors(HONEST)) == []
    links = [read_signature(stored.body) for stored in HONEST]
    assert [link.previous if link else None for link in links] == [
        "",
        *(digest_of(stored.body) for stored in HONEST[:-1]),
    ]
    assert without_signature(HONEST[1].body) == commit(3)
    assert len(anchors(HONEST)[str(LOG)]) == 4


@settings(deadline=None)
@given(st.integers(0, 3), st.integers(0), st.integers(1, 255))
def test_any_changed_byte_of_any_commit_is_found(index: int, place: int, bits: int) -> None:
    """Whichever byte becomes another one, the commit that it is in is named."""
    body = bytearray(HONEST[index].body)
    body[place % len(body)] ^= bits
    tampered = [*HONEST]
    tampered[index] = changed(HONEST[index], bytes(body))
    named = {position for _, position in found(SIGNING, tampered)}
    assert HONEST[index].position in named


@settings(deadline=None)
@given(st.integers(0, 1), st.integers(0), st.integers(1, 255))
def test_any_changed_byte_of_a_sealed_commit_is_found(index: int, place: int, bits: int) -> None:
    """A sealed commit that was changed does not open, and is found by that."""
    body = bytearray(SEALED[index].body)
    body[place % len(body)] ^= bits
    tampered = [*SEALED]
    tampered[index] = changed(SEALED[index], bytes(body))
    opened = [sealing(SEALING_VAULT).opened_if_possible(stored) for stored in tampered]
    assert SEALED[index].position in {position for _, position in found(SEALING_VAULT, opened)}


@settings(deadline=None)
@given(st.integers(0, 1), st.integers(0))
def test_a_sealed_commit_that_was_cut_is_found(index: int, length: int) -> None:
    """However much of it is left, it does not open."""
    cut = SEALED[index].body[: length % len(SEALED[index].body)]
    assert found(SEALING_VAULT, [changed(SEALED[index], cut)])[0][0] == "changed"


def test_what_was_removed_is_named() -> None:
    """A gap is found at the commit behind it, also when what is missing is the beginning."""
    assert found(SIGNING, [HONEST[0], *HONEST[2:]]) == [("removed", 3)]
    assert found(SIGNING, HONEST[1:]) == [("removed", 2)]


def test_what_was_moved_or_repeated_is_named() -> None:
    """A commit in a place that is not its own is found there, and so is one that comes twice."""
    first, second, third, last = HONEST
    kinds = found(SIGNING, [first, third, second, last])
    assert ("removed", 3) in kinds
    assert ("out_of_order", 2) in kinds
    assert found(SIGNING, [first, second, second])[0] == ("out_of_order", 2)


def test_what_was_put_in_is_named() -> None:
    """Unsigned, signed with another key, or taken from another log: none of it passes."""
    unsigned = changed(HONEST[2], commit(5))
    assert found(SIGNING, [*HONEST[:2], unsigned])[0] == ("unsigned", 3)
    forged = changed(HONEST[2], Vault(ring()).sign(str(LOG), commit(5), digest_of(HONEST[1].body)))
    assert found(SIGNING, [*HONEST[:2], forged])[0] == ("unverifiable", 3)
    foreign = changed(HONEST[2], SIGNING.sign(str(OTHER), commit(5), digest_of(HONEST[1].body)))
    assert found(SIGNING, [*HONEST[:2], foreign])[0] == ("changed", 3)
    again = changed(HONEST[2], SIGNING.sign(str(LOG), commit(5), "0" * 64))
    assert found(SIGNING, [*HONEST[:2], again])[0] == ("removed", 3)


def test_what_was_cut_off_is_found_by_what_the_read_model_noted() -> None:
    """The chain alone cannot tell where a log ended; the anchors can, and after it has gone on, too."""
    noted = anchors(HONEST)
    assert found(SIGNING, HONEST[:2]) == []
    assert found(SIGNING, HONEST[:2], noted) == [("removed", 3)]
    assert found(SIGNING, [], noted) == [("removed", 1)]
    other = StoredCommit(LOG, 9, SIGNING.sign(str(LOG), commit(5), digest_of(HONEST[1].body)), "id")
    assert found(SIGNING, [*HONEST[:2], other], noted) == [("removed", 3)]
    replaced = changed(HONEST[3], SIGNING.sign(str(LOG), commit(7, events=3), digest_of(HONEST[2].body)))
    assert found(SIGNING, [*HONEST[:3], replaced], noted) == [("changed", 4)]
    stripped = [changed(stored, without_signature(stored.body)) for stored in HONEST]
    assert found(SIGNING, stripped) == []
    assert {kind for kind, _ in found(SIGNING, stripped, noted)} == {"changed"}


def test_what_was_written_before_there_were_keys_is_vouched_for_by_the_first_signed_commit() -> None:
    """An old log goes on signed; its last unsigned commit cannot be changed any more."""
    inner = MemoryLog()
    run(written(sealing(Vault(), inner), 2))
    mixed = run(written(sealing(SIGNING, inner), 2, first=5))
    assert found(SIGNING, mixed) == []
    old = changed(mixed[1], commit(3).replace(b"cause 3", b"cause 4"))
    assert found(SIGNING, [mixed[0], old, *mixed[2:]]) == [("removed", 3)]


def test_a_log_that_is_there_in_parts_is_checked_commit_by_commit() -> None:
    """A pool's log in an exported file has gaps by nature; its commits must be signed all the same."""
    from talka_core.auditing import Chains  # noqa: PLC0415

    name = LogName(POOL, "-", "default")
    body = SIGNING.sign("default/pool.default", commit(7).replace(b"ExecutionStarted", b"PoolTuned"), "")
    chains = Chains(SIGNING.verify, "default", partial=(POOL,))
    assert [each.kind for each in chains.take(StoredCommit(name, 9, body, "id"))] == ["changed"]
