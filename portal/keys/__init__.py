"""API keys of an organisation: names, secrets (only digests), scope, state, expiry.

Not limits (tiers and the log), not counters (gateways), not delivery to gateways (sync).
"""
