"""The pages on modules, whose docstrings mkdocstrings fills in."""

from __future__ import annotations

import pkgutil
from collections.abc import Iterator
from typing import Any

import talka
import talka_protocols

PYTHON = """# Python

Everything that `import talka` gives. [The Python interface](../python-api.md) shows how it is used.
"""
PROTOCOLS = """# Protocols

What is stored and sent: workflows, results, errors, events and messages, and the ports that an executor or a
store of your own implements.
"""


def python_page() -> str:
    """Return the page on the public names; those of the protocols are described on their page."""
    places = {name: f"{each.__module__}.{each.__qualname__}" for name, each in _public()}
    rows = [PYTHON, "| name | defined in |", "|---|---|"]
    rows += [f"| [`talka.{name}`][{place}] | `{place}` |" for name, place in places.items()]
    rows.append("")
    rows += [f"::: {place}\n" for place in places.values() if not place.startswith(talka_protocols.__name__)]
    return "\n".join(rows)


def _public() -> Iterator[tuple[str, Any]]:
    for name in talka.__all__:
        yield name, getattr(talka, name)


def protocols_page() -> str:
    """Return the page on the modules of the protocols."""
    rows = [PROTOCOLS]
    modules = pkgutil.walk_packages(talka_protocols.__path__, "talka_protocols.")
    rows += [f"::: {module.name}\n" for module in modules]
    return "\n".join(rows)
