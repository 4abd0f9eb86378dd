"""Nothing in the product decides or locks a thread without a record: every route, command and job is tried."""

from collections.abc import Iterator

import click
import pytest

from portal.core.jobs import run_all
from portal.feedback.models import Decision, ModerationRecord, State, Thread
from portal.feedback.steps import token_of
from portal.housekeeping import all_jobs
from tests.support.change_files import change_file, in_days

pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)

# What somebody would send who wants an end without saying why.
WISHES = {
    "outcome": "adopted",
    "state": "decided",
    "decision": "adopted",
    "decision_id": "dec_00000000000000000000000000",
    "locks": "y",
    "locked_at": "2026-11-23T00:00",
    "locked_for": "mod_00000000000000000000000000",
    "act": "lock",
    "choice": "lock",
    "text": "So it is.",
    "title": "Decided",
    "reason": "",
}
# Whoever walks deletes their account by it, and would be an outsider on the rest of the way.
GONE_AFTER = {"leaving.delete_account"}
# What would run for ever, or take the database away; `jobs run` makes the same passes as `jobs work`.
NOT_RUN = {"run", "shell", "routes", "jobs work", "db rollback", "db downgrade"}


@pytest.fixture
def threads(board, publish):
    """One of each way: of the portal, of a developer, private, and one that is decided."""
    publish(change_file(effective_at=in_days(40)))
    board.work()
    numbers = [1, board.open(), board.open(visibility="private"), board.open()]
    board.reply(2, board.cast.ben)
    board.decide(4)
    return numbers


def standing(board):
    return [
        (each.number, each.state, each.decision_id, each.locked_at, each.closed_at)
        for each in board.rows(Thread)
    ]


def rows_of(app, method: str) -> Iterator[tuple[str, set[str]]]:
    for rule in app.url_map.iter_rules():
        if method in (rule.methods or ()) and rule.endpoint != "static":
            yield rule.endpoint, rule.arguments


@pytest.fixture
def walk(board, threads, app, client, cast, sign, token):
    """Ask every route for an end, as somebody; the status of each answer."""
    posts = {number: board.posts(number)[-1].id for number in threads}

    def send(endpoint, arguments, number, data):
        values = {"number": number, "post": posts[number], "org": "acme"}
        with app.test_request_context():
            path = app.url_for(endpoint, **{each: values.get(each, "x") for each in arguments})
        asked = {**data, "seen": token_of(board.thread(number))}
        # Refusals as JSON: their pages would cost more than all the rest.
        answer = client.post(path, data=asked, headers={"Accept": "application/json"})
        assert answer.status_code < 500, path
        return answer.status_code

    def walk(name):
        sign(name)
        data, statuses = {**WISHES, "csrf_token": token(), "confirm": "y"}, {}
        with client.session_transaction() as cookie:
            value = cookie["csrf_token"]
        for endpoint, arguments in rows_of(app, "POST"):
            if endpoint in GONE_AFTER:
                continue
            # Some of them end the session; the next is asked by somebody who is signed in again.
            cast.sign_in(client, getattr(cast, name))
            with client.session_transaction() as cookie:
                cookie["csrf_token"] = value
            for number in threads[:2] if "number" in arguments else threads[:1]:
                statuses[endpoint] = send(endpoint, arguments, number, data)
        return statuses

    return walk


def test_no_route_ends_a_thread_without_a_reason(board, threads, walk):
    before = standing(board)

    root, ada = walk("root"), walk("ada")

    after = standing(board)
    # To take up and to review a thread are steps on its way; its author may close it.
    on_the_way = {State.OPEN, State.ACKNOWLEDGED, State.UNDER_REVIEW, State.CLOSED}
    ends = [(was, now) for was, now in zip(before, after, strict=False) if was[1] != now[1]]
    assert all(now[1] in on_the_way for _, now in ends), ends
    assert [(each[2], each[3]) for each in after[:4]] == [(each[2], each[3]) for each in before]
    for endpoint in ("admin_feedback.decide", "moderation.lock_spam"):
        assert (root[endpoint], ada[endpoint]) == (422, 404)
    assert len(board.rows(Decision)) == 1
    assert board.rows(ModerationRecord) == []


def commands_of(group: click.Group, path: str = "") -> Iterator[tuple[str, click.Command]]:
    for name, command in sorted(group.commands.items()):
        here = f"{path} {name}".strip()
        if isinstance(command, click.Group):
            yield from commands_of(command, here)
        elif here not in NOT_RUN:
            yield here, command


def arguments_of(command: click.Command, number: int) -> list[str]:
    """A thread's number wherever something is asked for, which is also a change's."""
    given = []
    for parameter in command.params:
        if isinstance(parameter, click.Argument):
            given.append(str(number))
        elif parameter.required and not getattr(parameter, "is_flag", False):
            given += [parameter.opts[0], "2026-12-24" if "at" in parameter.opts[0] else "Decided."]
    return given


def test_no_command_and_no_job_ends_a_thread(board, threads, app, run, sessions, settings, clock):
    before, ran = standing(board), []

    for name, command in commands_of(app.cli):
        for number in threads[:2]:
            run(*name.split(), *arguments_of(command, number))
        ran.append(name)
    clock.advance(days=100)
    run_all(job for job in all_jobs(sessions, settings) if job.name != "mail")

    assert {"changes hold", "changes withdraw", "jobs run"} <= set(ran)
    assert standing(board) == before
    assert len(board.rows(Decision)) == 1
    assert board.rows(ModerationRecord) == []
