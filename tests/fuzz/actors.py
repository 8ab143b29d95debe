"""What others may tell an actor, in any state that a golden history has gone through, is decided by its laws.

An input is a line ``HISTORY LOG COMMITS`` (which log of which history, and how many of its commits have
happened), and the envelope that arrives then.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import msgspec
from msgspec import Raw

from talka_chaos.players import BEHAVIOURS, Player
from talka_protocols.commit import decode_commit
from talka_protocols.messages import Message, decode_envelope
from talka_protocols.messages.speakers import Role, may_say
from talka_protocols.subjects import LogName

HISTORIES = Path(__file__).parents[1] / "replay" / "histories"
MESSAGES_MAX = 20
LATER_MS = 60_000
NO_LOG = LogName("execution", "-", "golden"), ()

KINDS = {behaviour.log_kind: kind for kind, behaviour in BEHAVIOURS.items()}


@lru_cache
def logs(history: str) -> tuple[tuple[LogName, tuple[bytes, ...]], ...]:
    """Return the logs of a golden history that an actor writes, with their commits."""
    found: dict[LogName, list[bytes]] = {}
    path = HISTORIES / f"{history}.jsonl"
    for text in path.read_bytes().splitlines() if history.isidentifier() and path.exists() else ():
        fields = msgspec.json.decode(text, type=dict[str, Raw])
        log = msgspec.json.decode(fields["log"], type=LogName)
        if "commit" in fields and log.kind in KINDS:
            found.setdefault(log, []).append(bytes(fields["commit"]))
    return tuple((log, tuple(bodies)) for log, bodies in found.items())


def tell(body: bytes) -> None:
    """Let an actor take what a client or a worker may say, and hold it to its laws."""
    head, _, rest = body.partition(b"\n")
    try:
        parcels = decode_envelope(rest).parcels
    except (ValueError, RecursionError):
        return
    messages = [letter.message for parcel in parcels for letter in parcel.letters]
    player, now_ms = _player(head)
    if player is None:
        return
    heard = [each for each in messages if _may_come(each) and not _is_named(each) and each.key == player.key]
    if heard:
        player.take_together(heard[:MESSAGES_MAX], now_ms, None)
        player.check_replay()


def _player(head: bytes) -> tuple[Player | None, int]:
    history, *numbers = head.decode("ascii", "replace").split(" ")
    known = logs(history)
    if not known or len(numbers) != 2 or not all(each.isdecimal() for each in numbers):
        return None, 0
    log, commits = known[int(numbers[0][:9]) % len(known)]
    player = Player(KINDS[log.kind], log.key)
    player.commits = list(commits[: int(numbers[1][:9]) % (len(commits) + 1)])
    at = decode_commit(log, player.commits[-1]).at if player.commits else 0
    player.recover(at + LATER_MS)
    return player, at + LATER_MS


def _may_come(message: Message) -> bool:
    worker = f"{Role.WORKER}.{getattr(message, 'worker_id', '')}"
    return may_say(Role.CLIENT, message) or may_say(worker, message)


def _is_named(message: Message) -> bool:
    """Tell whether the shell would load a definition before it delivers the message."""
    return getattr(message, "definition", None) is not None and getattr(message, "workflow", None) is None
