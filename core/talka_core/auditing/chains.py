"""Holds commits against their signatures, their predecessors, and what the read model saw of them.

- A signature binds a commit's bytes and its log, so a changed or a foreign commit is found by itself.
- Versions go on without gaps and ``previous`` names the commit before, so what was removed, put in,
  repeated or moved is found at the commit behind it.
- An **anchor** is what the read model noted of a signed commit. It finds what was cut off the end, and
  what was removed before the log went on without it.

What was written before there were keys is unsigned, and is vouched for by the first signed commit behind it.
A pruned log begins at the latest behind its base, and that of an archived execution with the signed fact
that says so; nothing vouches here for what left a log before that. The log of a worker that is gone for
good may be missing, and begin anew: it says nothing about executions. So may that of a schedule or of a
trigger which the roster of its shard does not call live.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from enum import Enum

from msgspec import Struct

from talka_core.auditing.rosters import Rosters
from talka_core.auditing.violations import Finding, Kind, Violation, Where, violation
from talka_protocols.commit import Commit, decode_commit
from talka_protocols.errors import BrokenHistoryError
from talka_protocols.events import Event, ExecutionArchived
from talka_protocols.ports import StoredCommit
from talka_protocols.seals import (
    MalformedSignatureError,
    Signature,
    digest_of,
    place_of_log,
    read_signature,
)
from talka_protocols.subjects import PLAN, SCHEDULE, TRIGGER, WORKER, LogName

PASSING = (WORKER, SCHEDULE, TRIGGER)
"""The kinds of logs that may go as a whole, and begin anew."""

UNKNOWN_AT = 2**53
"""The time of what cannot be read, so that no time limit hides it."""


class Verdict(Enum):
    """What became of comparing a signature with what it is found at."""

    TRUE = "true"
    FALSE = "false"
    UNKNOWN_KEY = "unknown_key"


class Anchor(Struct, frozen=True):
    """What was noted of a commit: the version of its first event, and its digest."""

    version: int
    digest: str


Anchors = Mapping[str, Mapping[int, Anchor]]
"""What was noted, by the name of a log (``execution.ID``) and by position there."""


class _Chain(Struct):
    """How far one log was taken; None where what should follow cannot be known.

    ``latest`` is the version with which a log begins at the latest that is not there from its beginning.
    ``is_archived`` says that it may begin at version 1 again: with what is brought back.
    """

    next_version: int | None = 1
    latest: int | None = None
    digest: str | None = ""
    position: int = 0
    is_signed: bool = False
    is_archived: bool = False


class Chains:
    """Checks the commits of one namespace as they are taken, log by log in order.

    ``verify`` compares a signature with what it is to be bound to. Logs of the
    kinds in ``partial`` are there in parts only, as a pool's in an exported file.
    """

    def __init__(
        self,
        verify: Callable[[str, Signature], Verdict],
        namespace: str,
        anchors: Anchors | None = None,
        partial: Collection[str] = (),
    ) -> None:
        self.signed = 0
        self.unsigned = 0
        self._verify = verify
        self._namespace = namespace
        self._partial = partial
        self._chains: dict[str, _Chain] = {}
        self._anchors = {log: dict(noted) for log, noted in (anchors or {}).items()}
        self._archived: set[str] = set()
        self._rosters = Rosters()

    def begin(self, log: LogName, position: int, version: int, live: Collection[str] = ()) -> None:
        """Let a pruned log begin with any commit up to the one behind its base, which has this version.

        ``live`` is what it lists there if it is a roster.
        """
        self._rosters.begin(log, live)
        self._chains[str(log)] = _Chain(None, version + 1, None)
        self._forget(str(log), position)

    def _forget(self, log: str, position: int) -> None:
        """Miss nothing that was noted of a log up to a position."""
        noted = self._anchors.get(log, {})
        self._anchors[log] = {at: anchor for at, anchor in noted.items() if at > position}

    def take(self, stored: StoredCommit, fault: str = "") -> list[Violation]:
        """Take the next commit, and return what is wrong with it; ``fault`` says why it cannot be opened."""
        name, place = str(stored.log), place_of_log(self._namespace, stored.log)
        chain = self._chains.setdefault(name, _Chain())
        if stored.log.kind in self._partial:
            chain.next_version = chain.digest = None
        is_noted = bool(self._anchors.get(name))
        anchor = self._anchors.get(name, {}).pop(stored.position, None)
        try:
            commit: Commit[Event] | None = None if fault else decode_commit(stored.log, stored.body)
        except BrokenHistoryError as error:
            commit, fault = None, str(error)
        if commit is None:
            where = Where(name, chain.next_version or 0, stored.position, UNKNOWN_AT)
            chain.next_version, chain.digest, chain.position = None, None, stored.position
            return [violation((Kind.CHANGED, f"The commit cannot be read: {fault}"), where)]
        self._rosters.take(stored.log, commit)
        if stored.log.kind in PASSING and commit.version == 1 and not chain.position:
            self._forget(name, stored.position)
        is_archived = _says_archived(commit) and (not is_noted or self._is_true(place, stored.body))
        if is_archived:
            self._archive(stored, chain, commit)
        elif chain.is_archived and commit.version < (chain.next_version or 0):
            chain.next_version, chain.digest, chain.is_archived = 1, None, False
        found = list(self._findings(place, chain, stored, commit, anchor))
        chain.next_version, chain.latest = commit.version + len(commit), None
        chain.digest = None if any(kind is Kind.CHANGED for kind, _ in found) else digest_of(stored.body)
        chain.position = stored.position
        # What is asked of it from now on is refused behind that fact, and what is brought back begins anew.
        chain.is_archived |= is_archived
        where = Where(name, commit.version, stored.position, commit.at)
        return [violation(finding, where) for finding in found]

    def _archive(self, stored: StoredCommit, chain: _Chain, commit: Commit[Event]) -> None:
        """Miss nothing that left the server with an execution that was archived."""
        if not chain.position:
            chain.next_version, chain.digest = commit.version, None
            self._forget(str(stored.log), stored.position)
        self._archived.add(stored.log.key)

    def _is_true(self, place: str, body: bytes) -> bool:
        """Tell whether a commit is signed by one of ours."""
        try:
            signature = read_signature(body)
        except MalformedSignatureError:
            return False
        return signature is not None and self._verify(place, signature) is Verdict.TRUE

    def finish(self) -> list[Violation]:
        """Return what the read model saw and nobody else did."""
        found: list[Violation] = []
        gone = {f"{PLAN}.{key}" for key in self._archived}
        for log, noted in self._anchors.items():
            if not noted or log in gone:
                continue
            first = min(noted)
            chain = self._chains.get(log)
            if chain is None and (log.startswith(f"{WORKER}.") or self._rosters.may_be_gone(log)):
                continue
            is_end = chain is None or first > chain.position
            what = "The end of the log is cut off" if is_end else "Commits are missing"
            sentence = f"{what}: the read model saw {len(noted)} more, from event {noted[first].version} on."
            where = Where(log, noted[first].version, first, UNKNOWN_AT)
            found.append(violation((Kind.REMOVED, sentence), where))
        return found

    def _findings(
        self,
        place: str,
        chain: _Chain,
        stored: StoredCommit,
        commit: Commit[Event],
        anchor: Anchor | None,
    ) -> Iterator[Finding]:
        in_order = True
        for finding in _order(chain, commit):
            in_order = False
            yield finding
        try:
            signature = read_signature(stored.body)
        except MalformedSignatureError:
            yield Kind.CHANGED, "The commit's signature was changed, or cut off in part."
            return
        if signature is None:
            self.unsigned += 1
            if chain.is_signed:
                yield Kind.UNSIGNED, "The commit is not signed, and the log before it is."
            elif anchor is not None:
                yield Kind.CHANGED, "The commit is not signed, and was when the read model saw it."
            return
        self.signed += 1
        chain.is_signed = True
        yield from self._signature(place, chain if in_order else None, signature)
        if anchor is not None and anchor.digest != digest_of(stored.body):
            yield Kind.CHANGED, "The commit is another one than that which the read model saw here."

    def _signature(self, place: str, chain: _Chain | None, signature: Signature) -> Iterator[Finding]:
        verdict = self._verify(place, signature)
        if verdict is Verdict.UNKNOWN_KEY:
            yield (
                Kind.UNVERIFIABLE,
                f"The commit is signed with the key {signature.key_id!r}, which is not here.",
            )
        elif verdict is Verdict.FALSE:
            yield (
                Kind.CHANGED,
                f"The commit was changed since the key {signature.key_id!r} signed it, or forged.",
            )
        elif chain is not None and chain.digest is not None and signature.previous != chain.digest:
            yield Kind.REMOVED, "The commit was written behind another one than that before it now."


def _says_archived(commit: Commit[Event]) -> bool:
    return any(isinstance(event, ExecutionArchived) for _, _, event in commit.events())


def _order(chain: _Chain, commit: Commit[Event]) -> Iterator[Finding]:
    expected = chain.next_version
    if expected is None and chain.latest is not None and commit.version > chain.latest:
        expected = chain.latest
    if expected is None or commit.version == expected:
        return
    if commit.version < expected:
        yield (
            Kind.OUT_OF_ORDER,
            f"Event {commit.version} stands where event {expected} should: it is repeated or was moved.",
        )
    elif commit.version == expected + 1:
        yield Kind.REMOVED, f"Event {expected} is missing before it."
    else:
        yield Kind.REMOVED, f"Events {expected} to {commit.version - 1} are missing before it."
