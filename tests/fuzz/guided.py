"""Fuzzes one decoder, guided by the code that it reaches: ``python -m tests.fuzz.guided NAME SECONDS DIR``.

What breaks it is written to the folder, and belongs into the corpus with the fix. It needs atheris, of the
dependency group ``fuzz``.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import import_module
from random import Random
from typing import Any

atheris: Any = import_module("atheris")

with atheris.instrument_imports(
    include=["talka_core", "talka_protocols", "talka_services", "cronsim", "yaml"]
):
    from tests.fuzz.mutation import Shape, changed
    from tests.fuzz.targets import CORPUS, SHAPES, TARGETS

MEMORY_MB = 1_024
INPUT_BYTES_MAX = 64 * 1024
ONE_INPUT_S = 20
BYTES_SHARE = 0.3


def main() -> None:
    """Run until the time is over, or something broke."""
    name, seconds, folder = sys.argv[1:]
    options = [
        f"-max_total_time={seconds}",
        f"-rss_limit_mb={MEMORY_MB}",
        f"-timeout={ONE_INPUT_S}",
        f"-max_len={INPUT_BYTES_MAX}",
        f"-artifact_prefix={folder}/{name}-",
        "-print_final_stats=1",
    ]
    argv = [sys.argv[0], *options, f"{folder}/{name}", str(CORPUS / name)]
    if name in SHAPES:
        atheris.Setup(argv, TARGETS[name], custom_mutator=_mutator(SHAPES[name]))
    else:
        atheris.Setup(argv, TARGETS[name])
    atheris.Fuzz()


def _mutator(shape: Shape) -> Callable[[bytes, int, int], bytes]:
    """Return what changes an input: mostly what it says, and now and then its bytes."""

    def mutate(body: bytes, most: int, seed: int) -> bytes:
        dice = Random(seed)
        found = None if dice.random() < BYTES_SHARE else changed(shape, body, dice)
        if found is None or len(found) > most:
            return bytes(atheris.Mutate(body, most))
        return found

    return mutate


if __name__ == "__main__":
    main()
