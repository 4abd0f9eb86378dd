"""Randomness for everything that must not be guessed."""

import hashlib
import secrets

LINK_TOKEN_BYTES = 32


def link_token() -> str:
    """A single-use token for a link in a mail: 256 random bits, URL-safe."""
    return secrets.token_urlsafe(LINK_TOKEN_BYTES)


def digest(text: str) -> str:
    """What is stored instead of a random secret: hex SHA-256.

    A fast hash is right where the secret has 160 random bits or more; passwords use argon2id.
    """
    return hashlib.sha256(text.encode()).hexdigest()


def choose(alphabet: str) -> str:
    """One random character of `alphabet`."""
    return secrets.choice(alphabet)
