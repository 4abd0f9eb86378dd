"""Settings: one frozen value, read once from `PORTAL_*` variables. What is unknown or bad stops the start."""

import json
import secrets
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, fields
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key


class BadSettings(ValueError):
    """A `PORTAL_*` variable that cannot be understood; the text says which, and what would be right."""


class Env(StrEnum):
    DEVELOPMENT = "development"
    PRODUCTION = "production"


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Everything that an operator can set. Tests build it directly."""

    env: Env = Env.DEVELOPMENT
    url: str = "http://127.0.0.1:5000"
    data: Path = Path("instance")
    database_url: str = field(default="", repr=False)
    secret_key: str = field(default="", repr=False)
    brand: str = "plim"
    api_url: str = "http://127.0.0.1:8100"
    smtp_url: str = field(default="", repr=False)
    mail_from: str = "Plimsoll <portal@localhost>"
    threads: int = 16
    # How many gateways may watch at once in each process that serves `/sync/` alone.
    sync_places: int = 5000
    # How many organisations vote or write before a thread holds the change that it is about.
    attention_threshold: int = 25
    trusted_proxies: tuple[IPv4Network | IPv6Network, ...] = ()
    leak_keys: Mapping[str, EllipticCurvePublicKey] = field(default_factory=dict)
    # What a scraper of /metrics shows; without one only this machine may read it.
    metrics_token: str = field(default="", repr=False)
    strict_sessions: bool = True

    @property
    def is_development(self) -> bool:
        return self.env is Env.DEVELOPMENT

    @property
    def origin(self) -> str:
        """The log's origin (EXACT 17): host and port of the portal's address, and `/log`."""
        return f"{urlsplit(self.url).netloc}/log"

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> "Settings":
        """Read the settings. Raises BadSettings for unknown names and bad values."""
        values = _with_files(environ)
        known = {f"PORTAL_{field.name.upper()}": field.name for field in fields(cls)}
        known.pop("PORTAL_STRICT_SESSIONS")
        if unknown := sorted(set(values) - set(known)):
            raise BadSettings(f"unknown settings: {', '.join(unknown)}")
        read: dict[str, Any] = {
            known[name]: _READERS.get(known[name], _text)(name, value)
            for name, value in values.items()
        }
        settings = cls(**read)
        return _completed(settings, given=set(read))


def _with_files(environ: Mapping[str, str]) -> dict[str, str]:
    values: dict[str, str] = {}
    for name, value in environ.items():
        if not name.startswith("PORTAL_"):
            continue
        if name.endswith("_FILE"):
            name, value = name.removesuffix("_FILE"), _file(name, value)  # noqa: PLW2901
        if name in values:
            raise BadSettings(f"{name} is given twice, as a value and as a file")
        values[name] = value
    return values


def _file(name: str, value: str) -> str:
    try:
        return Path(value).read_text(encoding="utf-8").strip()
    except OSError as error:
        raise BadSettings(f"{name}: the file cannot be read: {error.strerror}") from error


def _text(name: str, value: str) -> str:
    if not value.strip():
        raise BadSettings(f"{name} is empty; leave it out for the default")
    return value.strip()


def _env(name: str, value: str) -> Env:
    try:
        return Env(value)
    except ValueError as error:
        raise BadSettings(f"{name} is either development or production") from error


_PORTS = {"http": 80, "https": 443}


def _url(name: str, value: str) -> str:
    try:
        parts = urlsplit(value.strip().lower())
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    more = parts.path.strip("/") or parts.query or parts.username
    if parts.scheme not in _PORTS or not parts.hostname or more:
        raise BadSettings(f"{name} is an address such as https://portal.example, without a path")
    # As browsers write it in `Origin`, which is compared: lower case, and no port that goes unsaid.
    shown = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    unsaid = port in {None, _PORTS[parts.scheme]}
    return f"{parts.scheme}://{shown}" if unsaid else f"{parts.scheme}://{shown}:{port}"


def _threads(name: str, value: str) -> int:
    return _whole(name, value, between=(4, 1000))


def _sync_places(name: str, value: str) -> int:
    return _whole(name, value, between=(1, 100_000))


def _attention(name: str, value: str) -> int:
    return _whole(name, value, between=(1, 1_000_000))


def _whole(name: str, value: str, *, between: tuple[int, int]) -> int:
    least, most = between
    is_whole = value.isascii() and value.isdigit() and len(value) <= len(str(most))
    if not is_whole or not least <= int(value) <= most:
        raise BadSettings(f"{name} is a whole number from {least} to {most}")
    return int(value)


def _networks(name: str, value: str) -> tuple[IPv4Network | IPv6Network, ...]:
    try:
        return tuple(ip_network(part.strip()) for part in value.split(","))
    except ValueError as error:
        raise BadSettings(f"{name} lists networks such as 10.0.0.0/8, fd00::/8: {error}") from error


def _leak_keys(name: str, value: str) -> Mapping[str, EllipticCurvePublicKey]:
    """GitHub's own document, as fetched; all its keys count, so that one can take another's place."""
    wanted = (
        f"{name} is the document of https://api.github.com/meta/public_keys/secret_scanning: "
        '{"public_keys": [{"key_identifier": "…", "key": "-----BEGIN PUBLIC KEY-----…"}]}, of curve P-256'
    )
    try:
        listed = json.loads(value)["public_keys"]
        keys = {
            each["key_identifier"]: load_pem_public_key(each["key"].encode()) for each in listed
        }
    except (ValueError, KeyError, TypeError, AttributeError, UnsupportedAlgorithm) as error:
        raise BadSettings(wanted) from error
    found = {}
    for identifier, key in keys.items():
        if not isinstance(key, EllipticCurvePublicKey) or not isinstance(key.curve, SECP256R1):
            raise BadSettings(wanted)
        found[identifier] = key
    return found


METRICS_TOKEN_MIN = 20


def _metrics_token(name: str, value: str) -> str:
    token = _text(name, value)
    if len(token) < METRICS_TOKEN_MIN or not token.isascii() or not token.isprintable():
        raise BadSettings(f"{name} has at least {METRICS_TOKEN_MIN} letters, digits and marks")
    return token


def _brand(name: str, value: str) -> str:
    if not (value.isascii() and value.isalnum() and value.islower()):
        raise BadSettings(f"{name} is made of lower-case letters and digits")
    return value


def _path(name: str, value: str) -> Path:
    return Path(_text(name, value))


_READERS: dict[str, Callable[[str, str], Any]] = {
    "env": _env,
    "url": _url,
    "api_url": _url,
    "data": _path,
    "threads": _threads,
    "sync_places": _sync_places,
    "attention_threshold": _attention,
    "trusted_proxies": _networks,
    "brand": _brand,
    "leak_keys": _leak_keys,
    "metrics_token": _metrics_token,
}


def _completed(settings: Settings, *, given: set[str]) -> Settings:
    production = settings.env is Env.PRODUCTION
    if production and "url" not in given:
        raise BadSettings("production needs PORTAL_URL, the address that people see")
    folder = settings.data.absolute()
    database = settings.database_url or f"sqlite:///{folder / 'portal.db'}"
    if database.startswith(("postgresql://", "postgres://")):
        database = "postgresql+psycopg://" + database.partition("://")[2]
    values = {field.name: getattr(settings, field.name) for field in fields(settings)}
    values |= {
        "data": folder,
        "database_url": database,
        "secret_key": settings.secret_key or generated_secret(folder, "session.key"),
        "strict_sessions": not production,
    }
    return Settings(**values)


def refuse_sqlite(settings: Settings) -> None:
    """Where all requests share one thread, one that waits for SQLite's lock stops all. Raises BadSettings."""
    if settings.database_url.startswith("sqlite"):
        raise BadSettings(
            "processes that serve /sync/ alone need PostgreSQL: set PORTAL_DATABASE_URL."
            " With SQLite every wait for its lock would stall every stream of the process;"
            " `python app.py portal` serves /sync/ beside the pages."
        )


def secrets_folder(data: Path) -> Path:
    """Where generated secrets live: `secrets/` in the data folder, for the owner only (EXACT 36)."""
    # Beside it lie the database and the mails, with links that sign in: for the owner only, too.
    data.mkdir(parents=True, exist_ok=True, mode=0o700)
    folder = data / "secrets"
    folder.mkdir(exist_ok=True, mode=0o700)
    return folder


def generated_secret(data: Path, name: str) -> str:
    """The secret kept under `name`, made at first use, so that commands beside a running portal agree."""
    path = secrets_folder(data) / name
    if not path.exists():
        draft = path.with_suffix(f".{secrets.token_hex(4)}")
        draft.touch(mode=0o600)
        draft.write_text(secrets.token_urlsafe(48), encoding="utf-8")
        # A link fails where the name exists, so that two first starts at once end with one secret.
        with suppress(FileExistsError):
            path.hardlink_to(draft)
        draft.unlink()
    return path.read_text(encoding="utf-8")
