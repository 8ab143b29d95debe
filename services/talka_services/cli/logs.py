"""Logs: on standard error, warnings only unless asked for more; as lines for people or as JSON."""

from __future__ import annotations

import logging
import sys
from enum import StrEnum

FORMAT = "%(asctime)s %(levelname)-7s %(message)s"
OF_EVERY_END = "returning true from eof_received() has no effect"
"""So asyncio warns whenever a server ends a connection that nats-py has turned into one with TLS."""


class LogFormat(StrEnum):
    """How log entries are written."""

    TEXT = "text"
    JSON = "json"


def configure_logs(*, is_verbose: bool, form: LogFormat = LogFormat.TEXT) -> None:
    """Send all logs to standard error; call it before anything heavy is started."""
    if form is LogFormat.JSON:
        from talka_services.telemetry import json_handler

        logging.basicConfig(handlers=[json_handler(sys.stderr)], level=logging.WARNING)
    else:
        logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format=FORMAT, datefmt="%H:%M:%S")
    logging.getLogger("asyncio").addFilter(_is_news)
    if is_verbose:
        logging.getLogger("talka_services").setLevel(logging.INFO)


def _is_news(record: logging.LogRecord) -> bool:
    """Tell whether an entry of asyncio says more than that a connection with TLS has ended."""
    return not record.getMessage().startswith(OF_EVERY_END)
