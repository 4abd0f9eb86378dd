"""The provider's staff on the same commands: organisations, tiers, suspension, gateways.

No models and no rules of its own. To everyone else nothing here exists.
"""
