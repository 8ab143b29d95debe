"""The file of keys: which there are, which is current, and what they are used for.

Each key is one secret of 32 bytes, from which an AES-256 key, a key for
nonces and an Ed25519 key are derived. A key that has its public half only
verifies signatures: that is what an auditor is given.
"""

from __future__ import annotations

import os
import secrets
import time
from pathlib import Path

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from msgspec import Struct
from msgspec.structs import replace

from talka_protocols.errors import KeyFileError
from talka_protocols.seals import KEY_ID

FORMAT = 1
SECRET_BYTES = 32
_NEW = "Make a file of keys with `talka keys new FILE`."


class Key(Struct, frozen=True, omit_defaults=True):
    """One key; ``made_at`` is in Unix seconds, ``secret`` and ``public`` are in hexadecimal."""

    id: str
    made_at: float
    public: str
    secret: str = ""

    def derived(self, purpose: str) -> bytes:
        """Return the 32 bytes that this key uses for one purpose."""
        kdf = HKDF(SHA256(), 32, salt=None, info=f"talka 1 {purpose}".encode())
        return kdf.derive(bytes.fromhex(self.secret))

    def signing(self) -> Ed25519PrivateKey:
        """Return the key that signs."""
        return Ed25519PrivateKey.from_private_bytes(self.derived("sign"))


class Keyring(Struct, frozen=True):
    """All keys of a file; ``current`` is the id of the one that new things are sealed and signed with.

    ``encrypts`` and ``signs`` say what is done to what is written. What was
    written with any of the keys is read and verified regardless.
    """

    current: str
    keys: tuple[Key, ...]
    encrypts: bool = True
    signs: bool = True
    format: int = FORMAT

    def key(self, key_id: str) -> Key | None:
        """Return the key of this id."""
        return next((key for key in self.keys if key.id == key_id), None)

    def with_key(self, key: Key, *, is_current: bool) -> Keyring:
        """Return the ring with one more key."""
        return replace(self, keys=(*self.keys, key), current=key.id if is_current else self.current)

    def with_current(self, key_id: str) -> Keyring:
        """Return the ring with another current key.

        Raises:
            KeyFileError: it has no such key, or its public half only.
        """
        key = self.key(key_id)
        if key is None or not key.secret:
            known = ", ".join(each.id for each in self.keys if each.secret)
            raise KeyFileError(
                f"The key {key_id!r} cannot become the current one: its secret is not there.",
                hint=f"Those that can: {known or 'none'}.",
            )
        return replace(self, current=key_id)

    def public(self) -> Keyring:
        """Return the ring without secrets, which verifies signatures and can do nothing else."""
        keys = tuple(replace(key, secret="") for key in self.keys)
        return replace(self, current="", keys=keys, encrypts=False, signs=False)


def new_key() -> Key:
    """Return a new random key."""
    key = Key(f"k-{secrets.token_hex(4)}", round(time.time(), 3), "", secrets.token_hex(SECRET_BYTES))
    return replace(key, public=key.signing().public_key().public_bytes_raw().hex())


def load_keyring(path: Path) -> Keyring:
    """Read a file of keys.

    Raises:
        KeyFileError: it cannot be read, a newer version wrote it, or it makes no sense.
    """
    try:
        ring = msgspec.json.decode(path.read_bytes(), type=Keyring)
    except OSError as error:
        raise KeyFileError(f"The file of keys {path} cannot be read: {error.strerror}.", hint=_NEW) from error
    except (ValueError, RecursionError) as error:  # Bytes that are no UTF-8 are a ValueError, too.
        raise KeyFileError(f"{path} is no file of keys: {error}.", hint=_NEW) from error
    if ring.format > FORMAT:
        raise KeyFileError(
            f"{path} has format {ring.format}; this Talka knows formats up to {FORMAT}.",
            hint="Upgrade Talka.",
        )
    if fault := _fault(ring):
        raise KeyFileError(f"The file of keys {path} {fault}.", hint=_NEW)
    return ring


def _fault(ring: Keyring) -> str:
    ids = [key.id for key in ring.keys]
    if len(set(ids)) < len(ids):
        return "has two keys of one id"
    for key in ring.keys:
        if KEY_ID.fullmatch(key.id) is None:
            return f"has a key whose id {key.id!r} cannot be used"
        if not _is_hex(key.public) or (key.secret and not _is_hex(key.secret)):
            return f"has a key {key.id!r} that is not 32 bytes in hexadecimal"
    if ring.encrypts or ring.signs:
        current = ring.key(ring.current)
        if current is None or not current.secret:
            return f"names {ring.current!r} as current and does not have its secret"
    return ""


def _is_hex(text: str) -> bool:
    return len(text) == 2 * SECRET_BYTES and all(sign in "0123456789abcdef" for sign in text)


def save_keyring(path: Path, ring: Keyring, *, is_new: bool = False) -> None:
    """Write a file of keys that only its owner can read, as a whole or not at all.

    Raises:
        KeyFileError: it cannot be written, or one that is to be new exists.
    """
    if is_new and path.exists():
        raise KeyFileError(
            f"{path} exists, and whatever its keys have sealed could not be read without it.",
            hint="Name another file, or add a key to it with `talka keys rotate`.",
        )
    draft = path.with_name(f".{path.name}.part")
    try:
        draft.unlink(missing_ok=True)
        file = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(file, "wb") as stream:
            stream.write(msgspec.json.format(msgspec.json.encode(ring), indent=2) + b"\n")
            stream.flush()
            os.fsync(stream.fileno())
        draft.replace(path)
    except OSError as error:
        raise KeyFileError(
            f"The file of keys {path} cannot be written: {error.strerror}.", hint="Name another file."
        ) from error
    finally:
        draft.unlink(missing_ok=True)
