"""A broken rule is recognised by the name of its constraint, on both databases."""

import pytest
from sqlalchemy.exc import IntegrityError

from portal.accounts.models import User
from portal.core.db import transaction, violates
from portal.orgs.models import Membership, Org, Role


def broken(sessions, *rows) -> IntegrityError:
    with sessions() as session, pytest.raises(IntegrityError) as caught, transaction(session):
        session.add_all(rows)
    return caught.value


def test_a_unique_constraint_is_recognised(sessions, cast):
    error = broken(sessions, Org(id="org_2", slug="acme", name="Another Acme"))

    assert violates(error, "uq_orgs_slug")
    assert not violates(error, "uq_orgs_name")


def test_an_index_over_an_expression_is_recognised(sessions, cast):
    error = broken(sessions, User(id="usr_2", email="ADA@example.com"))

    assert violates(error, "uq_users_email")
    assert not violates(error, "uq_orgs_slug")


def test_a_missing_parent_is_no_unique_rule(sessions, cast):
    error = broken(sessions, Membership(org_id="org_none", user_id="usr_none", role=Role.OWNER))

    assert not violates(error, "uq_orgs_slug")


def test_a_value_outside_a_closed_set_is_refused_by_the_database(sessions, cast):
    """The column's check constraint has the last word, also over SQL written by hand."""
    with sessions() as session, pytest.raises(IntegrityError) as caught:
        session.connection().exec_driver_sql(
            "UPDATE memberships SET role = 'emperor' WHERE role <> 'owner'"
        )

    assert violates(caught.value, "ck_memberships_role")


def test_an_error_does_not_tell_what_was_to_be_written(sessions, cast):
    """It ends in the log, where neither a mailed link nor a password hash may stand."""
    error = broken(sessions, User(id="usr_2", email=cast.ada.email, password_hash="$argon2id$x"))

    assert "$argon2id$x" not in str(error)
