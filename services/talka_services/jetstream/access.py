"""How we show a NATS server who we are, and check who it is: keys, credentials and certificates, by file."""

from __future__ import annotations

import os
import ssl
from importlib import import_module
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from talka_protocols.errors import CallerError
from talka_protocols.permissions import reply_prefix


class AccessError(CallerError):
    """A key, a credentials file or a certificate cannot be used."""

    code = "bad_credentials"


class Access(Struct, frozen=True):
    """Files that say who we are and whom we believe; nothing of them ever stands in a message.

    ``nkey`` holds the seed of a user (``SU...``), ``credentials`` a user's JWT and seed as of ``nsc``.
    ``ca`` holds the certificates by which the server is checked, instead of the system's. A server that
    asks for certificates is shown ``certificate``, whose private key is in ``key``, or in the same file.

    Raises:
        AccessError: both an nkey and credentials are given, or a key without its certificate.
    """

    nkey: Path | None = None
    credentials: Path | None = None
    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None

    def __post_init__(self) -> None:
        """Refuse what contradicts itself."""
        if self.nkey is not None and self.credentials is not None:
            raise AccessError("An nkey and credentials are given.", hint="Give one of them.")
        if self.key is not None and self.certificate is None:
            raise AccessError("A private key is given without its certificate.", hint="Give both.")

    @property
    def is_tls(self) -> bool:
        """Tell whether the server has to speak TLS."""
        return self.ca is not None or self.certificate is not None

    def absolute(self) -> Access:
        """Return the same for a process that runs elsewhere."""
        places = msgspec.structs.asdict(self)
        return Access(**{what: place and place.absolute() for what, place in places.items()})

    def options(self) -> dict[str, Any]:
        """Return what nats-py takes.

        Raises:
            AccessError: a file cannot be read, or holds something else.
        """
        found: dict[str, Any] = {}
        if self.nkey is not None:
            found["inbox_prefix"] = reply_prefix(public_key(self.nkey))
            found["nkeys_seed"] = str(self.nkey)
        if self.credentials is not None:
            _check_credentials(self.credentials)
            found["user_credentials"] = str(self.credentials)
        if self.is_tls:
            found["tls"] = self._context()
        return found

    def _context(self) -> ssl.SSLContext:
        where = self.ca
        try:
            context = ssl.create_default_context(cafile=str(self.ca) if self.ca else None)
            if self.certificate is not None:
                where = self.certificate
                context.load_cert_chain(self.certificate, self.key)
        except (OSError, ssl.SSLError) as error:
            reason = error.reason if isinstance(error, ssl.SSLError) else error.strerror
            raise AccessError(
                f"{where} cannot be used: {reason or error}.",
                hint="It has to hold certificates in PEM, and the private key has to belong to them.",
            ) from error
        return context


def public_key(path: Path) -> str:
    """Return the public key that belongs to the seed in a file.

    Raises:
        AccessError: it cannot be read, or holds no seed of a user.
    """
    nkeys = _nkeys()
    try:
        seed = _text(path).encode()
        pair = nkeys.from_seed(bytearray(seed))
        key: bytes = pair.public_key
        pair.wipe()
    except (nkeys.NkeysError, ValueError) as error:
        key = b""
        reason: Exception | None = error
    else:
        reason = None
    if not key.startswith(b"U"):
        raise AccessError(
            f"{path} holds no seed of a NATS user, which begins with SU.",
            hint="`talka deploy nats-keys` makes them; a file with a JWT goes to --nats-credentials.",
        ) from reason
    return key.decode()


def _check_credentials(path: Path) -> None:
    text = _text(path)
    if "BEGIN NATS USER JWT" not in text or "BEGIN USER NKEY SEED" not in text:
        raise AccessError(
            f"{path} holds no credentials of NATS: a user's JWT and its seed.",
            hint="`nsc generate creds` writes them; a file with nothing but a seed goes to --nats-nkey.",
        )


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it holds no plain text"
        raise AccessError(
            f"{path} cannot be read: {reason}.", hint="Check the path, and whose the file is."
        ) from error


def new_seed() -> bytes:
    """Make a key of a user, and return its seed."""
    nkeys = _nkeys()
    seed: bytes = nkeys.encode_seed(os.urandom(32), nkeys.PREFIX_BYTE_USER)
    return bytes(seed)


def _nkeys() -> Any:
    """Return the library, which has no types, and which most never need."""
    return import_module("nkeys")
