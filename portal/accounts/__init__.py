"""People: sign-up's person, confirmation of the address, passwords, sign-in over session rows.

Not organisations (orgs), not what a person may do there.
"""
