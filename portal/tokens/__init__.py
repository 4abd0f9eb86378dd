"""Access tokens: what lets a program use the portal itself, in the name of a person or of an organisation.

A person's token does at most what the person may do at that moment; an organisation's has a role of its own.
Both are cut by scopes. Beside the pages stands what every address under /api/v1 asks: whose token it is.
"""
