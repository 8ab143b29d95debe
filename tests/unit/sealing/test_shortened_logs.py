"""Goal: a log that was shortened by rights is whole, and one that was shortened otherwise is not."""

from __future__ import annotations

from tests.unit.sealing.chains import LOG, OTHER, changed, ring, sealing, written
from tests.unit.sealing.test_chains import anchors

from talka_core.auditing import Anchors, Chains
from talka_protocols.commit import Commit, Decision, encode_commit
from talka_protocols.events import (
    Event,
    ExecutionArchived,
    LogsClosed,
    LogsOpened,
    RequestRefused,
    ScheduleRemoved,
    WorkerRegistered,
)
from talka_protocols.ports import StoredCommit
from talka_protocols.seals import digest_of, without_signature
from talka_protocols.states import ExecutionState
from talka_protocols.subjects import PLAN, SCHEDULE, SHARD, WORKER, LogName
from talka_services.loop import run
from talka_services.sealing.vault import Vault

SIGNING = Vault(ring(encrypts=False))
HONEST: list[StoredCommit] = run(written(sealing(SIGNING), 4))
"""Four commits of two events each."""
EVENTS = 8
PLAN_LOG = LogName(PLAN, LOG.shard, LOG.key)


def archived() -> StoredCommit:
    """Return the signed commit that says that the log is in an archive."""
    fact = ExecutionArchived("r", EVENTS, "file:///a.talka", "0" * 64, LOG.key, ExecutionState.SUCCEEDED)
    body = encode_commit(Commit(EVENTS + 1, 0, 0, (Decision("m", (fact,)),)))
    return StoredCommit(LOG, 5, SIGNING.sign(str(LOG), body, digest_of(HONEST[3].body)), "archived")


def wrong(
    commits: list[StoredCommit], noted: Anchors | None = None, base: tuple[int, int] | None = None
) -> list[tuple[str, int]]:
    """Return what is found in a log, which begins behind a base (position, version) if there is one."""
    chains = Chains(SIGNING.verify, "default", noted)
    if base is not None:
        chains.begin(LOG, *base)
    found = [violation for stored in commits for violation in chains.take(stored)] + chains.finish()
    return [(violation.kind.value, violation.where.position) for violation in found]


def test_an_archived_log_begins_with_the_fact_that_says_so() -> None:
    """What the read model noted before is not missed, of its plan neither; what is cut off behind it is."""
    noted = {**anchors([*HONEST, archived()]), str(PLAN_LOG): anchors(HONEST)[str(LOG)]}
    assert wrong([*HONEST, archived()], noted) == []
    assert wrong([archived()], noted) == []
    assert wrong([HONEST[3]], noted) != []
    assert wrong([], noted) != []


def test_an_unsigned_fact_excuses_nothing() -> None:
    """Whoever can write to the stream, and has no key, cannot pass a removal off as an archived execution."""
    fact = ExecutionArchived("r", EVENTS, "file:///a.talka", "0" * 64, LOG.key, ExecutionState.SUCCEEDED)
    body = encode_commit(Commit(EVENTS + 1, 0, 0, (Decision("m", (fact,)),)))
    forged, noted = StoredCommit(LOG, 5, body, "archived"), anchors(HONEST)
    assert ("removed", 1) in wrong([forged], {**noted, str(PLAN_LOG): {1: noted[str(LOG)][1]}})
    assert wrong([forged]) == []


def test_a_signed_log_is_not_replaced_by_a_word_that_it_is_archived() -> None:
    """An unsigned fact, or one signed for another log, takes nothing away of a log and its plan."""
    noted = {**anchors(HONEST), str(PLAN_LOG): anchors(HONEST)[str(LOG)]}
    unsigned = without_signature(archived().body)
    foreign = SIGNING.sign(str(OTHER), unsigned, digest_of(HONEST[3].body))
    assert wrong([changed(archived(), unsigned)]) == []
    for body in (unsigned, foreign):
        found = wrong([changed(archived(), body)], noted)
        assert found.count(("removed", HONEST[0].position)) == 2
        assert ("removed", archived().position) in found


def test_an_archived_log_that_is_brought_back_begins_anew() -> None:
    """Its commits come behind the fact, in their order and whole."""
    back = [
        StoredCommit(LOG, 5 + place, stored.body, stored.commit_id)
        for place, stored in enumerate(HONEST, start=1)
    ]
    assert wrong([archived(), *back]) == []
    assert wrong([archived(), *back[1:]]) == [("removed", 7)]
    assert wrong([archived(), back[0], *back[2:]]) == [("removed", 8)]


def test_what_is_refused_of_an_archived_execution_follows_the_fact() -> None:
    """In order and chained to it, and what is brought back may come behind that; a gap is found."""
    fact = archived()
    signed_refusals: list[StoredCommit] = []
    digest = digest_of(fact.body)
    for number in (2, 3):
        refusal = RequestRefused("CancelExecution", "archived", "It is archived.")
        body = encode_commit(Commit(EVENTS + number, 0, 0, (Decision("m", (refusal,)),)))
        body = SIGNING.sign(str(LOG), body, digest)
        digest = digest_of(body)
        signed_refusals.append(StoredCommit(LOG, 4 + number, body, f"refusal {number}"))
    back = [StoredCommit(LOG, 10 + place, each.body, each.commit_id) for place, each in enumerate(HONEST)]
    assert wrong([fact, *signed_refusals, *back]) == []
    assert wrong([fact, signed_refusals[1]]) == [("removed", 7)]
    assert wrong([fact, *signed_refusals, *back[1:]]) == [("removed", 11)]


def test_a_pruned_log_begins_at_the_latest_behind_its_base() -> None:
    """Whether what the base sums up has left or not; what comes after the base must be there."""
    noted = anchors(HONEST)
    assert wrong(HONEST[2:], noted, (2, 4)) == []
    assert wrong(HONEST[1:], noted, (2, 4)) == []
    assert wrong(HONEST, noted, (2, 4)) == []
    assert wrong(HONEST[3:], noted, (2, 4)) == [("removed", 4), ("removed", 3)]
    assert wrong(HONEST[3:], None, (2, 4)) == [("removed", 4)]


async def lived(count: int, behind: int = 0) -> list[StoredCommit]:
    """Return the signed log of a worker that has begun so often, at positions behind one."""
    log, name, position = sealing(SIGNING), LogName(WORKER, "-", "w1"), 0
    for number in range(1, count + 1):
        body = encode_commit(Commit(number, 1, 0, (Decision("p", (WorkerRegistered(number, "default"),)),)))
        position = await log.append(name, position, body, str(number))
    stored = await log.read(name)
    return [StoredCommit(name, behind + each.position, each.body, each.commit_id) for each in stored]


def test_the_log_of_a_worker_may_go_and_begin_anew() -> None:
    """What the read model noted of it is not missed then; what is cut out of one that is there, is."""
    whole, again = run(lived(4)), run(lived(2, behind=10))
    noted = anchors(whole)[str(LOG)]
    name = str(whole[0].log)
    assert wrong([], {name: noted}) == []
    assert wrong(again, {name: {**noted, **anchors(again)[str(LOG)]}}) == []
    assert wrong([whole[0], *whole[2:]], {name: noted}) != []
    assert wrong(whole[:3], {name: noted}) != []
    assert wrong(whole[1:], {name: noted}) != []


ROSTER = LogName(SHARD, "0", "starter-0")
SCHEDULE_LOG = LogName(SCHEDULE, "0", "s")


async def signed(name: LogName, *events: Event, behind: int = 0) -> list[StoredCommit]:
    """Return a signed log with one commit for each event."""
    log, position = sealing(SIGNING), 0
    for number, event in enumerate(events, start=1):
        body = encode_commit(Commit(number, 1, 0, (Decision("p", (event,)),)))
        position = await log.append(name, position, body, str(number))
    stored = await log.read(name)
    return [StoredCommit(name, behind + each.position, each.body, each.commit_id) for each in stored]


def test_the_log_of_a_schedule_may_go_once_its_roster_does_not_list_it() -> None:
    """One that is listed must be there, also where the roster was pruned behind that."""
    whole = run(signed(SCHEDULE_LOG, ScheduleRemoved("1"), ScheduleRemoved("2"), behind=10))
    noted = {str(SCHEDULE_LOG): anchors(whole)[str(LOG)]}
    opened, closed = LogsOpened(("s",)), LogsClosed(("s",))
    assert wrong(run(signed(ROSTER, opened, closed)), noted) == []
    assert wrong(run(signed(ROSTER, opened)), noted) == [("removed", 11)]
    chains = Chains(SIGNING.verify, "default", noted)
    chains.begin(ROSTER, 5, 9, ("s",))
    assert [each.kind.value for each in chains.finish()] == ["removed"]
    again = run(signed(SCHEDULE_LOG, ScheduleRemoved("3"), behind=20))
    both = {str(SCHEDULE_LOG): {**noted[str(SCHEDULE_LOG)], **anchors(again)[str(LOG)]}}
    assert wrong([*run(signed(ROSTER, opened, closed, opened)), *again], both) == []
    assert wrong(whole[1:], noted) != []
