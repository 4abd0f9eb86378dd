"""Any history of requests: each step as the table allows, one open per tier, the tier moved by approvals alone."""

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import func, select

from portal.accounts.models import SecondFactor
from portal.core.db import transaction
from portal.core.errors import PortalError
from portal.journal.models import Event
from portal.orgs.models import Org
from portal.tiers.queries import list_assignments
from portal.upgrades import commands
from portal.upgrades.models import UpgradeMessage, UpgradeRequest
from tests.support.machine import PeopledMachine
from tests.upgrades.conftest import EXPECTED, URL

# A model of its own, written down from the issue and not from the product's table.
ALLOWED = {
    "take_up": ({"submitted"}, "in review"),
    "ask_question": ({"in review", "answered"}, "question asked"),
    "answer": ({"question asked"}, "answered"),
    "approve": ({"in review", "question asked", "answered"}, "approved"),
    "decline": ({"in review", "question asked", "answered"}, "declined"),
    "withdraw": ({"submitted", "in review", "question asked", "answered"}, "withdrawn"),
}
CLOSED = {"approved", "declined", "withdrawn"}
WORDS = {"take_up": {}, "ask_question": {"text": "Why?"}, "answer": {"text": "So."}}


class Requests(PeopledMachine):
    """Acme's requests on a real database, beside a model of a few lines."""

    def __init__(self):
        super().__init__()
        self.states: dict[str, str] = {}
        self.tier, self.is_ready, self.acts = "start", False, 0
        self.said: list[bool] = []

    # ---- what may happen ----

    @rule()
    def send(self):
        lawful = self.tier == "start" and self.open_ == []

        sent = self._try(self._send)

        assert bool(sent) is lawful
        if sent:
            self.states[sent] = "submitted"
            self.acts += 1

    def _send(self, session, org):
        asked = commands.Asked(
            tier="scale",
            purpose="Drawn.",
            expected=(EXPECTED,),
            wanted_on=self.clock.at.date(),
            contact="ada",
        )
        return commands.submit_request(
            session, actor=self.cast.ada.actor, org=org, asked=asked, url=URL
        ).id

    @precondition(lambda self: self.states)
    @rule(act=st.sampled_from(sorted(ALLOWED)), which=st.integers(0, 9), blind=st.booleans())
    def act(self, act, which, blind):
        request_id = sorted(self.states)[-1 - which % len(self.states)]
        before, after = ALLOWED[act]
        lawful = self.states[request_id] in before and not (blind and act != "withdraw")
        if act == "approve":
            lawful = lawful and self.is_ready and self.tier == "start"

        assert bool(self._try(self._act, act, request_id, blind=blind)) is lawful

        if lawful:
            self.states[request_id] = after
            self.acts += 1
            self.said += {"ask_question": [True], "answer": [False]}.get(act, [])
            self.tier = "scale" if act == "approve" else self.tier

    def _act(self, session, org, act, request_id, *, blind):
        row = session.get_one(UpgradeRequest, request_id, with_for_update=True)
        values = {} if act == "take_up" else {"url": URL}
        by_staff = act in {"take_up", "ask_question", "approve", "decline"}
        if act != "withdraw":
            values["seen"] = row.steps - 1 if blind else row.steps
        actor = self.cast.root.actor if by_staff else self.cast.ada.actor
        values |= WORDS.get(act, {"reason": "Drawn."})
        getattr(commands, act)(session, actor=actor, org=org, request=row, **values)
        return True

    def _try(self, act, *args, **values):
        try:
            with self.sessions() as session, transaction(session):
                org = session.get_one(Org, self.cast.acme.id, with_for_update=True)
                return act(session, org, *args, **values)
        except PortalError:
            return None

    @precondition(lambda self: not self.is_ready)
    @rule()
    def meet_what_scale_requires(self):
        self.clock.advance(days=30)
        with self.sessions() as session, transaction(session):
            user, at = self.cast.ada.user_id, self.clock.at
            session.add(SecondFactor(user_id=user, secret="x", confirmed_at=at, last_step=0))
        self.is_ready = True

    @rule(hours=st.integers(1, 100))
    def time_passes(self, hours):
        self.clock.advance(hours=hours)

    # ---- what always holds ----

    @property
    def open_(self):
        return [key for key, state in self.states.items() if state not in CLOSED]

    @invariant()
    def the_rows_agree_with_the_model(self):
        with self.sessions() as session:
            rows = list(session.scalars(select(UpgradeRequest)))
            said = list(
                session.scalars(select(UpgradeMessage.is_staff).order_by(UpgradeMessage.id))
            )
        assert {row.id: row.state.value for row in rows} == self.states
        assert len(self.open_) <= 1
        assert said == self.said
        for row in rows:
            assert row.is_open is (row.state.value not in CLOSED)
            assert bool(row.reason) is not row.is_open
            assert row.created_at <= row.moved_at <= self.clock.at
            assert row.closed_at in {None, row.moved_at}

    @invariant()
    def only_an_approval_moves_the_organisation(self):
        with self.sessions() as session:
            kinds = [step.kind.value for step in list_assignments(session, self.cast.acme.id)]
        approved = list(self.states.values()).count("approved")
        assert kinds == ["request"] * approved + ["start"]

    @invariant()
    def each_act_is_in_the_journal_once(self):
        with self.sessions() as session:
            told = session.scalar(select(func.count()).where(Event.tag.startswith("org:upgrade:")))
        assert told == self.acts


@pytest.mark.parametrize(
    ("kind", "examples"),
    [
        ("sqlite", 2),
        pytest.param("sqlite", 15, marks=pytest.mark.long),
        pytest.param("postgresql", 15, marks=pytest.mark.long),
    ],
)
def test_requests_agree_with_their_model(worlds, kind, examples):
    machine = type("Machine", (Requests,), {"worlds": worlds, "database": kind})

    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=25,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
