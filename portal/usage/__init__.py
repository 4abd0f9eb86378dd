"""What the gateways report back: counts of requests and tokens, refusals, and the counters they decide with.

Ingest takes each batch exactly once (`commands`), in rows per minute and hour; jobs pack them when
their hour or day is over, and drop them after 35 and 400 days. `queries` reads rows and packs as one.
No row here points at a sealed one, so that a revocation never waits for ingest.
"""
