"""Seals, opens, signs and verifies with the keys of a file, read again when an unknown key turns up."""

from __future__ import annotations

import hmac
import os
import secrets
from hashlib import sha256
from pathlib import Path

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from talka_core.auditing.chains import Verdict
from talka_protocols.errors import BrokenHistoryError, UnknownKeyError
from talka_protocols.seals import (
    NONCE_BYTES,
    Signature,
    is_sealed,
    linked,
    place_of_subject,
    read_sealed,
    seal_head,
    signed_bytes,
    with_signature,
)
from talka_protocols.subjects import Names
from talka_services.sealing.keyring import Key, Keyring, load_keyring
from talka_services.telemetry import get_logger

VARIABLE = "TALKA_KEYS"

log = get_logger(__name__)


class DamagedError(BrokenHistoryError):
    """A sealed body that its key does not open: it was changed, or belongs elsewhere."""


class Vault:
    """The keys of one process; without any, nothing is sealed or signed, and nothing sealed is read."""

    def __init__(self, ring: Keyring | None = None, path: Path | None = None) -> None:
        self._ring = ring or Keyring("", (), encrypts=False, signs=False)
        self._path = path
        self._stamp = _stamp(path)
        self._ciphers: dict[str, AESGCM] = {}
        self._verifiers: dict[str, Ed25519PublicKey] = {}
        current = self._ring.key(self._ring.current)
        self._head = seal_head(current.id) if current and self._ring.encrypts else b""
        self._nonces = current.derived("nonce") if current and self._ring.encrypts else b""
        self._signer: Ed25519PrivateKey | None = current.signing() if current and self._ring.signs else None

    @property
    def encrypts(self) -> bool:
        """Tell whether what is written is sealed."""
        return self._ring.encrypts

    @property
    def signs(self) -> bool:
        """Tell whether commits are signed."""
        return self._ring.signs

    @property
    def has_keys(self) -> bool:
        """Tell whether there is anything to verify with."""
        return bool(self._ring.keys)

    def seal(self, place: str, body: bytes, *, is_repeatable: bool = False) -> bytes:
        """Return a body sealed with the current key, or as it is if nothing is to be sealed.

        With ``is_repeatable`` equal bodies become equal, which shows that they are; their nonces follow
        from place and content, so that no other body ever gets the same one.
        """
        if not self._ring.encrypts:
            return body
        nonce = secrets.token_bytes(NONCE_BYTES)
        if is_repeatable:
            nonce = hmac.digest(self._nonces, f"{place}\n".encode() + body, sha256)[:NONCE_BYTES]
        cipher = self._cipher(self._ring.current)
        assert cipher is not None, "a ring that encrypts has the secret of its current key"
        return self._head + nonce + cipher.encrypt(nonce, body, self._head + place.encode())

    def open(self, place: str, body: bytes) -> bytes:
        """Return the plain body; one that was never sealed is returned as it is.

        Raises:
            UnknownKeyError: it is sealed with a key that is not here.
            DamagedError: it was changed, or sealed for another place.
        """
        if not is_sealed(body):
            return body
        sealed = read_sealed(body)
        if sealed is None:
            raise DamagedError(f"What is stored at {place} is no whole sealed body.")
        cipher = self._cipher(sealed.key_id)
        if cipher is None:
            raise UnknownKeyError(sealed.key_id, f"What is stored at {place}")
        try:
            return cipher.decrypt(sealed.nonce, sealed.ciphertext, sealed.head + place.encode())
        except InvalidTag:
            raise DamagedError(
                f"What is stored at {place} does not open with its key {sealed.key_id!r}: "
                "it was changed, or sealed for another place.",
                hint="Restore the stream from a backup, and see who can write to the server.",
            ) from None

    def open_if_whole(self, place: str, body: bytes) -> bytes:
        """Return the plain body, or a damaged one as it is, for its reader to find that it is unreadable.

        Raises:
            UnknownKeyError: it is sealed with a key that is not here.
        """
        try:
            return self.open(place, body)
        except DamagedError as error:
            log.error("sealed.damaged", place=place, error=str(error))
            return body

    def read(self, names: Names, subject: str, body: bytes) -> bytes:
        """Return what was stored on a subject as it was before it was sealed, or sealed if it does not open.

        Whoever decodes it then says that it is unreadable, and of which log.
        """
        try:
            return self.open_if_whole(place_of_subject(names, subject), body)
        except UnknownKeyError:
            return body

    def identity(self, commit_id: str) -> str:
        """Return a commit's id with its digest keyed, so that nobody can try contents against it."""
        if not self._ring.encrypts:
            return commit_id
        name, _, digest = commit_id.rpartition(":")
        return f"{name}:{hmac.digest(self._nonces, digest.encode(), sha256).hex()[: len(digest)]}"

    def sign(self, place: str, body: bytes, previous: str) -> bytes:
        """Return a commit's bytes, linked to its predecessor and signed, or as they are."""
        if self._signer is None:
            return body
        content = linked(body, previous, self._ring.current)
        return with_signature(content, self._signer.sign(signed_bytes(place, content)))

    def verify(self, place: str, signature: Signature) -> Verdict:
        """Tell whether a signature is one of ours, for what it is found at."""
        verifier = self._verifier(signature.key_id)
        if verifier is None:
            return Verdict.UNKNOWN_KEY
        try:
            verifier.verify(signature.value, signed_bytes(place, signature.content))
        except InvalidSignature:
            return Verdict.FALSE
        return Verdict.TRUE

    def _cipher(self, key_id: str) -> AESGCM | None:
        cipher = self._ciphers.get(key_id)
        if cipher is None:
            key = self._key(key_id)
            if key is None or not key.secret:
                return None
            cipher = self._ciphers[key_id] = AESGCM(key.derived("seal"))
        return cipher

    def _verifier(self, key_id: str) -> Ed25519PublicKey | None:
        verifier = self._verifiers.get(key_id)
        if verifier is None:
            key = self._key(key_id)
            if key is None:
                return None
            public = Ed25519PublicKey.from_public_bytes(bytes.fromhex(key.public))
            verifier = self._verifiers[key_id] = public
        return verifier

    def _key(self, key_id: str) -> Key | None:
        """Return a key; a file that others have added one to is read again, and writing stays with ours."""
        key = self._ring.key(key_id)
        if key is None and self._path is not None and (stamp := _stamp(self._path)) != self._stamp:
            self._stamp = stamp
            known = {each.id for each in self._ring.keys}
            for added in load_keyring(self._path).keys:
                if added.id not in known:
                    self._ring = self._ring.with_key(added, is_current=False)
            log.info("keys.read_again", path=str(self._path), keys=len(self._ring.keys))
            key = self._ring.key(key_id)
        return key


def _stamp(path: Path | None) -> tuple[int, int]:
    """Return what changes whenever a file is written anew."""
    try:
        found = path.stat() if path is not None else None
    except OSError:
        found = None
    return (found.st_mtime_ns, found.st_ino) if found else (0, 0)


def vault_of_environment() -> Vault:
    """Return the vault of the file that ``TALKA_KEYS`` names, an empty one if it names none.

    Raises:
        KeyFileError: the file cannot be read or makes no sense.
    """
    named = os.environ.get(VARIABLE, "").strip()
    return Vault(load_keyring(Path(named)), Path(named)) if named else Vault()
