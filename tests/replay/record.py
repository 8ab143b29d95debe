"""Records golden histories: ``python -m tests.replay.record`` writes those that are not there yet.

A history that exists is never written again: what was stored once must be readable for ever.
Each line is a commit of one log; the last lines hold the states that the logs fold to.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
from msgspec import Raw
from tests.replay.scenarios import SCENARIOS

from talka_chaos.model import Model
from talka_core.history import FOLDS, packed
from talka_protocols.messages import Recipient

HISTORIES = Path(__file__).parent / "histories"


def lines(model: Model) -> list[bytes]:
    """Return a finished model's logs and states as lines of JSON."""
    players = [player for player in model.players.values() if player.kind is not Recipient.WORKER]
    commits: list[dict[str, Any]] = [
        {"log": player.name, "commit": Raw(body)} for player in players for body in player.commits
    ]
    states: list[dict[str, Any]] = [
        {"log": player.name, "state": Raw(packed(FOLDS[player.name.kind], player.state))}
        for player in players
    ]
    return [msgspec.json.encode(line) for line in commits + states]


def main() -> None:
    """Write every history that does not exist yet."""
    HISTORIES.mkdir(exist_ok=True)
    for name, scenario in SCENARIOS.items():
        path = HISTORIES / f"{name}.jsonl"
        if not path.exists():
            model = scenario()
            model.finish()
            path.write_bytes(b"\n".join(lines(model)) + b"\n")


if __name__ == "__main__":
    main()
