"""One execution in one file: written, read on another machine without a server, and imported."""

from talka_services.exports.archive import Archive, Manifest
from talka_services.exports.collect import export_execution
from talka_services.exports.restore import import_execution

__all__ = ["Archive", "Manifest", "export_execution", "import_execution"]
