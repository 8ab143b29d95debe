"""What people are told of a server that we are not connected to."""

from __future__ import annotations

import ssl
from urllib.parse import urlsplit

from nats.errors import AuthorizationError

from talka_protocols.errors import CredentialsRefusedError, ServerUnavailableError, TlsFailedError


def without_secrets(server: str) -> str:
    """Return the address without the user information it may carry, fit for a message."""
    parts = urlsplit(server if "//" in server else f"nats://{server}")
    place = parts.hostname or server
    return f"{parts.scheme}://{place}:{parts.port or 4222}"


def unreached(shown: str, cause: BaseException) -> ServerUnavailableError:
    """Return the error for people of a server that we are not connected to."""
    said = str(cause) or type(cause).__name__
    if isinstance(cause, ssl.SSLError):
        return TlsFailedError(
            f"TLS with {shown} failed: {_tls_reason(cause) or said}.",
            hint="Give its authority's certificate (--nats-ca), and ours if it asks for one "
            "(--nats-certificate); the name in --server has to stand in the server's certificate.",
        )
    if isinstance(cause, AuthorizationError) or "auth" in said.lower():
        return CredentialsRefusedError(
            f"The NATS server at {shown} refused who we say we are ({said}).",
            hint="Give a key or credentials that it knows (--nats-nkey, --nats-credentials); "
            "it may have to be told of new ones: nats-server --signal reload.",
        )
    return ServerUnavailableError(
        f"No NATS server answers at {shown} ({said}).",
        hint="Start one, correct --server, or leave --server out to use the embedded server.",
    )


def _tls_reason(error: ssl.SSLError) -> str:
    return str(getattr(error, "verify_message", "") or getattr(error, "reason", "") or "")
