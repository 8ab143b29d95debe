"""Keys, and what they do to what is stored: payload encryption, and commits that are chained and signed."""

from talka_services.sealing.keyring import Key, Keyring
from talka_services.sealing.ports import bare
from talka_services.sealing.vault import Vault, vault_of_environment

__all__ = ["Key", "Keyring", "Vault", "bare", "vault_of_environment"]
