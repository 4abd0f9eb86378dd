"""A catalogue is refused with the path of the field that is wrong."""

import copy
from pathlib import Path

import pytest

from plimsoll.contract import canonical
from plimsoll.contract.announcement import Announcement, hash_reason
from plimsoll.contract.catalog import parse_catalog
from plimsoll.contract.limits import InvalidField
from tests.library.contract.samples import CHANGE_ID, body, catalogue, row, tier

SAMPLE = Path(__file__).parents[3] / "examples" / "catalog" / "sample-2026.json"


def test_the_sample_catalogue_is_accepted():
    catalog = parse_catalog(canonical.read(SAMPLE.read_bytes()))

    assert [tier.slug for tier in catalog.tiers] == ["start", "build", "scale"]
    assert (len(catalog.limits), len(catalog.offers)) == (39, 12)


def test_the_announcement_of_a_catalogue_is_read_back_as_it_was_meant():
    catalog = parse_catalog(catalogue())

    announcement = Announcement.parse(body())

    assert announcement.change == 1
    assert {row.after for row in announcement.rows} == set(catalog.limits)
    assert announcement.counting == catalog.counting


def test_the_body_has_the_fields_of_the_specification_and_nothing_of_the_source():
    fields = "change id class title reason_sha256 effective_at expires_at models tiers offers"

    assert set(body()) == {*fields.split(), "counting", "rows"}


def test_the_order_in_the_file_does_not_reach_the_log():
    turned = catalogue()
    for name in ("tiers", "offers", "rows"):
        turned[name].reverse()

    written = parse_catalog(turned).announcement_body(CHANGE_ID, 5, "0" * 64)

    same = parse_catalog(catalogue()).announcement_body(CHANGE_ID, 5, "0" * 64)
    assert canonical.encode(written) == canonical.encode(same)


def test_a_row_with_a_null_quota_publishes_no_limit():
    catalog = parse_catalog(catalogue(rows=[row(quota=None)]))

    assert catalog.limits == ()


def test_names_are_brought_into_nfc_and_trimmed():
    catalog = parse_catalog(catalogue(title="  Cafe\u0301 🙂 "))

    assert catalog.title == "Café 🙂"


def test_the_hash_of_a_reason_does_not_depend_on_line_ends():
    assert hash_reason("a\r\nb\rc\n") == hash_reason("a\nb\nc\n")


OFFER = {"tier": "start", "model": "sonnet-5"}
REFUSALS = [
    ({"format": 2}, "format"),
    ({"format": True}, "format"),
    ({"announced_at": 5}, "announced_at"),
    ({"source": 5}, "source"),
    ({"title": 5}, "title"),
    ({"title": ""}, "title"),
    ({"title": "a\nb"}, "title"),
    ({"title": "a\u202eb"}, "title"),
    ({"title": "\ud800"}, "title"),
    ({"title": "a" * 201}, "title"),
    ({"reason": " \n"}, "reason"),
    ({"reason": None}, "reason"),
    ({"reason": "a\x00"}, "reason"),
    ({"models": {}}, "models"),
    ({"models": ["sonnet-5"]}, "models[0]"),
    ({"models": [{"slug": "Sonnet", "name": "S"}]}, "models[0].slug"),
    ({"models": [{"slug": "sonnet-5", "name": "S"}] * 2}, "models[1].slug"),
    ({"tiers": [tier("start"), tier("build", rank=1)]}, "tiers[1].rank"),
    ({"tiers": [tier("start"), tier("start", rank=2)]}, "tiers[1].slug"),
    ({"tiers": [tier("start", rank=True)]}, "tiers[0].rank"),
    ({"tiers": [tier("start", entry="lottery")]}, "tiers[0].entry"),
    ({"tiers": [tier("start", entry=["automatic"])]}, "tiers[0].entry"),
    ({"tiers": [tier("start", keys_max=-1)]}, "tiers[0].keys_max"),
    ({"tiers": [tier("start", colour="red")]}, "tiers[0].colour"),
    ({"tiers": [tier("start", requirements=[])]}, "tiers[0].requirements"),
    ({"tiers": [tier("start", requirements={"height": 1})]}, "tiers[0].requirements.height"),
    (
        {"tiers": [tier("start", requirements={"email_confirmed": 1})]},
        "tiers[0].requirements.email_confirmed",
    ),
    (
        {"tiers": [tier("start", requirements={"active_days": True})]},
        "tiers[0].requirements.active_days",
    ),
    ({"offers": [{"tier": "gold", "model": "sonnet-5"}]}, "offers[0].tier"),
    ({"offers": [{"tier": "start", "model": "gpt"}]}, "offers[0].model"),
    ({"offers": [{"tier": "start", "model": "*"}]}, "offers[0].model"),
    ({"offers": [OFFER] * 2}, "offers[1]"),
    ({"offers": [{"tier": "start", "model": "sonnet-5", "offered": 1}]}, "offers[0].offered"),
    (
        {"offers": [{"tier": "start", "model": "sonnet-5", "offered": False}]},
        "offers[0].replacement",
    ),
    (
        {"offers": [OFFER | {"replacement": {"tier": "build", "model": "m"}}]},
        "offers[0].replacement",
    ),
    ({"counting": {"reserve": {}}}, "counting.texts"),
    ({"counting": {"reserve": {}, "texts": {"wishes": "no"}}}, "counting.texts.wishes"),
    ({"counting": {"reserve": {"gold": {}}, "texts": {}}}, "counting.reserve.gold"),
    (
        {"counting": {"reserve": {"start": {"requests": 1}}, "texts": {}}},
        "counting.reserve.start.requests",
    ),
    (
        {"counting": {"reserve": {"start": {"output_tokens": -1}}, "texts": {}}},
        "counting.reserve.start.output_tokens",
    ),
    ({"rows": None}, "rows"),
    ({"rows": [5]}, "rows[0]"),
    ({"rows": [row(), row(quota=5)]}, "rows[1]"),
    ({"rows": [row(), row(quota=None)]}, "rows[1]"),
    ({"rows": [row(), row(kind="window")]}, "rows[1].kind"),
    ({"rows": [row(), row(model="gpt")]}, "rows[1].model"),
    ({"rows": [row(), row(tier="gold")]}, "rows[1].tier"),
    ({"rows": [row(), row(period=3600, quota=-5)]}, "rows[1].quota"),
    ({"rows": [row(), row(period=3600, soft=True)]}, "rows[1].soft"),
]


@pytest.mark.parametrize(("fields", "path"), REFUSALS, ids=[path for _, path in REFUSALS])
def test_a_catalogue_is_refused_with_the_path_of_its_field(fields, path):
    with pytest.raises(InvalidField) as refused:
        parse_catalog(catalogue(**fields))

    assert refused.value.path == path


def test_an_offer_cannot_be_withdrawn_before_there_is_one():
    replacement = {"tier": "build", "model": "sonnet-5"}
    withdrawn = {"tier": "start", "model": "sonnet-5", "offered": False}

    with pytest.raises(InvalidField, match="nothing is offered yet"):
        parse_catalog(catalogue(offers=[{**withdrawn, "replacement": replacement}]))


def test_without_a_tier_of_automatic_entry_nobody_could_begin():
    closed = catalogue(
        tiers=[tier("start", entry="request"), tier("build", rank=2, entry="contact")]
    )

    with pytest.raises(InvalidField, match="automatic"):
        parse_catalog(closed)


def test_an_automatic_tier_that_offers_nothing_is_no_place_to_begin():
    empty = catalogue(offers=[{"tier": "build", "model": "sonnet-5"}])

    with pytest.raises(InvalidField, match="offers a model"):
        parse_catalog(empty)


@pytest.mark.parametrize("name", sorted(catalogue().keys() - {"source"}))
def test_a_missing_field_is_named(name):
    spoiled = copy.deepcopy(catalogue())
    del spoiled[name]

    with pytest.raises(InvalidField, match=f"{name}: is missing"):
        parse_catalog(spoiled)
