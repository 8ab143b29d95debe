"""What a request lost when it was not granted, as the event says that it waits.

Several want the same, and the round of granting has decided who gets it. This says for each of
the others what it was short of in that moment; of any later one `explain` tells, and who holds it.
"""

from __future__ import annotations

from collections.abc import Callable

from talka_core.keys import counter_of
from talka_core.resource import breaker, labels
from talka_core.resource.accounts import EXECUTION, short_of
from talka_core.resource.placement import Need, claim_of, may_run, need_of, place
from talka_core.resource.shared import free_of
from talka_core.resource.state import SLOTS, PoolRecord, Request, WorkerEntry


def reasons(state: PoolRecord) -> Callable[[Request], str]:
    """Return what says of a request why it waits after a round; those of one shape wait for the same."""
    known: dict[str, str] = {}

    def reason(request: Request) -> str:
        if request.shape not in known:
            known[request.shape] = reason_of(state, request)
        return known[request.shape]

    return reason


def reason_of(state: PoolRecord, request: Request) -> str:
    """Return why a request waits: one of the words that ``AllocationQueued`` explains, and the resource."""
    if not breaker.lets_start(state, request.agent_type):
        return "breaker"
    for account, name, _ in short_of(state, request):
        return f"{'limit' if account.startswith(EXECUTION) else 'quota'} {name}"
    need = need_of(state, request.agent_type, request.amounts)
    for name, amount in need.shared.items():
        if free_of(state, name) < amount:
            return f"shared {counter_of(name)}"
    able = [entry for entry in state.workers.values() if may_run(entry, need)]
    able = [entry for entry in able if labels.admits(entry, request.affinity)]
    if not able:
        return "no_worker"
    if place(state, need, request.affinity) is None:
        return f"short {_scarcest(able, need, request)}"
    return "gang" if request.terms.gang else "rank"


def _scarcest(able: list[WorkerEntry], need: Need, request: Request) -> str:
    """Return what the worker that lacks the fewest resources lacks of what is asked of it."""
    return min((_lacking(entry, need, request) for entry in able), key=lambda names: (len(names), names))[0]


def _lacking(entry: WorkerEntry, need: Need, request: Request) -> list[str]:
    asked = claim_of(entry, request.agent_type, {}) | dict(need.own)
    short = {name for name, amount in asked.items() if entry.free.get(name, 0) < amount}
    return sorted({SLOTS if name == need.own_slot else name for name in short})
