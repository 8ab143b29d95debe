"""How much a command imports before it knows what it is to do."""

from __future__ import annotations

import subprocess
import sys

HEAVY = ("httpx", "nats", "networkx", "prometheus_client", "starlette", "structlog", "uvicorn")
"""Packages that take longer to import than `talka --help` takes to print."""
OURS = ("talka_core.scheduler", "talka_core.resource", "talka_services.client", "talka_services.service")
PROGRAM = "import sys, talka_services.cli.main; print(*sys.modules)"


def test_a_command_imports_only_what_it_needs() -> None:
    """Every command pays for what the module with all of them imports, `--version` and completion too."""
    printed = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True, timeout=60
    )
    imported = set(printed.stdout.split())
    assert "talka_services.cli.main" in imported
    assert imported.isdisjoint(HEAVY + OURS)
