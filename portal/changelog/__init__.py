"""Changes of the published limits, and the pages on which anyone reads limits and changes.

Here is what a change says: title, reason, catalogue. What it means is in `plimsoll.contract`, that
it is public and signed is `transparency`'s.
"""
