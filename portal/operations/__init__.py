"""What whoever runs the portal must know: alerts, metrics, backups.

An alert is a row that opens once and closes once; staff are told of both by mail. What there is to find
is looked for in the other slices' tables, by a job; `/metrics` reads the same.
"""
