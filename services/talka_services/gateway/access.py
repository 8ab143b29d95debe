"""The access file: the tokens with their roles, the issuer of other tokens, and how much each may ask.

It is YAML or JSON. It holds no token but only their digests, so who reads it can ask nothing:

    tokens:
      - {name: ada, role: operator, sha256: 5994471abb01112afcc18159f6cc74b4f511b99806da59b3caf5a9c173cacfc5}
    oidc: {issuer: "https://login.example", audience: talka, roles: {talka-admins: admin}}
    rate: 50
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import msgspec
import yaml
from msgspec import Meta, Struct

from talka_protocols.errors import CallerError
from talka_services.gateway.addresses import is_loopback
from talka_services.gateway.roles import Role

RATE = 100.0
BYTES_MAX = 1024 * 1024
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""The reader in C takes no minutes for what is nested thousands of times."""


class TokenEntry(Struct, frozen=True, forbid_unknown_fields=True):
    """A token: whose it is, what that one may do, and its SHA-256; what is random needs no salt."""

    name: Annotated[str, Meta(pattern=r"^[A-Za-z0-9._@-]{1,100}$")]
    role: Role
    sha256: Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]


class OidcOptions(Struct, frozen=True, forbid_unknown_fields=True):
    """Whose tokens count: those of ``issuer`` for ``audience``, with a claim that gives a role.

    ``role_claim`` may lead into objects (``realm_access.roles``); what it holds, a string or a list, is
    looked up in ``roles``. ``name_claim`` is what requests are recorded under.
    """

    issuer: str
    audience: str
    roles: dict[str, Role]
    role_claim: str = "roles"
    name_claim: str = "sub"


class Access(Struct, frozen=True, forbid_unknown_fields=True):
    """Who may ask, and how often: ``rate`` requests a second each, lastingly; 0 is without limit."""

    tokens: tuple[TokenEntry, ...] = ()
    oidc: OidcOptions | None = None
    rate: Annotated[float, Meta(ge=0)] = RATE


def digest_of(token: str) -> str:
    """Return what the access file holds of a token."""
    return hashlib.sha256(token.encode()).hexdigest()


def read_access(path: Path) -> Access:
    """Return what an access file says.

    Raises:
        CallerError: it cannot be read, or says something that cannot be.
    """
    try:
        with path.open("rb") as file:
            body = file.read(BYTES_MAX + 1)
    except OSError as error:
        raise CallerError(f"The access file {str(path)!r} cannot be read: {error}.") from None
    return parse_access(body, str(path))


def parse_access(body: bytes, where: str) -> Access:
    """Return what the bytes of an access file say.

    Raises:
        CallerError: they say something that cannot be.
    """
    if len(body) > BYTES_MAX:
        raise _wrong(where, f"it has more than {BYTES_MAX:,} bytes")
    try:
        access = msgspec.convert(yaml.load(body, LOADER) or {}, Access)  # noqa: S506  (it is a safe one)
    except (yaml.YAMLError, msgspec.ValidationError, RecursionError, ValueError) as error:
        raise _wrong(where, str(error)) from None
    for key in ("name", "sha256"):
        found = [getattr(each, key) for each in access.tokens]
        if len(set(found)) < len(found):
            raise _wrong(where, f"two tokens have the same {key}")
    if access.oidc is not None and not _is_safe(access.oidc.issuer):
        raise _wrong(where, "the issuer's address must begin with https://, except on this machine")
    return access


def _is_safe(issuer: str) -> bool:
    try:
        parts = urlsplit(issuer)
        host = parts.hostname or ""
    except ValueError:
        return False
    return bool(host) and (parts.scheme == "https" or (parts.scheme == "http" and is_loopback(host)))


def _wrong(where: str, what: str) -> CallerError:
    return CallerError(
        f"The access file {where!r} cannot be used: {what}.",
        hint="docs/security.md shows one; `talka token` makes its entries.",
    )


class AccessFile:
    """An access file that is read again when it has changed, so that taking a token away needs no restart."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen = self._stamp()
        self.access = read_access(path)

    def refresh(self) -> Access:
        """Return what it says now.

        Raises:
            CallerError: it cannot be read, or says something that cannot be: then nobody is let in by it.
        """
        stamp = self._stamp()
        if stamp != self._seen:
            self.access = read_access(self._path)
            self._seen = stamp
        return self.access

    def _stamp(self) -> tuple[int, int, int]:
        try:
            found = self._path.stat()
        except OSError:
            return (0, 0, 0)
        return (found.st_mtime_ns, found.st_size, found.st_ino)
