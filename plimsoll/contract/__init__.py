"""What limits, the log and the sync records mean, for the portal and for gateways alike.

Pure functions and values without I/O and without a clock: time is always passed in. Portal
pages, gateways and `plimsoll verify` use these modules and nothing else, so they cannot disagree.
"""
