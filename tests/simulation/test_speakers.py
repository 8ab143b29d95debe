"""Goal: every letter that actors write is one that its speaker is believed; nothing true is held back.

Method: whole simulated clusters, in which each letter is judged as if a server had vouched for its sender.
"""

from __future__ import annotations

import pytest

from talka_chaos.sim import run
from talka_chaos.world import World
from talka_protocols.messages import GrantAllocation, StartTask, decode_envelope
from talka_protocols.messages.speakers import Role, is_service, may_say
from talka_protocols.permissions import PLANNING

SPEAKERS = {
    **dict.fromkeys((kind.value for kind in PLANNING), Role.PLANNER.value),
    "scheduler": Role.SCHEDULER.value,
    "resource": Role.RESOURCE.value,
    "liveness": Role.RESOURCE.value,
}


def speaker_of(sender: str) -> str:
    """Return who speaks where a parcel has this sender: an actor's address, or a client's id."""
    kind, _, identity = sender.partition(".")
    if kind in {"worker", "witness"}:
        return f"{Role.WORKER.value}.{identity}"
    return SPEAKERS.get(kind, Role.CLIENT.value)


@pytest.mark.parametrize("seed", range(6))
def test_what_actors_say_is_believed(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each kind of letter from each kind of actor; a worker's, and a client's, only if it is their own."""
    said: set[tuple[str, str]] = set()
    held_back: set[tuple[str, str]] = set()
    dispatch = World.dispatch

    def judged(world: World, subject: str, body: bytes) -> None:
        for parcel in decode_envelope(body).parcels:
            speaker = speaker_of(parcel.sender)
            for letter in parcel.letters:
                heard = (speaker.partition(".")[0], type(letter.message).__name__)
                (said if may_say(speaker, letter.message) else held_back).add(heard)
                if isinstance(letter.message, GrantAllocation | StartTask):
                    assert not may_say("worker.w1", letter.message)
                    assert not may_say(Role.CLIENT.value, letter.message)
        dispatch(world, subject, body)

    monkeypatch.setattr(World, "dispatch", judged)
    run(seed)
    assert held_back == set()
    assert {"planner", "scheduler", "resource", "worker"} <= {speaker for speaker, _ in said}


def test_who_is_unknown_may_say_nothing() -> None:
    """Nor is it one of the services."""
    assert not is_service("worker.scheduler")
    assert not is_service("")
