"""The journal: who did what to which thing, when and from where.

Every command leaves one event, in the same transaction as what it did. Events are never changed or deleted.
"""
