"""Networks that are cut, slow, or lose every connection: a namespace for one program, a proxy for all."""

from __future__ import annotations

import asyncio
import itertools
import os
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

from talka_chaos.processes import SERVICES, Cluster, free_port
from talka_chaos.scenarios.kills import losses, owner, taken_over
from talka_chaos.scenarios.proxy import Proxy
from talka_chaos.scenarios.scenario import Staged, command
from talka_services.client import Orchestrator

CUT_S = 5.0
DECIDING_S = 2.0
DELAY_S = 0.05
JITTER_S = 0.05
SLOW_S = 6.0
RESETS = 8
RESET_EVERY_S = 0.5
WRONG_ADDRESS = "02:00:00:00:00:01"
"""Frames for it are nobody's, so they are lost without a word to their sender."""

_numbers = itertools.count(1)


class Namespace:
    """A network of a program's own, joined to this one by a pair of interfaces.

    ``host`` is this side's address, ``prefix`` starts a program on the other side.
    """

    def __init__(self) -> None:
        process, number = os.getpid() % 1_000, next(_numbers)
        self._name = f"talka{process}-{number}"
        network = f"10.{200 + process % 50}.{process // 50 * 10 + number % 10}"
        self.host, self._guest = f"{network}.1", f"{network}.2"
        self.prefix = ("ip", "netns", "exec", self._name)
        self._here, self._there = f"{self._name}h", f"{self._name}g"

    async def make(self) -> None:
        """Make the namespace and both interfaces."""
        inside = ("ip", "-n", self._name)
        await command("ip", "netns", "add", self._name)
        pair = ("type", "veth", "peer", "name", self._there, "netns", self._name)
        await command("ip", "link", "add", self._here, *pair)
        await command("ip", "addr", "add", f"{self.host}/30", "dev", self._here)
        await command(*inside, "addr", "add", f"{self._guest}/30", "dev", self._there)
        await command("ip", "link", "set", self._here, "up")
        await command(*inside, "link", "set", "lo", "up")
        await command(*inside, "link", "set", self._there, "up")

    async def remove(self) -> None:
        """Remove it and its interfaces, which otherwise end some time after it."""
        await command("ip", "link", "delete", self._here)
        await command("ip", "netns", "delete", self._name)

    async def cut(self, *, is_one_way: bool = False) -> None:
        """Lose what the program sends and, unless it is cut one way, what is sent to it."""
        lost = ("lladdr", WRONG_ADDRESS, "nud", "permanent", "dev")
        await command("ip", "-n", self._name, "neigh", "replace", self.host, *lost, self._there)
        if not is_one_way:
            await command("ip", "neigh", "replace", self._guest, *lost, self._here)

    async def mend(self, *, is_one_way: bool = False) -> None:
        """Let everything arrive again."""
        await command("ip", "-n", self._name, "neigh", "del", self.host, "dev", self._there)
        if not is_one_way:
            await command("ip", "neigh", "del", self._guest, "dev", self._here)


@asynccontextmanager
async def _apart(directory: Path) -> AsyncGenerator[tuple[Cluster, Namespace, str]]:
    """Make a cluster whose server is reached from a namespace, too, and the address there."""
    namespace = Namespace()
    await namespace.make()
    try:
        cluster = Cluster(directory, host="0.0.0.0")  # noqa: S104  (only the namespace and this host reach it)
        yield cluster, namespace, f"nats://{namespace.host}:{cluster.port}"
    finally:
        await namespace.remove()


def cut_owner(service: str, *, is_one_way: bool) -> Callable[[Path], AbstractAsyncContextManager[Staged]]:
    """Cut the owner of a service off until all it owned is another's; then it comes back."""

    @asynccontextmanager
    async def stage(directory: Path) -> AsyncGenerator[Staged]:
        async with _apart(directory) as (cluster, namespace, url):
            apart = cluster.configure(service, server=url, prefix=namespace.prefix)

            async def inject(orchestrator: Orchestrator) -> None:
                # Nobody stands by before, so that the one that is apart owns everything.
                _, owned = await owner(orchestrator, service, (apart,))
                standby = cluster.add_standby(service)
                await namespace.cut(is_one_way=is_one_way)
                standby.start()
                await standby.ready()
                await taken_over(orchestrator, apart, owned)
                await asyncio.sleep(DECIDING_S)
                await namespace.mend(is_one_way=is_one_way)

            yield Staged(cluster, inject)

    return stage


@asynccontextmanager
async def cut_worker(directory: Path) -> AsyncGenerator[Staged]:
    """Cut a worker off until it counts as lost; it goes on meanwhile, and reports when it is back."""
    async with _apart(directory) as (cluster, namespace, url):
        cluster.add_worker("w1", server=url, prefix=namespace.prefix)
        cluster.add_worker("w2")

        async def inject(orchestrator: Orchestrator) -> None:
            await namespace.cut()
            await asyncio.sleep(CUT_S)
            assert await losses(orchestrator, "w1"), "the worker was never declared lost"
            await namespace.mend()

        yield Staged(cluster, inject, workers=())


@asynccontextmanager
async def _through_a_proxy(directory: Path) -> AsyncGenerator[tuple[Cluster, Proxy]]:
    """Make a cluster whose services and workers all reach the server through one proxy."""
    cluster = Cluster(directory)
    proxy = Proxy(free_port(), cluster.port)
    for service in SERVICES:
        cluster.configure(service, server=proxy.url)
    for worker_id in ("w1", "w2"):
        cluster.add_worker(worker_id, server=proxy.url)
    async with proxy:
        yield cluster, proxy


@asynccontextmanager
async def slow_network(directory: Path) -> AsyncGenerator[Staged]:
    """Let everything between the server and all others take long, each way, and not equally long."""
    async with _through_a_proxy(directory) as (cluster, proxy):

        async def inject(_orchestrator: Orchestrator) -> None:
            proxy.delay_s, proxy.jitter_s = DELAY_S, JITTER_S
            await asyncio.sleep(SLOW_S)
            proxy.delay_s, proxy.jitter_s = 0.0, 0.0

        yield Staged(cluster, inject, workers=())


@asynccontextmanager
async def reset_connections(directory: Path) -> AsyncGenerator[Staged]:
    """Break all connections at once, again and again, with whatever is on its way in them."""
    async with _through_a_proxy(directory) as (cluster, proxy):

        async def inject(_orchestrator: Orchestrator) -> None:
            broken = 0
            for _ in range(RESETS):
                broken += proxy.reset()
                await asyncio.sleep(RESET_EVERY_S)
            assert broken >= RESETS, "hardly a connection was there to be broken"

        yield Staged(cluster, inject, workers=())
