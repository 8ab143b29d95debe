"""``python -m talka`` is the ``talka`` command."""

from talka_services.cli.main import run

run()
