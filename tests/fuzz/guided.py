"""Fuzzes one decoder, guided by the code that it reaches: ``python -m tests.fuzz.guided NAME SECONDS DIR``.

What breaks it is written to the folder, and belongs into the corpus with the fix. It needs atheris, of the
dependency group ``fuzz``.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

atheris: Any = import_module("atheris")

with atheris.instrument_imports(
    include=["talka_core", "talka_protocols", "talka_services", "msgspec", "yaml"]
):
    from tests.fuzz.targets import CORPUS, TARGETS

MEMORY_MB = 1_024
INPUT_BYTES_MAX = 64 * 1024
ONE_INPUT_S = 20


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
    atheris.Setup([sys.argv[0], *options, f"{folder}/{name}", str(CORPUS / name)], TARGETS[name])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
