"""`make bench`: all of them, one after the other."""

from bench import check, fold, revoke, snapshot

for module in (check, fold, revoke, snapshot):
    module.main()
