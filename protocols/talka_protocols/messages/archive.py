"""To the scheduler: an execution lies in an archive."""

from __future__ import annotations

from talka_protocols.messages.kinds import ToExecution


class ArchiveExecution(ToExecution, frozen=True, gc=False):
    """Its first ``events`` events lie in an archive; heard once under its id.

    It is refused unless these are all, and nothing is owed any more. The fields are as in
    ``ExecutionArchived``.
    """

    request_id: str
    events: int
    place: str
    sha256: str
    root: str
