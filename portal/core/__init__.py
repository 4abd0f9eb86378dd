"""The platform without Flask: settings' consumers, database, seal, ids, clock, secrets, errors, outbox, jobs."""
