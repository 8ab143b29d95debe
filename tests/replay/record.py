"""Records golden histories: ``python -m tests.replay.record`` writes those that are not there yet.

A history that exists is never written again: what was stored once must be readable for ever.
Each line is a commit of one log; the last lines hold the states that the logs fold to.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Raw
from tests.replay.scenarios import SCENARIOS, WRITTEN

from talka_chaos.model import Model
from talka_core.history import FOLDS, apply, packed
from talka_protocols.commit import decode_commit, encode_commit
from talka_protocols.messages import Recipient
from talka_protocols.subjects import LogName

HISTORIES = Path(__file__).parent / "histories"


def lines(model: Model) -> list[bytes]:
    """Return a finished model's logs and states as lines of JSON."""
    players = [player for player in model.players.values() if player.kind is not Recipient.WORKER]
    return _lines({player.name: player.commits for player in players})


def _lines(logs: Mapping[LogName, Sequence[bytes]]) -> list[bytes]:
    commits: list[dict[str, Any]] = [
        {"log": name, "commit": Raw(body)} for name, bodies in logs.items() for body in bodies
    ]
    states: list[dict[str, Any]] = [
        {"log": name, "state": Raw(packed(FOLDS[name.kind], _folded(name, bodies)))}
        for name, bodies in logs.items()
    ]
    return [msgspec.json.encode(line) for line in commits + states]


def _folded(name: LogName, bodies: Sequence[bytes]) -> Any:
    fold = FOLDS[name.kind]
    return apply(fold, fold.initial(name.key), [decode_commit(name, body) for body in bodies])


def main() -> None:
    """Write every history that does not exist yet."""
    HISTORIES.mkdir(exist_ok=True)
    for name, scenario in SCENARIOS.items():
        if not _path(name).exists():
            model = scenario()
            model.finish()
            _write(name, lines(model))
    for name, kept in WRITTEN.items():
        if not _path(name).exists():
            _write(name, _lines({log: [encode_commit(c) for c in commits] for log, commits in kept.items()}))


def _path(name: str) -> Path:
    return HISTORIES / f"{name}.jsonl"


def _write(name: str, written: Sequence[bytes]) -> None:
    _path(name).write_bytes(b"\n".join(written) + b"\n")


if __name__ == "__main__":
    main()
