"""The worker processes that ``talka up --scale`` starts and stops."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from msgspec.structs import replace

from talka_services.cli.command import Target

if TYPE_CHECKING:
    from talka_services.client import LocalOptions, Orchestrator
    from talka_services.service.scaler import Process

POOL = "default"
NOT_INHERITED = frozenset({"TALKA_DATA_DIR", "TALKA_HEALTH"})
"""Workers are told the server's address instead, and cannot all listen at one address."""


def staffed(options: LocalOptions) -> LocalOptions:
    """Return the options without workers in this process where each is to be a process of its own."""
    return options if options.scaling is None else replace(options, offers=(), workers=0)


@asynccontextmanager
async def scaled(
    target: Target, options: LocalOptions, server: str, orchestrator: Orchestrator
) -> AsyncGenerator[None]:
    """Keep as many worker processes as the pool decides, where it is to decide that."""
    if options.scaling is None:
        yield
        return
    from talka_services.service.scaler import Scaler

    arguments = worker_arguments(target, options)
    environment = {key: value for key, value in os.environ.items() if key not in NOT_INHERITED}

    async def spawn(worker_id: str) -> Process:
        # Its standard input ends with this process, however that ends, and then it stops too.
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-P",
            "-m",
            "talka",
            *arguments,
            "--worker-id",
            worker_id,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.DEVNULL,
            env={**environment, "TALKA_SERVER": server},
            start_new_session=True,
        )

    scaling = asyncio.create_task(Scaler(POOL, orchestrator.histories, spawn).run(), name="scaler")
    try:
        yield
    finally:
        scaling.cancel()
        await asyncio.wait([scaling])
        if not scaling.cancelled():
            scaling.result()


def worker_arguments(target: Target, options: LocalOptions) -> list[str]:
    """Return the command line of a worker that offers what one of this platform offers."""
    settings = options.executors
    offer = options.offers[0] if options.offers else options.capacity
    arguments = ["service", "worker", "--pool", POOL, "--elastic", "--until-input-ends"]
    arguments += ["--namespace", target.namespace, "--slots", str(options.slots)]
    arguments += ["--time-scale", repr(settings.time_scale), "--drain", repr(options.drain_s)]
    arguments += ["--processes", str(settings.processes)] if settings.processes else []
    arguments += ["--secrets-dir", options.secrets_dir] if options.secrets_dir else []
    arguments += _repeated("--capacity", _pairs(offer)) + _repeated("--label", _pairs(options.labels))
    arguments += _repeated("--allow-module", settings.allow_modules)
    return arguments + _repeated("--allow-command", settings.allow_commands)


def _pairs(values: Mapping[str, float] | Mapping[str, str]) -> list[str]:
    return [f"{name}={value}" for name, value in values.items()]


def _repeated(option: str, values: Sequence[str]) -> list[str]:
    return [part for value in values for part in (option, value)]
