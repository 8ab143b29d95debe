"""Structured logs that behave in a library: through ``logging``, so silent below WARNING unless asked.

``logging.getLogger("talka_services").setLevel(...)`` turns them up or down;
applications that configure structlog for themselves are left alone.
"""

from __future__ import annotations

import logging

import structlog

_PROCESSORS: list[structlog.typing.Processor] = [
    structlog.stdlib.filter_by_level,
    structlog.processors.ExceptionRenderer(),
    structlog.processors.LogfmtRenderer(key_order=["event"], drop_missing=True),
]


def get_logger(name: str) -> structlog.stdlib.BoundLogger:
    """Return the logger of a module; events are named ``noun.what_happened``, facts are keyword arguments."""
    logger: structlog.stdlib.BoundLogger = structlog.wrap_logger(
        logging.getLogger(name), processors=_PROCESSORS, wrapper_class=structlog.stdlib.BoundLogger
    )
    return logger
