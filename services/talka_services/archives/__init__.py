"""Archives: executions that are over go to a directory or an object store, and are read there."""

from talka_services.archives.archivist import Archivist, Outcome
from talka_services.archives.depots import Depot, depot_of
from talka_services.archives.reading import opened, place_of
from talka_services.archives.retention import Retention, retain

__all__ = ["Archivist", "Depot", "Outcome", "Retention", "depot_of", "opened", "place_of", "retain"]
