"""Small catalogues and logs to build on: each call gives fresh values that a test may spoil."""

import base64
from typing import Any

from plimsoll.contract.announcement import hash_reason
from plimsoll.contract.catalog import parse_catalog
from plimsoll.contract.rules import DEFAULT_NOTICE

CHANGE_ID = "chg_" + "0" * 26
OPENED_AT = 1_795_000_000
EFFECTIVE_AT = OPENED_AT + 100


def row(**fields: Any) -> dict[str, Any]:
    return {
        "tier": "start",
        "model": "sonnet-5",
        "metric": "requests",
        "kind": "bucket",
        "period": 60,
        "quota": 1000,
        **fields,
    }


def tier(slug: str, **fields: Any) -> dict[str, Any]:
    return {
        "slug": slug,
        "name": slug.title(),
        "rank": 1,
        "entry": "automatic",
        "description": "Where you begin.",
        "requirements": {"email_confirmed": True},
        "keys_max": 25,
        **fields,
    }


def catalogue(**fields: Any) -> dict[str, Any]:
    return {
        "format": 1,
        "source": "made up",
        "provider": "Sample AI",
        "title": "Our limits",
        "reason": "The limits this portal opens with.",
        "models": [{"slug": "sonnet-5", "name": "Sonnet 5"}],
        "tiers": [tier("start"), tier("build", rank=2, entry="request")],
        "offers": [
            {"tier": "start", "model": "sonnet-5"},
            {"tier": "build", "model": "sonnet-5"},
        ],
        "counting": {
            "reserve": {"start": {"output_tokens": 4096}},
            "texts": {"requests": "Each admitted request counts one."},
        },
        "rows": [row(), row(model="*", metric="spend_microusd", kind="window", period="month")],
        **fields,
    }


def body(**fields: Any) -> dict[str, Any]:
    catalog = parse_catalog(catalogue())
    written = catalog.announcement_body(CHANGE_ID, EFFECTIVE_AT, hash_reason(catalog.reason))
    return {**written, **fields}


def opened(**fields: Any) -> dict[str, Any]:
    return {
        "at": OPENED_AT,
        "seq": 0,
        "kind": "log.opened",
        "body": {
            "origin": "127.0.0.1:5000/log",
            "public_key": base64.b64encode(bytes(32)).decode(),
            "notice": dict(DEFAULT_NOTICE),
        },
        **fields,
    }


def announced(**fields: Any) -> dict[str, Any]:
    return {"at": EFFECTIVE_AT, "seq": 1, "kind": "change.announced", "body": body(), **fields}
