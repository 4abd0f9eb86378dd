from datetime import timedelta

import pytest

from portal.accounts.errors import BadAddress, WeakPassword
from portal.accounts.passwords import hash_password, is_right
from portal.accounts.policy import is_fresh, may_act_as_staff, must_be_strong, normal_address
from tests.support.clocks import START


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("ada@example.com", "ada@example.com"),
        (" Ada.Love+x@EXAMPLE.com ", "Ada.Love+x@example.com"),
        ("ada@example.test", "ada@example.test"),
        ("root@localhost", "root@localhost"),
        ("ada@münchen.example", "ada@xn--mnchen-3ya.example"),
    ],
)
def test_an_address_is_kept_as_mail_servers_read_it(given, kept):
    assert normal_address(given) == kept


@pytest.mark.parametrize(
    "text",
    ["", "@", "ada", "ada@", "@example.com", "a b@example.com", "jörg@example.com", "a@b@c.com"],
)
def test_what_is_no_address_is_refused(text):
    with pytest.raises(BadAddress) as refused:
        normal_address(text)

    assert refused.value.field == "email"


@pytest.mark.parametrize("password", ["123456789", "x" * 201, "ada.love", "zzzzzzzzzz"])
def test_a_weak_password_is_refused(password):
    with pytest.raises(WeakPassword):
        must_be_strong(password, email="ada.love@example.com")


@pytest.mark.parametrize("password", ["correct horse", "密码密码密码密码密码啊", "a b c d e f"])
def test_length_is_all_that_is_asked_for(password):
    must_be_strong(password, email="ada@example.com")


def test_one_password_typed_on_two_keyboards_is_the_same():
    assert is_right(hash_password("café au lait"), "cafe\u0301 au lait")


def test_nobody_has_no_password():
    assert not is_right(None, "nobody")


def test_a_hash_that_cannot_be_read_fits_nothing():
    assert not is_right("md5:1234", "anything at all")


@pytest.mark.parametrize(
    ("age", "fresh"),
    [
        (timedelta(0), True),
        (timedelta(minutes=14, seconds=59), True),
        (timedelta(minutes=15), False),
        (timedelta(days=29), False),
    ],
)
def test_a_proof_counts_for_fifteen_minutes(age, fresh):
    assert is_fresh(START - age, at=START) is fresh


def test_what_was_never_proven_is_not_fresh():
    assert not is_fresh(None, at=START)


@pytest.mark.parametrize(
    ("is_admin", "has_second_factor", "is_development", "may"),
    [
        (True, True, True, True),
        (True, True, False, True),
        (True, False, True, True),
        (True, False, False, False),
        (False, True, True, False),
        (False, True, False, False),
        (False, False, True, False),
        (False, False, False, False),
    ],
)
def test_staff_need_a_second_factor_in_production(is_admin, has_second_factor, is_development, may):
    given = {"has_second_factor": has_second_factor, "is_development": is_development}

    assert may_act_as_staff(is_admin=is_admin, **given) is may
