"""Encryption of secrets that must be read again, and so cannot be kept as digests.

The key is derived from `PORTAL_SECRET_KEY`, which is not in the database. So a copy of the database alone,
a lost backup for example, gives nothing away. It does not help against whoever reads the server's memory or
its secrets folder, too. With another secret key nothing that was encrypted can be read any more.
"""

import base64
import binascii

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from portal.core.secrets import random_bytes

NONCE_BYTES = 12


def encrypt(text: str, *, key: str, purpose: str) -> str:
    """`text`, readable only with the same key and purpose. `purpose` names whose it is and what for, so
    that no ciphertext can be put in another's place."""
    nonce = random_bytes(NONCE_BYTES)
    sealed = _cipher(key).encrypt(nonce, text.encode(), purpose.encode())
    return base64.urlsafe_b64encode(nonce + sealed).decode()


def decrypt(token: str, *, key: str, purpose: str) -> str | None:
    """What `encrypt` was given; None for all else."""
    try:
        data = base64.urlsafe_b64decode(token.encode())
        nonce, sealed = data[:NONCE_BYTES], data[NONCE_BYTES:]
        return _cipher(key).decrypt(nonce, sealed, purpose.encode()).decode()
    except (binascii.Error, ValueError, InvalidTag):
        return None


def _cipher(key: str) -> AESGCM:
    derived = HKDF(SHA256(), length=32, salt=None, info=b"portal.core.encryption").derive(
        key.encode()
    )
    return AESGCM(derived)
