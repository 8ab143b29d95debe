"""Logs: on standard error, warnings only unless asked for more."""

from __future__ import annotations

import logging
import sys

FORMAT = "%(asctime)s %(levelname)-7s %(message)s"


def configure_logs(*, is_verbose: bool) -> None:
    """Send all logs to standard error; call it before anything heavy is started."""
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format=FORMAT, datefmt="%H:%M:%S")
    if is_verbose:
        logging.getLogger("talka_services").setLevel(logging.INFO)
