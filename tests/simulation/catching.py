"""Which seed catches which mutant, so that a test need not look through hundreds of worlds to find it again.

``python -m tests.simulation.catching`` looks for those that are missing or catch nothing any more, and
writes ``catching_seeds.json`` anew; that takes minutes, and is worth it when draws have changed.
"""

from __future__ import annotations

import logging
import os
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

import msgspec

from talka_chaos.mutants import MUTANTS, seeds_needed

CAUGHT_WITHIN = 800
"""How many seeds any mutant may take."""
SEEDS = Path(__file__).with_name("catching_seeds.json")


def recorded() -> dict[str, int]:
    """Return the seed that last caught each mutant, by the mutant's name."""
    return msgspec.json.decode(SEEDS.read_bytes(), type=dict[str, int]) if SEEDS.exists() else {}


def catching_seed(name: str, hint: int | None = None) -> int | None:
    """Return a seed that catches the mutant, ``hint`` if it still does; None if no seed of many does."""
    if hint is not None and seeds_needed(MUTANTS[name], 1, hint) is not None:
        return hint
    needed = seeds_needed(MUTANTS[name], CAUGHT_WITHIN)
    return None if needed is None else needed - 1


def main() -> None:
    """Write down a seed for every mutant that some seed catches, as soon as it is known."""
    logging.disable()
    known, names = recorded(), sorted(MUTANTS)
    caught: dict[str, int] = {name: seed for name, seed in known.items() if name in MUTANTS}
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        searches = {pool.submit(catching_seed, name, known.get(name)): name for name in names}
        for search in as_completed(searches):
            name, seed = searches[search], search.result()
            caught.pop(name, None)
            if seed is not None:
                caught[name] = seed
            SEEDS.write_bytes(msgspec.json.format(msgspec.json.encode(dict(sorted(caught.items())))) + b"\n")
            print(f"{name}: {'no seed catches it' if seed is None else seed}", flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
