"""Structured logs that behave in a library: through ``logging``, so silent below WARNING unless asked.

``logging.getLogger("talka_services").setLevel(...)`` turns them up or down;
applications that configure structlog for themselves are left alone. structlog
is imported with the first line that is logged, which spares every command
a fifth of a second.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from structlog.stdlib import BoundLogger


class _LazyLogger:
    """Becomes a structlog logger when it is first used."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._logger: BoundLogger | None = None

    def __getattr__(self, method: str) -> Any:
        if self._logger is None:
            self._logger = _build(self._name)
        return getattr(self._logger, method)


def _build(name: str) -> BoundLogger:
    import structlog  # noqa: PLC0415  (see the module's docstring)

    processors: list[structlog.typing.Processor] = [
        structlog.stdlib.filter_by_level,
        structlog.processors.ExceptionRenderer(),
        structlog.processors.LogfmtRenderer(key_order=["event"], drop_missing=True),
    ]
    logger: BoundLogger = structlog.wrap_logger(
        logging.getLogger(name), processors=processors, wrapper_class=structlog.stdlib.BoundLogger
    )
    return logger


def get_logger(name: str) -> BoundLogger:
    """Return the logger of a module; events are named ``noun.what_happened``, facts are keyword arguments."""
    return cast("BoundLogger", _LazyLogger(name))
