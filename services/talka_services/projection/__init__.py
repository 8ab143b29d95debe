"""The projector: it reads the log commit by commit and keeps the read model, in SQLite or in PostgreSQL."""

from talka_services.projection.places import open_view
from talka_services.projection.projector import Projector
from talka_services.projection.source import JetStreamSource, Source
from talka_services.projection.views import Standing, View

__all__ = ["JetStreamSource", "Projector", "Source", "Standing", "View", "open_view"]
