import pytest

from portal.core.errors import Forbidden
from portal.orgs.errors import BadSlug
from portal.orgs.models import Role
from portal.orgs.policy import (
    ALLOWED,
    SLUG_MAX,
    Permission,
    may,
    must_be_allowed,
    must_be_slug,
    must_reach,
    roles_given_by,
    slug_from,
)
from portal.orgs.words import in_words


def test_every_role_has_its_line_in_the_table():
    assert set(ALLOWED) == set(Role)


@pytest.mark.parametrize("role", [Role.OWNER, Role.MANAGER, Role.DEVELOPER])
def test_who_works_with_keys_may_issue_and_revoke(role):
    assert may(role, Permission.ISSUE_KEY)
    assert may(role, Permission.REVOKE_KEY)


def test_a_viewer_sees_and_does_not_act():
    assert {each for each in Permission if may(Role.VIEWER, each)} == {
        Permission.SEE_ORG,
        Permission.SEE_KEYS,
        Permission.SEE_USAGE,
    }
    with pytest.raises(Forbidden) as refused:
        must_be_allowed(Role.VIEWER, Permission.ISSUE_KEY)
    assert "viewer" in refused.value.public


def test_only_owners_give_an_organisation_away():
    assert {role for role in Role if may(role, Permission.HAND_OVER)} == {Role.OWNER}


def test_an_owners_role_is_in_the_gift_of_owners_alone():
    assert roles_given_by(Role.OWNER) == tuple(Role)
    assert Role.OWNER not in roles_given_by(Role.MANAGER)
    must_reach(Role.MANAGER, Role.MANAGER, Role.VIEWER)
    with pytest.raises(Forbidden):
        must_reach(Role.MANAGER, Role.VIEWER, Role.OWNER)


@pytest.mark.parametrize("permission", Permission)
def test_every_permission_is_said_in_words(permission):
    assert "_" not in in_words(permission)


@pytest.mark.parametrize("slug", ["a", "acme", "acme-weather-2", "a" * 50])
def test_what_can_stand_in_an_address_is_a_slug(slug):
    must_be_slug(slug)


@pytest.mark.parametrize(
    "slug", ["", "Acme", "-a", "a-", "a/b", "a b", "новый", "a\n", "new", "org", "a" * 51]
)
def test_anything_else_is_none(slug):
    with pytest.raises(BadSlug):
        must_be_slug(slug)


@pytest.mark.parametrize(
    ("name", "slug"),
    [
        ("Acme Weather", "acme-weather"),
        ("Žofie & Co", "zofie-co"),
        ("  --  ", "org"),
        ("⚓️", "org"),
        ("日本", "org"),
        ("../../etc/passwd", "etc-passwd"),
        ("x" * 80, "x" * SLUG_MAX),
        ("a" * 39 + " b", "a" * 39),
    ],
)
def test_a_name_becomes_an_address(name, slug):
    assert slug_from(name) == slug
