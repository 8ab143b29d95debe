"""Keys: what they open and what they do not, their file, and their rotation."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from tests.unit.sealing.chains import ring

from talka_core.auditing import Verdict
from talka_protocols.errors import KeyFileError, UnknownKeyError
from talka_protocols.seals import is_sealed, read_sealed, read_signature
from talka_services.sealing.keyring import Keyring, load_keyring, new_key, save_keyring
from talka_services.sealing.vault import VARIABLE, DamagedError, Vault, vault_of_environment

BODY = b'{"version":1,"decisions":[]}'


def test_what_is_sealed_opens_where_it_belongs_and_nowhere_else() -> None:
    """A body is bound to its place; the same body is sealed differently each time, unless that is wanted."""
    vault = Vault(ring())
    sealed = vault.seal("log/execution.a", BODY)
    assert is_sealed(sealed)
    assert b"version" not in sealed
    assert vault.open("log/execution.a", sealed) == BODY
    with pytest.raises(DamagedError, match="another place"):
        vault.open("log/execution.b", sealed)
    assert vault.seal("log/execution.a", BODY) != sealed
    twice = [vault.seal("object", BODY, is_repeatable=True) for _ in range(2)]
    assert twice[0] == twice[1]
    assert vault.open("object", twice[0]) == BODY


def test_plain_bodies_stay_readable() -> None:
    """What was stored before there were keys is returned as it is, and nothing is sealed without them."""
    assert Vault(ring()).open("log/x", BODY) == BODY
    assert Vault().seal("log/x", BODY) is BODY
    assert Vault().sign("log/x", BODY, "") is BODY


def test_a_missing_key_is_named() -> None:
    """The error says which key is missing and where it would have to be."""
    sealing = ring()
    sealed = Vault(sealing).seal("log/execution.a", BODY)
    with pytest.raises(UnknownKeyError) as raised:
        Vault().open("log/execution.a", sealed)
    assert raised.value.key_id == sealing.current
    assert sealing.current in str(raised.value)
    assert VARIABLE in str(raised.value)


def test_old_keys_stay_readable_after_a_rotation() -> None:
    """The new key seals and signs; what the old one did still opens and holds."""
    old = ring()
    sealed, signed = Vault(old).seal("p", BODY), Vault(old).sign("p", BODY[:-2] + b"]}", "")
    rotated = old.with_key(new_key(), is_current=True)
    vault = Vault(rotated)
    assert vault.open("p", sealed) == BODY
    signature = read_signature(signed)
    assert signature is not None
    assert vault.verify("p", signature) is Verdict.TRUE
    assert vault.verify("q", signature) is Verdict.FALSE
    assert Vault(ring()).verify("p", signature) is Verdict.UNKNOWN_KEY
    again = read_sealed(vault.seal("p", BODY))
    assert again is not None
    assert again.key_id == rotated.current != old.current


def test_a_key_that_others_added_is_read_from_the_file_at_once(tmp_path: Path) -> None:
    """A process that meets a newer key reads its file again, and goes on writing with its own."""
    file = tmp_path / "keys.json"
    save_keyring(file, ring(), is_new=True)
    running = Vault(load_keyring(file), file)
    save_keyring(file, load_keyring(file).with_key(new_key(), is_current=True))
    newer = Vault(load_keyring(file), file).seal("p", BODY)
    assert running.open("p", newer) == BODY
    mine = read_sealed(running.seal("p", BODY))
    assert mine is not None
    assert mine.key_id == load_keyring(file).keys[0].id


def test_public_halves_verify_and_do_nothing_else() -> None:
    """An auditor's file has no secrets: it neither opens nor signs."""
    secret = ring()
    public = secret.public()
    assert all(not key.secret for key in public.keys)
    signature = read_signature(Vault(secret).sign("p", b'{"decisions":[]}', ""))
    assert signature is not None
    vault = Vault(public)
    assert vault.verify("p", signature) is Verdict.TRUE
    assert (vault.encrypts, vault.signs, vault.has_keys) == (False, False, True)
    with pytest.raises(UnknownKeyError):
        vault.open("p", Vault(secret).seal("p", BODY))


def test_only_the_owner_can_read_a_file_of_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is written whole, for its owner alone, and never over another one; the environment names it."""
    file = tmp_path / "keys.json"
    made = ring()
    save_keyring(file, made, is_new=True)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert load_keyring(file) == made
    with pytest.raises(KeyFileError, match="exists"):
        save_keyring(file, ring(), is_new=True)
    monkeypatch.setenv(VARIABLE, str(file))
    assert vault_of_environment().has_keys
    monkeypatch.delenv(VARIABLE)
    assert not vault_of_environment().has_keys


def test_a_file_that_makes_no_sense_is_refused(tmp_path: Path) -> None:
    """What is missing, no JSON, newer, or without its current key is named; so is a bad key."""
    file = tmp_path / "keys.json"
    with pytest.raises(KeyFileError, match="cannot be read"):
        load_keyring(file)
    key = new_key()
    for text, said in (
        (b"{", "no file of keys"),
        (b'{"current":"k","keys":[],"format":9}', "format 9"),
        (b'{"current":"k","keys":[]}', "as current"),
        (b'{"current":"k","keys":[{"id":"k","made_at":1,"public":"00"}]}', "32 bytes"),
    ):
        file.write_bytes(text)
        with pytest.raises(KeyFileError, match=said):
            load_keyring(file)
    save_keyring(file, Keyring(key.id, (key, key)))
    with pytest.raises(KeyFileError, match="two keys of one id"):
        load_keyring(file)
    with pytest.raises(KeyFileError, match="cannot become"):
        Keyring(key.id, (key,)).with_current("other")
