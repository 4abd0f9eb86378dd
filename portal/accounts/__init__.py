"""People: sign-up's person, confirmation of the address, passwords, sign-in over session rows, the second
factor, and the proof that risky acts ask for.

Not organisations (orgs), not what a person may do there.
"""
