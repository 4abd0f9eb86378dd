"""`make bench`: all of them, one after the other."""

from bench import check, revoke, snapshot

for module in (check, revoke, snapshot):
    module.main()
