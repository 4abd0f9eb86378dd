"""Organisations: name and slug, members and their roles, the permission table, suspension.

Not tiers, not keys. Invitations and changes of members come with their own issue.
"""
