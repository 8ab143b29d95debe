"""What comes over NATS and pipes and is none of the actors' messages: signs of life, output, answers.

Whoever may publish on a subject can send there what it likes, and a task's child process what it likes.
"""

from __future__ import annotations

import contextlib

import msgspec

from talka_services.client.tasklogs import printed_in
from talka_services.executors.frames import FrameReader, decode_answers, decode_requests
from talka_services.jetstream.objects import IncompleteError, described
from talka_services.service.balance import read_peer
from talka_services.service.liveness import read_heartbeat

PIECE_BYTES = 7


def heartbeat(body: bytes) -> None:
    """A sign of life of a worker, a client or another service; what is none counts for nothing."""
    for read in (read_heartbeat, read_peer):
        found = read(body)
        assert found is None or read(msgspec.json.encode(found)) == found


def printed(body: bytes) -> None:
    """What a task has printed, as it lies in its stream; what is none of ours is left out."""
    for each in printed_in(body, "talka.x.tasklog.x"):
        assert printed_in(msgspec.json.encode([each]), "talka.x.tasklog.x") == [each]


def description(body: bytes) -> None:
    """What describes a value in the object store."""
    with contextlib.suppress(IncompleteError):
        described(body)


def frame(body: bytes) -> None:
    """What worker and child process say: the same, wherever it is cut."""
    whole = FrameReader().feed(body)
    reader = FrameReader()
    pieces = (body[at : at + PIECE_BYTES] for at in range(0, len(body), PIECE_BYTES))
    assert [each for piece in pieces for each in reader.feed(piece)] == whole
    for each in whole:
        for decode in (decode_requests, decode_answers):
            with contextlib.suppress(ValueError, RecursionError):
                decode(each)
