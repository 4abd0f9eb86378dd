"""The public log: entries, the signer, the signed checkpoint, and the policy that follows from them.

Not what a change says (changelog). Nothing here is believed because it stands in the database:
pages fold only what a checkpoint covers, and the signer signs only what obeys the rule.
"""
