"""A whole namespace in one directory: written while it is in use, and put back on an empty server."""

from talka_services.backups.namespace import Backup, back_up, read_backup, restore

__all__ = ["Backup", "back_up", "read_backup", "restore"]
