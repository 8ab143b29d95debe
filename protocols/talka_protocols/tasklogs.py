"""What attempts print and log while they run: kept for a while, and nothing is decided from it."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

from talka_protocols.enums import quick


@quick
class Channel(StrEnum):
    """Where an attempt wrote; ``log`` holds one JSON object a line, of ``context.log``."""

    STDOUT = "stdout"
    STDERR = "stderr"
    LOG = "log"


class Printed(Struct, frozen=True, omit_defaults=True):
    """Some text of one attempt; ``at`` is when its worker had it (Unix milliseconds).

    ``dropped`` bytes behind the text are missing, because the attempt wrote more than is kept.
    """

    task_id: str
    attempt: int
    channel: Channel
    at: int
    text: str
    worker_id: str = ""
    dropped: int = 0
