"""The way to a higher tier: what it requires and how far an organisation is, promotion by itself, requests.

Moving an organisation is the tiers' own act; this slice decides when, and keeps the requests and their messages.
"""
