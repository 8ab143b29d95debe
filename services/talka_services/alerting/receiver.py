"""Who is told of alerts."""

from __future__ import annotations

from urllib.parse import urlsplit

from msgspec import Struct

from talka_protocols.errors import CallerError


class Receiver(Struct, frozen=True):
    """Where notices go, and what they are signed with; unsigned without a secret."""

    url: str
    secret: str = ""

    def __post_init__(self) -> None:
        """Refuse what is no address.

        Raises:
            CallerError: it is none.
        """
        try:
            parts = urlsplit(self.url)
            is_usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
        except ValueError:
            is_usable = False
        if not is_usable:
            raise CallerError(
                "The address of the webhook is none.", hint="It looks like https://example.org/hook."
            )
