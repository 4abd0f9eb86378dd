"""The feedback board: threads, posts, votes and follows, moderation, decisions and their clocks.

A thread ends with a decision and a reason, or is closed by whoever opened it; nothing else ends one.
Changes do not know threads: this slice looks for what was announced, and puts its hold on a change by
a command of the changelog.
"""
