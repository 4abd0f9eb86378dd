"""`make bench`: all of them, one after the other."""

from bench import (
    assign,
    check,
    feedback,
    fold,
    ingest,
    revoke,
    shared,
    snapshot,
    usage_page,
    usage_storage,
)

for module in (
    check,
    shared,
    fold,
    revoke,
    assign,
    snapshot,
    ingest,
    usage_storage,
    usage_page,
    feedback,
):
    module.main()
