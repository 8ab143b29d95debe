"""Goal: whoever watches a platform whose logs were pruned takes nothing for a leak that is none."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from pathlib import Path

from tests.conftest import NatsServer
from tests.integration.archiving import LATER_MS, archivist, over, platform, waits

from talka import Task, Workflow
from talka_core.alerting import Limits
from talka_protocols.alerts import AlertKind
from talka_protocols.subjects import POOL, LogName, Names
from talka_services.alerting import AlertLog, AlertOptions, Watcher
from talka_services.runner.bases import base_of

PATIENCE_S = 20.0
STUCK = Workflow("stuck", "stuck", (Task("a", "sleep", payload={"seconds": 0}, requires={"rig": "here"}),))


async def test_a_watcher_begins_with_what_pruned_logs_begin_with(
    nats_server: NatsServer, names: Names, tmp_path: Path
) -> None:
    """It finds what is stuck, and no allocation on a worker that had joined before the log begins."""
    async with platform(nats_server, names) as talka:
        node = talka.node
        await over(talka, await talka.submit_workflow(waits("first")))
        await archivist(talka, tmp_path).run(LATER_MS)
        assert (await base_of(LogName(POOL, "-", "default"), node.ports.snapshots)).position
        await over(talka, await talka.submit_workflow(waits("second")))
        await talka.submit_workflow(STUCK)
        watcher = Watcher(node, talka.histories, AlertOptions(Limits(stuck_s=0.1)))
        alerts = AlertLog(node.ports.log, node.ports.snapshots)
        async with asyncio.timeout(PATIENCE_S), aclosing(alerts.changes()) as changes:
            async for _version, _kind, alert in changes:
                if alert.kind is AlertKind.STUCK:
                    break
        await watcher.close()
        assert {each.kind for each in (await alerts.refresh()).alerts.values()} == {AlertKind.STUCK}
