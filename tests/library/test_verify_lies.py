"""`plimsoll verify` against portals that do not tell the truth: each lie, and the step that finds it."""

import json
from pathlib import Path

import httpx2
import pytest

from plimsoll.contract import checkpoint
from plimsoll.testing import ManualClock
from plimsoll.verify_state import Keeper, default_folder
from tests.library.liars import (
    AT,
    ORIGIN,
    OTHER_SEED,
    SEED,
    URL,
    Liar,
    Stranger,
    entry,
    first_change,
    opened,
    second_change,
    truth,
)


@pytest.fixture
def liar() -> Liar:
    return Liar([opened(), first_change()])


@pytest.fixture
def stranger(tmp_path) -> Stranger:
    return Stranger(tmp_path / "kept")


def test_the_truth_is_verified(stranger, liar):
    assert len(stranger.look(liar)) == 8
    liar.leaves.append(second_change())
    assert len(stranger.look(liar)) == 8


def test_pages_are_followed_and_only_as_far_as_the_checkpoint_covers(stranger, liar):
    liar.leaves.append(second_change())
    liar.page = 1

    stranger.look(liar)

    entries = [path for path in liar.asked if path.startswith("/log/entries")]
    assert entries == [f"/log/entries?from={seq}&to=3" for seq in range(3)]


@pytest.mark.parametrize("seq", [0, 1])
def test_a_flipped_bit_in_an_entry_is_found(stranger, liar, seq):
    liar.note = liar.sign()
    leaf = bytearray(liar.leaves[seq])
    leaf[leaf.index(b'"at":') + 6] ^= 1
    liar.leaves[seq] = bytes(leaf)

    stranger.refuses(liar, "tree", "do not lead to the checkpoint's root")


def test_a_flipped_bit_in_the_signature_is_found(stranger, liar):
    note = liar.sign()
    liar.note = note[:-10] + ("A" if note[-10] != "A" else "B") + note[-9:]

    stranger.refuses(liar, "signature")


def test_a_dropped_line_is_found(stranger, liar):
    liar.note = liar.sign()
    del liar.leaves[1]

    stranger.refuses(liar, "checkpoint", "covers 2 entries, but 1 came")


@pytest.mark.parametrize(
    "note", ["", "mine", f"{ORIGIN}\n2\n\n— x y\n", f"{ORIGIN}\n-1\nAA==\n\n— x y\n"]
)
def test_what_is_no_note_is_no_checkpoint(stranger, liar, note):
    liar.note = note

    stranger.refuses(liar, "checkpoint")


def test_a_size_beyond_all_reason_is_not_fetched(stranger, liar):
    liar.note = liar.sign().replace("\n2\n", "\n999999999999\n")

    stranger.refuses(liar, "checkpoint", "999999999999")


def test_a_forked_history_is_found(stranger, liar):
    """Both histories are signed by the right key and lawful: only who kept the old one can tell."""
    liar.leaves.append(second_change())
    stranger.look(liar)

    liar.leaves[2] = second_change(quota=2 * 10**7)

    stranger.refuses(liar, "consistency", "a forked history")


def test_a_log_that_became_shorter_is_found(stranger, liar):
    liar.leaves.append(second_change())
    stranger.look(liar)

    liar.leaves.pop()

    stranger.refuses(liar, "consistency", "3 entries were signed last time, now only 2")


def test_a_log_that_another_key_signs_is_found(stranger, liar):
    liar.seed = OTHER_SEED

    stranger.refuses(liar, "signature", "no signature by the log's key")


def test_a_whole_log_under_another_key_is_another_log(stranger, liar):
    """Without anything kept it is trusted at the first time; with a pin, or the second time, not."""
    other = Liar([opened(OTHER_SEED), first_change()], seed=OTHER_SEED)
    pin = checkpoint.fingerprint(checkpoint.public_key_of(SEED))
    stranger.refuses(other, "signature", "not with the pinned one", fingerprint=pin)

    stranger.look(liar)

    stranger.refuses(other, "signature", "this is another log than last time")


def test_an_unlawful_entry_is_found_though_the_right_key_signed_it(stranger, liar):
    """A cut that takes effect at once, without the thirty days promised."""
    liar.leaves.append(second_change(quota=1))

    stranger.refuses(liar, "rules", "entry 2: ")


def test_an_entry_that_is_not_canonical_is_found(stranger, liar):
    liar.leaves.append(second_change().replace(b'{"at":', b'{"at": '))

    stranger.refuses(liar, "rules", "entry 2: ")


def test_an_entry_of_a_newer_kind_is_not_passed_over(stranger, liar):
    liar.leaves.append(entry(2, "change.blessed", {"change": 1}))

    stranger.refuses(liar, "rules", "entry 2: ")


def change_limit(**values):
    def changed(said: dict) -> dict:
        said["limits"][0] |= values
        return said

    return changed


@pytest.mark.parametrize(
    ("lie", "text"),
    [
        (change_limit(quota=7), "quota is"),
        (change_limit(burst=7), "burst is"),
        (change_limit(change=9), "change is 1 by the log, 9"),
        (change_limit(change=True), "change is 1 by the log, True"),
        (change_limit(valid_from="2026-11-02T11:00:00Z"), "valid_from is"),
        (change_limit(valid_to="2027-01-01T00:00:00Z"), "valid_to is None by the log"),
        (change_limit(unit="hour"), "unit is"),
        (lambda said: said | {"limits": said["limits"][1:]}, "is missing"),
        (lambda said: said | {"limits": [*said["limits"], said["limits"][0]]}, "stands twice"),
        (lambda said: said | {"limits": None}, "no list of limits"),
        (lambda said: said | {"offers": said["offers"][1:]}, "offers are not those of the log"),
        (lambda said: said | {"tiers": said["tiers"][1:]}, "tiers are not those of the log"),
        (lambda said: said | {"models": []}, "models are not those of the log"),
        (lambda said: said | {"counting": {}}, "counting are not those of the log"),
        (lambda said: said | {"format": 2}, "not of format 1"),
        (lambda said: [said], "not of format 1"),
    ],
)
def test_a_document_that_differs_from_the_log_is_found(stranger, liar, lie, text):
    liar.document = lie

    stranger.refuses(liar, "limits", text)


def test_a_document_that_is_no_json_is_found(stranger, liar):
    liar.answers["/limits.json"] = httpx2.Response(200, text="<h1>Limits</h1>")

    stranger.refuses(liar, "limits", "cannot be read as JSON")


def test_a_field_that_this_version_does_not_know_is_no_lie(stranger, liar):
    liar.document = lambda said: said | {"generated_by": "a newer version"}

    assert len(stranger.look(liar)) == 8


# ---- time ----


def around_the_step(liar: Liar) -> tuple[dict, dict]:
    """The true documents just before and just after the second change takes effect."""
    after, before = truth(liar.leaves), truth(liar.leaves[:2])
    raised = next(each for each in after["limits"] if each["change"] == 2)
    same = next(each for each in before["limits"] if each["name"] == raised["name"])
    same["valid_to"] = raised["valid_from"]
    return before, after


@pytest.mark.parametrize("seconds", [-2, 0, 2])
def test_a_step_that_takes_effect_between_the_fetches_is_no_failure(stranger, liar, seconds):
    """The document was made just before or just after the instant; the log allows both."""
    step = AT + 3600
    liar.leaves.append(second_change(effective_at=step))
    stranger.clock = ManualClock(step + seconds)

    for said in around_the_step(liar):
        liar.document = lambda _, said=said: said
        assert len(stranger.look(liar)) == 8


def test_long_after_the_instant_the_old_document_is_a_lie(stranger, liar):
    liar.leaves.append(second_change(effective_at=AT + 3600))
    before, _ = around_the_step(liar)
    liar.document = lambda _: before
    stranger.clock = ManualClock(AT + 3600 + 10)

    stranger.refuses(liar, "limits")


def test_what_is_published_meanwhile_is_fetched_too(stranger, liar):
    """The checkpoint grows after the entries were fetched: document and log must be of one state."""

    def publish(said: dict) -> dict:
        if len(liar.leaves) == 2:
            liar.leaves.append(second_change())
            return truth(liar.leaves)
        return said

    liar.document = publish

    assert len(stranger.look(liar)) == 8
    assert liar.asked[-3:] == ["/log/entries?from=2&to=3", "/limits.json", "/log/checkpoint"]


def test_a_log_that_never_stands_still_is_given_up(stranger, liar):
    def publish(said: dict) -> dict:
        seq = len(liar.leaves)
        liar.leaves.append(entry(seq, "change.amended", {"change": 1}))
        return said

    liar.document = publish

    stranger.refuses(liar, "connection", "the log changed during each of 5 attempts")


# ---- the network ----


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (httpx2.Response(503), "answers 503"),
        (httpx2.Response(302, headers={"Location": "https://elsewhere.example/"}), "answers 302"),
        (httpx2.Response(200, content=b"x" * 70_000), "sends more than"),
    ],
)
def test_an_answer_that_is_of_no_use_fails_at_the_connection(stranger, liar, answer, text):
    liar.answers["/log/checkpoint"] = answer

    stranger.refuses(liar, "connection", text)


def test_the_next_page_is_never_elsewhere(stranger, liar):
    link = {"Link": '<https://elsewhere.example/log/entries?from=1>; rel="next"'}
    lines = liar.leaves[0] + b"\n"
    liar.answers["/log/entries"] = httpx2.Response(200, content=lines, headers=link)

    stranger.refuses(liar, "connection", "said to be elsewhere")


def test_a_page_that_leads_back_to_itself_ends(stranger, liar):
    link = {"Link": '</log/entries?from=0>; rel="next"'}
    lines = liar.leaves[0] + b"\n"
    liar.answers["/log/entries"] = httpx2.Response(200, content=lines * 3, headers=link)

    stranger.refuses(liar, "checkpoint", "more entries came than the 2")


# ---- what is kept ----


def test_what_is_kept_is_for_its_owner_and_named_after_the_address(stranger, liar):
    stranger.look(liar)

    (path,) = stranger.keep_in.iterdir()
    assert path.name == "portal.example.json"
    assert path.stat().st_mode & 0o777 == 0o600
    assert json.loads(path.read_text())["origin"] == ORIGIN


def test_a_kept_file_that_cannot_be_read_is_not_trusted_over(stranger, liar):
    stranger.look(liar)
    Keeper(stranger.keep_in, URL).path.write_text("no json")

    stranger.refuses(liar, "signature", "cannot be read")


def test_a_kept_checkpoint_that_was_altered_is_found(stranger, liar):
    stranger.look(liar)
    path = Keeper(stranger.keep_in, URL).path
    path.write_text(path.read_text().replace("\\n2\\n", "\\n1\\n"))

    stranger.refuses(liar, "consistency", "does not verify")


def test_the_folder_is_where_the_specification_says(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))

    assert default_folder({"XDG_STATE_HOME": "/var/x"}) == Path("/var/x/plimsoll")
    assert default_folder({}) == tmp_path / ".local/state/plimsoll"
    assert default_folder({"XDG_STATE_HOME": "not/absolute"}) == tmp_path / ".local/state/plimsoll"
