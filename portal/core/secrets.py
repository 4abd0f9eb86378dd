"""Randomness for everything that must not be guessed."""

import base64
import hashlib
import hmac
import secrets

LINK_TOKEN_BYTES = 32


def link_token() -> str:
    """A single-use token for a link in a mail: 256 random bits, URL-safe."""
    return secrets.token_urlsafe(LINK_TOKEN_BYTES)


def random_bytes(count: int) -> bytes:
    """Random bytes, for keys and nonces."""
    return secrets.token_bytes(count)


def digest(text: str) -> str:
    """What is stored instead of a random secret: hex SHA-256.

    A fast hash is right where the secret has 160 random bits or more; passwords use argon2id.
    """
    return hashlib.sha256(text.encode()).hexdigest()


def choose(alphabet: str) -> str:
    """One random character of `alphabet`."""
    return secrets.choice(alphabet)


def sign(text: str, *, key: str, purpose: str) -> str:
    """`text` with a signature that only the holder of `key` can make, safe in an address.

    For links that must work for years and give nothing but one small right. `purpose` keeps the
    links of one kind from being taken for those of another.
    """
    mac = hmac.digest(key.encode(), f"{purpose}:{text}".encode(), "sha256")
    return f"{text}.{base64.urlsafe_b64encode(mac).decode().rstrip('=')}"


def unsign(token: str, *, key: str, purpose: str) -> str | None:
    """The text of a token that `sign` made with the same key and purpose; None for any other."""
    text = token.rpartition(".")[0]
    expected = sign(text, key=key, purpose=purpose)
    return text if hmac.compare_digest(expected.encode(), token.encode()) else None
