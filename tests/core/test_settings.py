"""Settings refuse to be guessed: what is unknown or bad stops the start, by name."""

import stat
from concurrent.futures import ThreadPoolExecutor
from dataclasses import FrozenInstanceError

import pytest

from portal.config import BadSettings, Env, Settings, generated_secret


@pytest.fixture
def read(tmp_path):
    """Settings from variables, with the data in a folder of the test."""

    def read(**environ: str) -> Settings:
        return Settings.from_env({"PORTAL_DATA": str(tmp_path / "data"), **environ})

    return read


def test_without_anything_said_it_is_development_on_sqlite_in_the_data_folder(read, tmp_path):
    settings = read()

    assert settings.env is Env.DEVELOPMENT
    assert settings.database_url == f"sqlite:///{tmp_path / 'data' / 'portal.db'}"
    assert settings.origin == "127.0.0.1:5000/log"


def test_other_programs_variables_are_none_of_our_business(read):
    assert read(HOME="/root", PORT="80").env is Env.DEVELOPMENT


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORTAL_COLOUR", "red"),
        ("PORTAL_STRICT_SESSIONS", "no"),
        ("PORTAL_ENV", "staging"),
        ("PORTAL_ENV", "Production"),
        ("PORTAL_URL", "portal.example"),
        ("PORTAL_URL", "https://portal.example/path"),
        ("PORTAL_URL", ""),
        ("PORTAL_URL", "https://portal.example?x"),
        ("PORTAL_URL", "https://me:word@portal.example"),
        ("PORTAL_URL", "https://portal.example:http"),
        ("PORTAL_URL", "https://[::1"),
        ("PORTAL_THREADS", "many"),
        ("PORTAL_THREADS", "0"),
        ("PORTAL_THREADS", "-4"),
        ("PORTAL_SYNC_PLACES", "0"),
        ("PORTAL_BRAND", "My Brand"),
        ("PORTAL_DATA", " "),
        ("PORTAL_TRUSTED_PROXIES", "10.0.0.1/8"),
        ("PORTAL_TRUSTED_PROXIES", "everyone"),
    ],
)
def test_what_cannot_be_understood_is_refused_by_name(read, name, value):
    with pytest.raises(BadSettings, match=name):
        read(**{name: value})


def test_trusted_proxies_are_networks(read):
    networks = read(PORTAL_TRUSTED_PROXIES="10.0.0.0/8, fd00::/8").trusted_proxies

    assert [str(network) for network in networks] == ["10.0.0.0/8", "fd00::/8"]


def test_a_secret_may_be_a_file(read, tmp_path):
    (tmp_path / "key").write_text("from a file\n", encoding="utf-8")

    assert read(PORTAL_SECRET_KEY_FILE=str(tmp_path / "key")).secret_key == "from a file"


def test_a_secrets_file_must_be_there(read, tmp_path):
    with pytest.raises(BadSettings, match=r"PORTAL_SECRET_KEY.*cannot be read"):
        read(PORTAL_SECRET_KEY_FILE=str(tmp_path / "nowhere"))


def test_a_secret_is_given_once(read, tmp_path):
    (tmp_path / "key").write_text("x", encoding="utf-8")

    with pytest.raises(BadSettings, match="given twice"):
        read(PORTAL_SECRET_KEY="y", PORTAL_SECRET_KEY_FILE=str(tmp_path / "key"))


def test_production_needs_its_address(read):
    with pytest.raises(BadSettings, match="PORTAL_URL"):
        read(PORTAL_ENV="production")

    assert read(PORTAL_ENV="production", PORTAL_URL="https://portal.example").url


@pytest.mark.parametrize("scheme", ["postgres", "postgresql"])
def test_postgresql_is_reached_by_the_driver_that_is_locked(read, scheme):
    url = read(PORTAL_DATABASE_URL=f"{scheme}://portal@db/portal").database_url

    assert url == "postgresql+psycopg://portal@db/portal"


def test_a_generated_secret_stays_and_only_its_owner_reads_it(tmp_path):
    first, second = (generated_secret(tmp_path / "data", "session.key") for _ in range(2))
    path = tmp_path / "data/secrets/session.key"

    assert first == second
    assert len(first) >= 43
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert stat.S_IMODE(path.parent.parent.stat().st_mode) == 0o700


def test_two_first_starts_at_once_end_with_one_secret(tmp_path):
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: generated_secret(tmp_path, "session.key"), range(8)))

    assert len(set(made)) == 1


def test_settings_do_not_change(read):
    with pytest.raises(FrozenInstanceError):
        read().url = "https://elsewhere.example"


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("https://Portal.Example/", "https://portal.example"),
        ("https://portal.example:443", "https://portal.example"),
        ("http://portal.example:8080", "http://portal.example:8080"),
        ("http://[::1]:5000", "http://[::1]:5000"),
    ],
)
def test_the_address_is_kept_as_browsers_name_their_origin(read, given, kept):
    """Written otherwise, no form sent by a browser would be believed."""
    assert read(PORTAL_URL=given).url == kept


def test_settings_that_are_printed_show_no_secret(read):
    shown = repr(
        read(
            PORTAL_SECRET_KEY="open-sesame",
            PORTAL_SMTP_URL="smtp://me:open-sesame@mail",
            PORTAL_DATABASE_URL="postgresql://me:open-sesame@db/portal",
        )
    )

    assert "open-sesame" not in shown
