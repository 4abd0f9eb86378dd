"""How a secret is built: what it is first, randomness, checksum last (DESIGN 5, EXACT 31)."""

from dataclasses import dataclass, field

from plimsoll.contract import tokens
from portal.core.secrets import choose

RECOGNISABLE = 4  # random characters that the kept prefix shows


@dataclass(frozen=True)
class NewSecret:
    """A fresh secret; its `repr` hides the text, so that no log shows it."""

    text: str = field(repr=False)
    prefix: str
    last_four: str
    digest: str


def new_secret(prefix: str) -> NewSecret:
    """A secret that begins with `prefix`, such as `plim_live_`."""
    text = tokens.build(prefix, tokens.new_body(choose))
    return NewSecret(
        text=text,
        prefix=text[: len(prefix) + RECOGNISABLE],
        last_four=text[-4:],
        digest=tokens.secret_digest(text),
    )
