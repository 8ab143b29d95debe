"""Fuzzes the gateway and every decoder for so many minutes in all: ``python -m tests.fuzz --minutes 60``.

Decoders get input that is guided by the code that it reaches (atheris), one after the other; the gateway
gets random requests, a third of the time, half of that from people whom it asks who they are. What breaks
something is kept in the folder, and what reached new code, too: ``python -m tests.fuzz.kept FOLDER`` adds a
little of that to the corpus.
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from hypothesis import given, seed, settings
from hypothesis import strategies as st
from tests.fuzz.gateway import TOKENS, Asking, access_file, platform
from tests.fuzz.targets import SUPPRESSED, TARGETS

from talka_services.gateway.roles import Role

GATEWAY_SHARE = 1 / 3
WEIGHTS = {"letters": 6, "workflow": 4, "commit": 3, "snapshot": 2, "condition": 2}
"""How many times as long as the others those run behind which there is the most code."""
HARD_EXTRA_S = 600
Ask = Callable[[Asking, Any, st.DataObject], None]


def main() -> int:
    """Return 1 if anything broke."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--folder", type=Path, default=Path(".fuzz"))
    parser.add_argument("--seed", type=int, default=random.randrange(2**32))
    given_ = parser.parse_args()
    given_.folder.mkdir(exist_ok=True)
    whole_s = 60 * given_.minutes
    weights = {name: WEIGHTS.get(name, 1) for name in TARGETS}
    share_s = whole_s * (1 - GATEWAY_SHARE) / sum(weights.values())
    broken = [
        name
        for name, weight in weights.items()
        if not _decoder(name, max(1, round(weight * share_s)), given_.folder)
    ]
    print(f"gateway, seed {given_.seed}", flush=True)  # noqa: T201
    if not _gateway(whole_s * GATEWAY_SHARE, given_.seed):
        broken.append("gateway")
    print(f"broken: {', '.join(broken) or 'nothing'}")  # noqa: T201
    return 1 if broken else 0


def _decoder(name: str, seconds: int, folder: Path) -> bool:
    (folder / name).mkdir(exist_ok=True)
    print(f"{name} for {seconds} s", flush=True)  # noqa: T201
    argv = [sys.executable, "-m", "tests.fuzz.guided", name, str(seconds), str(folder)]
    with (folder / f"{name}.log").open("w") as log:
        try:
            done = subprocess.run(argv, stdout=log, stderr=log, timeout=seconds + HARD_EXTRA_S, check=False)
        except subprocess.TimeoutExpired:
            print(f"{name} did not end, and was killed", flush=True)  # noqa: T201
            return False
    return done.returncode == 0


def _gateway(seconds: float, begin: int) -> bool:
    """Ask one that lets everybody in for half of the time, then one that asks who it is."""
    with tempfile.TemporaryDirectory() as folder, platform(Path(folder)) as address:
        is_well = _rounds(Asking(address), seconds / 2, begin, Asking.ask)
    with tempfile.TemporaryDirectory() as folder:
        options = ("--access", str(access_file(Path(folder))))
        with platform(Path(folder), *options) as address:
            asking = Asking(address, TOKENS[Role.ADMIN])
            return _rounds(asking, seconds / 2, begin, Asking.ask_as_somebody) and is_well


def _rounds(asking: Asking, seconds: float, begin: int, ask: Ask) -> bool:
    """Ask in rounds, a few requests of each operation, until the time is over or something broke."""
    end, is_well = time.monotonic() + seconds, True
    while time.monotonic() < end and is_well:
        for name, operation in asking.operations():
            is_well = _asked(name, begin, partial(ask, asking, operation)) and is_well
        begin += 1
    return is_well


def _asked(name: str, number: int, once: Callable[[st.DataObject], None]) -> bool:
    @seed(number)
    @settings(
        max_examples=20,
        database=None,
        deadline=None,
        suppress_health_check=SUPPRESSED,
    )
    @given(data=st.data())
    def ask(data: st.DataObject) -> None:
        once(data)

    try:
        ask()
    except Exception as error:  # noqa: BLE001  (all that breaks is told, and the rest is asked all the same)
        print(f"{name}, seed {number}: {error}", flush=True)  # noqa: T201
        return False
    return True


if __name__ == "__main__":
    sys.exit(main())
