"""What the outside tells an execution: signals."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import uuid4

import msgspec
from msgspec import Raw

from talka_core.limits import DEPTH_MAX, check_id
from talka_core.nesting import is_deeper
from talka_core.scheduler.arrivals import SIGNAL_REPEATED
from talka_protocols.errors import CallerError, RequestRefusedError
from talka_protocols.messages import SignalExecution
from talka_protocols.subjects import is_token
from talka_protocols.workflow import INLINE_BYTES_MAX

if TYPE_CHECKING:
    from talka_services.client.orchestrator import Orchestrator


async def signal(
    orchestrator: Orchestrator, execution_id: str, name: str, data: Any = None, signal_id: str | None = None
) -> bool:
    """Send a signal; see ``Orchestrator.signal``."""
    check_id(name, ("name",), "name of a signal")
    encoded = msgspec.json.encode(data)
    if is_deeper(encoded, DEPTH_MAX):
        raise CallerError(f"The data of a signal may have {DEPTH_MAX} levels.")
    if len(encoded) > INLINE_BYTES_MAX:
        raise CallerError(
            f"The data of a signal may have {INLINE_BYTES_MAX:,} bytes, not {len(encoded):,}.",
            hint="Keep it in a file or a store, and send its address.",
        )
    chosen = signal_id or uuid4().hex
    if not is_token(chosen):
        raise CallerError(
            f"The signal id {chosen!r} cannot be used.",
            hint="Use letters, digits, '-' and '_', at most 128 of them.",
        )
    try:
        await orchestrator.request(SignalExecution(execution_id, name, chosen, Raw(encoded)))
    except RequestRefusedError as error:
        if error.code != SIGNAL_REPEATED:
            raise
        return False
    return True
