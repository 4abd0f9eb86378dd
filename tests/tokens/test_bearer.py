"""Who is let in to the API, and as whom."""

from datetime import timedelta

from sqlalchemy import update

from portal.accounts.models import User
from portal.core import clock as core_clock
from portal.core.db import transaction, wakeup_of
from portal.orgs.models import Membership, Org, Role
from portal.tokens.commands import revoke_personal_token
from portal.tokens.models import AccessToken
from portal.web.throttle import RATES, ThrottleCount
from tests.support.factories import make_key

ORGS = "/orgs"


def test_a_persons_token_reaches_what_the_person_reaches(call, cast, token_of):
    answer = call("GET", ORGS, token_of(cast.ben, scopes=("keys:read",)))

    (acme,) = answer.json["orgs"]
    assert (acme["slug"], acme["role"], acme["scopes"]) == ("acme", "developer", ["keys:read"])
    assert answer.headers["Cache-Control"] == "private, no-store"
    assert "Set-Cookie" not in answer.headers


def test_an_organisations_token_reaches_that_one(call, cast, token_of_org):
    answer = call("GET", ORGS, token_of_org(cast.acme, role=Role.VIEWER))

    assert [(org["id"], org["role"]) for org in answer.json["orgs"]] == [(cast.acme.id, "viewer")]


def test_without_a_token_nobody_is_let_in(call, client, cast):
    cast.sign_in(client, cast.ada)

    answer = call("GET", ORGS)

    assert (answer.status_code, answer.json["code"]) == (401, "token_missing")
    assert answer.content_type == "application/problem+json"
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="plimsoll"'


NO_TOKENS = [
    "nonsense",
    "plimpat_" + "0" * 36,
    "plim_live_" + "0" * 30 + "000000",
    "plimpat_é",
    "a b",
]


def test_what_is_no_access_token_opens_nothing(call, sessions, cast):
    with sessions() as session, transaction(session):
        key = make_key(session, org=session.get_one(Org, cast.acme.id))

    for text in (*NO_TOKENS, key.secret.text):
        answer = call("GET", ORGS, text)
        assert (answer.status_code, answer.json["code"]) == (401, "token_unknown"), text
        assert 'error="invalid_token"' in answer.headers["WWW-Authenticate"]
        assert text not in answer.get_data(as_text=True)


def test_a_token_ends_at_its_instant(call, cast, token_of, clock):
    token = token_of(cast.ada, expires_at=core_clock.now() + timedelta(seconds=60))
    clock.advance(seconds=59)
    assert call("GET", ORGS, token).status_code == 200

    clock.advance(seconds=1)

    assert call("GET", ORGS, token).json["code"] == "token_expired"


def test_a_revoked_token_is_refused(call, sessions, cast, token_of, stored):
    token = token_of(cast.ada)
    with sessions() as session, transaction(session):
        row = session.get_one(AccessToken, stored()[0].id)
        revoke_personal_token(session, actor=cast.ada.actor, token=row)

    assert call("GET", ORGS, token).json["code"] == "token_revoked"


def test_the_token_of_a_deleted_account_is_refused(call, sessions, cast, token_of):
    token = token_of(cast.ada)
    with sessions() as session, transaction(session):
        session.get_one(User, cast.ada.user_id).deleted_at = core_clock.now()

    assert call("GET", ORGS, token).json["code"] == "token_revoked"


def test_staff_are_nobody_special_with_a_token(call, cast, token_of):
    token = token_of(cast.root)

    assert call("GET", ORGS, token).json == {"orgs": []}
    assert call("GET", "/keys?org=acme", token).status_code == 404


def test_last_use_is_noted_to_five_minutes(call, cast, token_of, stored, clock):
    token = token_of(cast.ada)
    call("GET", ORGS, token)
    first = stored()[0].used_at
    clock.advance(seconds=299)
    call("GET", ORGS, token)
    assert stored()[0].used_at == first

    clock.advance(seconds=1)
    call("GET", ORGS, token)

    assert stored()[0].used_at == first + timedelta(seconds=300)


def test_wrong_tokens_are_counted_by_address(call, cast, token_of, clock):
    for _ in range(RATES["api_token"].times):
        call("GET", ORGS, "nonsense")

    answer = call("GET", ORGS, "nonsense")

    assert (answer.status_code, answer.json["code"]) == (429, "too_many")
    assert 0 < int(answer.headers["Retry-After"]) <= 60
    assert call("GET", ORGS, token_of(cast.ada)).status_code == 200


def test_a_token_calls_only_so_often(call, sessions, cast, token_of, clock):
    token = token_of(cast.ada)
    for _ in range(2):
        assert call("GET", ORGS, token).status_code == 200
    with sessions() as session, transaction(session):
        session.execute(
            update(ThrottleCount)
            .where(ThrottleCount.name == "api")
            .values(count=RATES["api"].times)
        )

    assert call("GET", ORGS, token).status_code == 429
    assert call("GET", ORGS, token_of(cast.ben)).status_code == 200


def test_counting_a_call_wakes_no_job(call, sessions, cast, token_of):
    token, wakeup = token_of(cast.ada), wakeup_of(sessions)
    before = wakeup.count

    call("GET", ORGS, token)

    assert wakeup.count == before


def test_a_person_who_lost_their_role_lost_it_for_their_tokens(call, sessions, cast, token_of):
    token = token_of(cast.ben)
    assert call("GET", "/keys?org=acme", token).status_code == 200
    whose = (Membership.org_id == cast.acme.id, Membership.user_id == cast.ben.user_id)

    with sessions() as session, transaction(session):
        session.execute(update(Membership).where(*whose).values(role=Role.VIEWER))
    assert call("POST", "/keys?org=acme", token, json={"name": "x"}).status_code == 403

    with sessions() as session, transaction(session):
        session.delete(session.get_one(Membership, (cast.acme.id, cast.ben.user_id)))
    assert call("GET", "/keys?org=acme", token).status_code == 404
