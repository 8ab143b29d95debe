"""Three servers that store together: one dies, two die, or one is alone on its side of the network."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from talka_chaos.processes import NODES, Cluster, free_port
from talka_chaos.scenarios.proxy import Proxy
from talka_chaos.scenarios.scenario import Staged
from talka_services.client import Orchestrator
from talka_services.jetstream.api import PREFIX

AWAY_S = 4.0
ALONE_S = 8.0


class RoutedCluster(Cluster):
    """Three servers that find each other through proxies, one for each way from one to another."""

    # They tell each other where they are, and there nobody is: only the proxies' ways remain.
    node_options = ', advertise: "127.0.0.1:1"'

    def __init__(self, directory: Path) -> None:
        self._ways = {(here, there): free_port() for here in NODES for there in NODES if here != there}
        super().__init__(directory, servers=NODES)
        self.proxies = {
            (here, there): Proxy(port, self.route_ports[there]) for (here, there), port in self._ways.items()
        }

    def routes_of(self, name: str) -> Sequence[int]:
        """Return the ports of the proxies to the others."""
        return [port for (here, _), port in self._ways.items() if here == name]

    def isolate(self, name: str, *, is_cut: bool) -> None:
        """Cut a server off from both others, or join it to them again; its clients reach it all the time."""
        for way, proxy in self.proxies.items():
            if name in way:
                proxy.is_cut = is_cut


@asynccontextmanager
async def kill_leader(directory: Path) -> AsyncGenerator[Staged]:
    """Kill the node that leads the stream of the logs, and start it again."""
    cluster = Cluster(directory, servers=NODES)

    async def inject(orchestrator: Orchestrator) -> None:
        leader = await leader_of_the_log(orchestrator)
        cluster[leader].kill()
        await asyncio.sleep(AWAY_S)
        await cluster.start(leader)

    yield Staged(cluster, inject)


@asynccontextmanager
async def kill_two(directory: Path) -> AsyncGenerator[Staged]:
    """Kill both nodes that do not lead, so that nothing can be stored, and start them again."""
    cluster = Cluster(directory, servers=NODES)

    async def inject(orchestrator: Orchestrator) -> None:
        leader = await leader_of_the_log(orchestrator)
        away = [name for name in NODES if name != leader]
        for name in away:
            cluster[name].kill()
        await asyncio.sleep(AWAY_S)
        await cluster.start(*away)

    yield Staged(cluster, inject)


@asynccontextmanager
async def isolate_leader(directory: Path) -> AsyncGenerator[Staged]:
    """Cut the node that leads the stream of the logs off from the others, but not from its clients."""
    cluster = RoutedCluster(directory)
    async with AsyncExitStack() as stack:
        for proxy in cluster.proxies.values():
            await stack.enter_async_context(proxy)

        async def inject(orchestrator: Orchestrator) -> None:
            leader = await leader_of_the_log(orchestrator)
            cluster.isolate(leader, is_cut=True)
            await asyncio.sleep(ALONE_S)
            cluster.isolate(leader, is_cut=False)

        yield Staged(cluster, inject)


async def leader_of_the_log(orchestrator: Orchestrator) -> str:
    """Return the node that leads the stream of the logs."""
    connection = orchestrator.node.connection
    answer = await connection.request(f"{PREFIX}.STREAM.INFO.{connection.names.stream('log')}")
    leader: str = json.loads(answer.data)["cluster"]["leader"]
    return leader
