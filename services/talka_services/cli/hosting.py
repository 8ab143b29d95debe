"""Where a command that makes something happen finds a platform: the one that runs, or one of its own."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from talka_services.cli.command import Target
from talka_services.cli.embedding import Flags
from talka_services.cli.outcome import UsageError

if TYPE_CHECKING:
    from talka_services.client import Orchestrator
    from talka_services.service import Node


@asynccontextmanager
async def platform_for(
    target: Target, flags: Flags, *, is_detached: bool, create: bool = False
) -> AsyncGenerator[Orchestrator]:
    """Use the platform that runs, or run one in this process for as long as it takes.

    With ``create``, also on a directory that is yet to be made.

    Raises:
        UsageError: nobody would do it.
        DataDirectoryError: there is no such directory, or it cannot be used.
    """
    from talka_services.cli.embedding import local_options
    from talka_services.cli.logs import configure_logs
    from talka_services.cli.presence import who_is_present
    from talka_services.cli.reach import reach, require_directory
    from talka_services.client import local

    if target.server or who_is_present(target.data_dir, target.namespace):
        if given := flags.given():
            raise UsageError(
                f"{', '.join(given)} cannot be used here: a platform runs already, with its own workers.",
                hint="Leave the flag out.",
            )
        async with reach(target) as orchestrator:
            yield orchestrator
        return
    if is_detached:
        raise UsageError(
            f"Nobody would do it: no `talka up` runs on {target.data_dir}.",
            hint="Start `talka up`, name a platform with --server, or leave --detach out.",
        )
    if not create:
        require_directory(target.data_dir)
    configure_logs(is_verbose=target.is_verbose, form=target.log_format)
    async with local(local_options(target, flags)) as orchestrator:
        yield orchestrator


@asynccontextmanager
async def recorder_for(target: Target) -> AsyncGenerator[Node]:
    """Connect to a platform; on a directory where none runs, its executions are scheduled here meanwhile.

    No worker and no planner runs, so nothing is begun: what ended is recorded, and given back to its pool.

    Raises:
        ServerUnavailableError: no server answers at the address.
        DataDirectoryError: there is no such directory, or it cannot be used.
    """
    from talka_protocols.messages import Recipient
    from talka_services.cli.presence import who_is_present
    from talka_services.cli.reach import reach_node

    async with reach_node(target) as node:
        if not target.server and who_is_present(target.data_dir, target.namespace) is None:
            node.own((Recipient.SCHEDULER, Recipient.RESOURCE))
        yield node
