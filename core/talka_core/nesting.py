"""How deep JSON is nested: what is too deep for one reader must not be let in by another."""

from __future__ import annotations

from typing import Any

import msgspec


def is_deeper(body: bytes, most: int) -> bool:
    """Tell whether JSON has more levels of objects and lists than ``most``; what is no JSON has none.

    What the reader has no stack for is deeper than anything that may be asked about.
    """
    if body.count(b"[") + body.count(b"{") <= most:
        return False
    try:
        level: list[Any] = [msgspec.json.decode(body)]
    except ValueError:
        return False
    except RecursionError:
        return True
    for _ in range(most):
        level = [item for value in level for item in _inside(value)]
    return any(isinstance(value, dict | list) for value in level)


def _inside(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
    return value if isinstance(value, list) else []  # pyright: ignore[reportUnknownVariableType]
