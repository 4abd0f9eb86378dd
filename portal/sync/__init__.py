"""Gateways and their credentials, the sync API that carries the state to them, receipts and status (SYNC.md)."""
