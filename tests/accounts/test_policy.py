import pytest

from portal.accounts.errors import BadAddress, WeakPassword
from portal.accounts.passwords import hash_password, is_right
from portal.accounts.policy import must_be_strong, normal_address


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
