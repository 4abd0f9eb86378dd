"""`make bench`: all of them, one after the other."""

from bench import assign, check, fold, revoke, snapshot

for module in (check, fold, revoke, assign, snapshot):
    module.main()
