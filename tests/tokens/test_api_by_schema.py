"""The API as its own document describes it, called with what the document allows and what it forbids."""

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, assume, given, settings
from schemathesis import GenerationMode
from schemathesis.config import SchemathesisConfig
from sqlalchemy import func, select

from portal.core.db import transaction
from portal.keys.models import ApiKey
from portal.orgs.models import Org
from tests.support.factories import make_key

EXAMPLES = 40
DOCUMENT = "/api/v1/openapi.json"
# What a schema cannot say: an end that is past, a name that is taken, a network that is none.
BEYOND_SCHEMA = ["2xx", "404", "409", "422"]
MODES = {"allowed": GenerationMode.POSITIVE, "forbidden": GenerationMode.NEGATIVE}

pytestmark = [
    pytest.mark.long,
    pytest.mark.parametrize("database", ["sqlite"], indirect=True),
    pytest.mark.usefixtures("cast"),
]


@pytest.fixture
def keys(sessions, cast) -> list[str]:
    with sessions() as session, transaction(session):
        org = session.get_one(Org, cast.acme.id)
        return [make_key(session, org=org).key.id for _ in range(20)]


@pytest.fixture
def schema(app, client, keys, mode):
    """The document, which is told here what there is to be named: what is made up names nothing."""
    said = client.get(DOCUMENT).json
    for item in said["paths"].values():
        for operation in item.values():
            for parameter in operation["parameters"]:
                if parameter["name"] in {"key", "org"}:
                    named = keys if parameter["name"] == "key" else ["acme"]
                    parameter |= {"required": True, "schema": {"enum": named}}
    if mode == "forbidden":
        said[
            "security"
        ] = []  # what is wrong with a token is tried elsewhere; here each call has a good one
    checks = {
        "positive_data_acceptance": {"expected-statuses": BEYOND_SCHEMA},
        "negative_data_rejection": {"expected-statuses": ["400", "404", "415", "422"]},
    }
    config = SchemathesisConfig.from_dict({"checks": checks})
    found = schemathesis.openapi.from_dict(said, config=config)
    found.app = app
    return found.exclude(path="/api/v1/me/limits")  # it asks for a key, and has tests of its own


@pytest.mark.parametrize("mode", MODES)
def test_no_call_is_answered_otherwise_than_described(
    clock, schema, sessions, cast, token_of, keys, mode
):
    seen = set()
    for result in schema.get_all_operations():
        operation = result.ok()
        if mode == "allowed" or operation.query or operation.path_parameters or operation.body:
            try_out(operation, MODES[mode], clock=clock, token=token_of(cast.ada), seen=seen)

    wanted = {200, 201} if mode == "allowed" else {404, 422}
    assert wanted <= seen
    with sessions() as session:
        count = session.scalar(select(func.count()).select_from(ApiKey))
    assert (count > len(keys)) is (mode == "allowed")


def try_out(operation, mode, *, clock, token, seen):
    def call(case):
        # Not written as %23, it would cut the address, which then is another operation's.
        assume("#" not in str(case.path_parameters.get("key")))
        clock.advance(minutes=1)  # or the throttles, rightly, would be all that is seen
        response = case.call_and_validate(headers={"Authorization": f"Bearer {token}"})
        seen.add(response.status_code)

    cases = given(operation.as_strategy(generation_mode=mode))
    settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )(cases(call))()
