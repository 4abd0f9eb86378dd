"""Codes and their rules, against RFC 6238 and on random times."""

import base64
from datetime import UTC, datetime, timedelta

import pyotp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from portal.accounts import totp

SECRET = base64.b32encode(b"12345678901234567890").decode()
instants = st.datetimes(datetime(2020, 1, 1), datetime(2060, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


@pytest.mark.parametrize(
    ("seconds", "code"),
    [
        (59, "287082"),
        (1111111109, "081804"),
        (1111111111, "050471"),
        (1234567890, "005924"),
        (2000000000, "279037"),
        (20000000000, "353130"),
    ],
)
def test_codes_are_those_of_the_rfc(seconds, code):
    """RFC 6238, appendix B, of eight digits the last six."""
    at = datetime.fromtimestamp(seconds, UTC)

    assert totp.code_at(SECRET, totp.step_of(at)) == code


@given(at=instants, around=st.integers(-40, 40))
def test_a_code_counts_half_a_minute_around_and_no_longer(at, around):
    code = pyotp.TOTP(SECRET).at(at, counter_offset=around)

    step = totp.matching_step(SECRET, code, at=at, last_step=0)

    near = {totp.code_at(SECRET, totp.step_of(at) + each) for each in totp.STEPS_AROUND}
    assert (step is not None) == (code in near)
    assert abs(around) > 1 or step is not None


@given(at=instants, pauses=st.lists(st.integers(0, 90), max_size=12))
def test_no_code_counts_twice(at, pauses):
    """Whatever was typed when, each step counts at most once, and steps only rise."""
    last, counted = 0, []
    for pause in pauses:
        at += timedelta(seconds=pause)
        step = totp.matching_step(SECRET, pyotp.TOTP(SECRET).at(at), at=at, last_step=last)
        if step is not None:
            counted.append(step)
            last = step

    assert counted == sorted(set(counted))


@given(at=instants)
def test_what_has_counted_and_all_before_it_count_no_more(at):
    now = totp.step_of(at)

    for typed in totp.STEPS_AROUND:
        code = totp.code_at(SECRET, now + typed)
        assert totp.matching_step(SECRET, code, at=at, last_step=now + 1) is None


@given(typed=st.text(max_size=40))
def test_whatever_is_typed_is_no_error(typed):
    at = datetime(2026, 11, 2, tzinfo=UTC)

    step = totp.matching_step(SECRET, typed, at=at, last_step=0)

    assert step is None or len(totp.digits_of(typed)) == 6
    assert len(totp.recovery_digest(typed, user_id="usr_x")) == 64


def test_secrets_are_random_and_long_enough():
    """RFC 4226, section 4: 160 bits."""
    secrets = {totp.new_secret() for _ in range(20)}

    assert len(secrets) == 20
    assert {len(base64.b32decode(secret)) for secret in secrets} == {20}


def test_a_recovery_code_of_one_person_has_another_digest_than_of_the_next():
    (code, *_) = totp.new_recovery_codes()

    assert totp.recovery_digest(code, user_id="usr_a") != totp.recovery_digest(
        code, user_id="usr_b"
    )
    assert totp.recovery_digest(totp.grouped(code), user_id="usr_a") == totp.recovery_digest(
        code, user_id="usr_a"
    )


def test_a_qr_code_has_its_white_frame():
    code = totp.qr_code("otpauth://totp/x?secret=y")

    starts = [tuple(map(int, part[1:].split("h")[0].split())) for part in code.path.split("z")[:-1]]
    assert min(min(place) for place in starts) == 4
    assert max(max(place) for place in starts) == code.size - 5
