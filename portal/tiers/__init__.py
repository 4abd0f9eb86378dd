"""Which tier an organisation holds, and since when and why. What a tier allows is in the public log.

Builds the `org` record for gateways: this is the lowest slice that sees all its parts.
"""
