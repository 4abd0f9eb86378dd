"""Pages that show several slices: sign-up, the dashboard, the docs, health, the development mail box.

No models and no rules of its own.
"""
