"""How sealed and signed bytes look, and what each is bound to; the keys are elsewhere.

A **sealed** body is ``MAGIC``, one byte with the length of the key's id, the
id, twelve bytes of nonce, and what AES-256-GCM makes of the plain body. No
JSON begins like that, so that plain bodies stay readable beside sealed ones.

A **signed** commit is the commit's JSON with three fields behind its own:
``previous`` (SHA-256 of the log's commit before it, empty for the first),
``key_id``, and ``signature`` over everything before it and the name of the log.
"""

from __future__ import annotations

import hashlib
import re

from msgspec import Struct

from talka_protocols.subjects import EXECUTION, PLAN, LogName, Names

MAGIC = b"\0talka1"
NONCE_BYTES = 12
TAG_BYTES = 16
SEAL_BYTES_MAX = 1_024
"""What signing and sealing add to a body at most, with room to spare."""
KEY_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")

_CONTEXT = b"talka.commit.1\n"
_TAIL_CHARS_MAX = 400
_TAIL = re.compile(
    rb',"previous":"((?:[0-9a-f]{64})?)","key_id":"([A-Za-z0-9][A-Za-z0-9_-]{0,63})"'
    rb',"signature":"([0-9a-f]{128})"\}\Z'
)
_UNSIGNED_END = b"]}"


class Sealed(Struct, frozen=True):
    """A sealed body, taken apart; ``head`` is what stands before the nonce."""

    key_id: str
    head: bytes
    nonce: bytes
    ciphertext: bytes


class Signature(Struct, frozen=True):
    """What is behind a commit's own fields; ``content`` is what was signed, but for the log's name."""

    previous: str
    key_id: str
    content: bytes
    value: bytes


class MalformedSignatureError(ValueError):
    """A commit ends neither as a signed nor as an unsigned one."""


def is_sealed(body: bytes) -> bool:
    """Tell whether these bytes are a sealed body, whole or not."""
    return body.startswith(MAGIC)


def seal_head(key_id: str) -> bytes:
    """Return what a body begins with that is sealed with this key."""
    return MAGIC + bytes([len(key_id)]) + key_id.encode("ascii")


def read_sealed(body: bytes) -> Sealed | None:
    """Take a sealed body apart; None if it is plain, or was cut or changed beyond that."""
    if not is_sealed(body) or len(body) <= len(MAGIC):
        return None
    start = len(MAGIC) + 1
    end = start + body[start - 1]
    key_id = body[start:end].decode("ascii", "replace")
    if KEY_ID.fullmatch(key_id) is None or len(body) < end + NONCE_BYTES + TAG_BYTES:
        return None
    nonce_end = end + NONCE_BYTES
    return Sealed(key_id, body[:end], body[end:nonce_end], body[nonce_end:])


def digest_of(body: bytes) -> str:
    """Return what the next commit of a log names as its ``previous``."""
    return hashlib.sha256(body).hexdigest()


def linked(body: bytes, previous: str, key_id: str) -> bytes:
    """Return an unsigned commit's bytes with its predecessor and key, ready to be signed."""
    return b'%b,"previous":"%b","key_id":"%b"' % (body[:-1], previous.encode(), key_id.encode())


def with_signature(content: bytes, signature: bytes) -> bytes:
    """Return the bytes of the signed commit, which are JSON again."""
    return b'%b,"signature":"%b"}' % (content, signature.hex().encode())


def read_signature(body: bytes) -> Signature | None:
    """Return the signature that a commit carries, None if it was never signed.

    Raises:
        MalformedSignatureError: it ends like neither.
    """
    if body.endswith(_UNSIGNED_END):
        return None
    signature = find_signature(body)
    if signature is None:
        raise MalformedSignatureError
    return signature


def find_signature(document: bytes) -> Signature | None:
    """Return the signature at the end of any JSON object, None if there is none."""
    match = _tail(document)
    if match is None:
        return None
    content = document[: match.start(3) - len(b',"signature":"')]
    return Signature(match[1].decode(), match[2].decode(), content, bytes.fromhex(match[3].decode()))


def without_signature(body: bytes) -> bytes:
    """Return a commit's bytes as they were before they were signed."""
    match = _tail(body)
    return body if match is None else body[: match.start()] + b"}"


def _tail(body: bytes) -> re.Match[bytes] | None:
    return _TAIL.search(body, max(0, len(body) - _TAIL_CHARS_MAX))


def signed_bytes(place: str, content: bytes) -> bytes:
    """Return what a signature is made of: where it stands, and the digest of what is signed.

    Ed25519 reads what it signs twice, which takes milliseconds of a large commit.
    """
    return b"%b%b\n%b" % (_CONTEXT, place.encode(), hashlib.sha256(content).digest())


def place_of_log(namespace: str, log: LogName) -> str:
    """Return what a commit is bound to.

    Ids of executions are unique everywhere, and their logs move by export and
    import; every other log is bound to its namespace too.
    """
    return str(log) if log.kind in {EXECUTION, PLAN} else f"{namespace}/{log}"


def place_of_subject(names: Names, subject: str) -> str:
    """Return what a stored message is bound to, by the subject under which it is delivered.

    One that goes to an address is bound to the address, by whatever stream it goes there.
    """
    what, _, rest = subject.removeprefix(f"{names.root}.").partition(".")
    match what:
        case "log":
            return f"log/{place_of_log(names.namespace, LogName(*rest.split('.', 2)))}"
        case "snapshot":
            return f"snapshot/{place_of_log(names.namespace, LogName(*rest.split('.', 2)))}"
        case "inbox" | "request" | "dead":
            return f"mail/{names.namespace}/{rest}"
        case _:
            return f"{what}/{names.namespace}/{rest}"


OBJECTS = "object"
"""What a stored value is bound to: its name is its digest, which whatever names it has vouched for."""
