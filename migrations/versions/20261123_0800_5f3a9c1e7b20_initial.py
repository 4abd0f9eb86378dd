"""The first schema.

Why: nothing is released yet; until then this one step is written anew from the models.
"""

import secrets

import sqlalchemy as sa
from alembic import op

revision = "5f3a9c1e7b20"
down_revision = None
branch_labels = None
depends_on = None

# What SQL itself can keep of the log; copied, since a step must not change with the code.
SQLITE_TRIGGERS = (
    """
    CREATE TRIGGER log_entries_never_change BEFORE UPDATE ON log_entries
    BEGIN SELECT RAISE(ABORT, 'a log entry never changes'); END
    """,
    """
    CREATE TRIGGER log_entries_keep_signed BEFORE DELETE ON log_entries
    WHEN OLD.seq < (SELECT COALESCE(MAX(size), 0) FROM log_checkpoint)
    BEGIN SELECT RAISE(ABORT, 'a signed log entry is never deleted'); END
    """,
    """
    CREATE TRIGGER log_entries_in_order BEFORE INSERT ON log_entries
    WHEN NEW.seq <> (SELECT COALESCE(MAX(seq), -1) + 1 FROM log_entries)
      OR NEW.at < (SELECT COALESCE(MAX(at), 0) FROM log_entries)
    BEGIN SELECT RAISE(ABORT, 'a log entry follows the last one'); END
    """,
    """
    CREATE TRIGGER threads_begin_open BEFORE INSERT ON threads
    WHEN NEW.state <> 'open' OR NEW.locked_at IS NOT NULL
    BEGIN SELECT RAISE(ABORT, 'a thread begins open'); END
    """,
    """
    CREATE TRIGGER threads_decided_by_record BEFORE UPDATE ON threads
    WHEN (NEW.state IN ('decided', 'delivered') OR NEW.decision_id IS NOT NULL)
      AND NOT EXISTS (SELECT 1 FROM decisions WHERE id = NEW.decision_id AND thread_id = NEW.id)
    BEGIN SELECT RAISE(ABORT, 'a thread is decided by a decision'); END
    """,
    """
    CREATE TRIGGER threads_locked_by_record BEFORE UPDATE ON threads
    WHEN NEW.locked_at IS NOT NULL
      AND NOT EXISTS (SELECT 1 FROM decisions WHERE id = NEW.locked_for AND thread_id = NEW.id)
      AND NOT EXISTS (SELECT 1 FROM moderation_records
                      WHERE id = NEW.locked_for AND thread_id = NEW.id AND act = 'lock')
    BEGIN SELECT RAISE(ABORT, 'a thread is locked by a record'); END
    """,
    """
    CREATE TRIGGER decisions_never_change
    BEFORE UPDATE OF id, thread_id, outcome, until_on, reason, weighed, review_on, change,
                     decided_by, decided_at ON decisions
    BEGIN SELECT RAISE(ABORT, 'a decision never changes'); END
    """,
    """
    CREATE TRIGGER decisions_stay BEFORE DELETE ON decisions
    BEGIN SELECT RAISE(ABORT, 'a decision never changes'); END
    """,
    """
    CREATE TRIGGER memberships_keep_an_owner BEFORE UPDATE OF role ON memberships
    WHEN OLD.role = 'owner' AND NEW.role <> 'owner'
      AND NOT EXISTS (SELECT 1 FROM memberships WHERE org_id = OLD.org_id
                      AND role = 'owner' AND user_id <> OLD.user_id)
    BEGIN SELECT RAISE(ABORT, 'an organisation keeps an owner'); END
    """,
    """
    CREATE TRIGGER memberships_leave_an_owner BEFORE DELETE ON memberships
    WHEN OLD.role = 'owner'
      AND NOT EXISTS (SELECT 1 FROM memberships WHERE org_id = OLD.org_id
                      AND role = 'owner' AND user_id <> OLD.user_id)
      AND EXISTS (SELECT 1 FROM memberships WHERE org_id = OLD.org_id
                  AND user_id <> OLD.user_id)
    BEGIN SELECT RAISE(ABORT, 'an organisation keeps an owner'); END
    """,
)
POSTGRESQL_TRIGGERS = (
    """
    CREATE FUNCTION log_entries_guard() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
      IF TG_OP = 'UPDATE' THEN
        RAISE EXCEPTION 'a log entry never changes';
      ELSIF TG_OP = 'DELETE' THEN
        IF OLD.seq < (SELECT COALESCE(MAX(size), 0) FROM log_checkpoint) THEN
          RAISE EXCEPTION 'a signed log entry is never deleted';
        END IF;
        RETURN OLD;
      ELSIF NEW.seq <> (SELECT COALESCE(MAX(seq), -1) + 1 FROM log_entries)
         OR NEW.at < (SELECT COALESCE(MAX(at), 0) FROM log_entries) THEN
        RAISE EXCEPTION 'a log entry follows the last one';
      END IF;
      RETURN NEW;
    END $$
    """,
    """
    CREATE TRIGGER log_entries_guarded BEFORE INSERT OR UPDATE OR DELETE ON log_entries
    FOR EACH ROW EXECUTE FUNCTION log_entries_guard()
    """,
    """
    CREATE FUNCTION threads_guard() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
      IF TG_OP = 'INSERT' THEN
        IF NEW.state <> 'open' OR NEW.locked_at IS NOT NULL THEN
          RAISE EXCEPTION 'a thread begins open';
        END IF;
        RETURN NEW;
      END IF;
      IF (NEW.state IN ('decided', 'delivered') OR NEW.decision_id IS NOT NULL)
         AND NOT EXISTS (SELECT 1 FROM decisions WHERE id = NEW.decision_id AND thread_id = NEW.id)
      THEN
        RAISE EXCEPTION 'a thread is decided by a decision';
      END IF;
      IF NEW.locked_at IS NOT NULL
         AND NOT EXISTS (SELECT 1 FROM decisions WHERE id = NEW.locked_for AND thread_id = NEW.id)
         AND NOT EXISTS (SELECT 1 FROM moderation_records
                         WHERE id = NEW.locked_for AND thread_id = NEW.id AND act = 'lock')
      THEN
        RAISE EXCEPTION 'a thread is locked by a record';
      END IF;
      RETURN NEW;
    END $$
    """,
    """
    CREATE TRIGGER threads_guarded BEFORE INSERT OR UPDATE ON threads
    FOR EACH ROW EXECUTE FUNCTION threads_guard()
    """,
    """
    CREATE FUNCTION decisions_guard() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
      RAISE EXCEPTION 'a decision never changes';
    END $$
    """,
    """
    CREATE TRIGGER decisions_never_change
    BEFORE UPDATE OF id, thread_id, outcome, until_on, reason, weighed, review_on, change,
                     decided_by, decided_at ON decisions
    FOR EACH ROW EXECUTE FUNCTION decisions_guard()
    """,
    """
    CREATE TRIGGER decisions_stay BEFORE DELETE ON decisions
    FOR EACH ROW EXECUTE FUNCTION decisions_guard()
    """,
    """
    CREATE FUNCTION memberships_guard() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
      IF OLD.role = 'owner' AND (TG_OP = 'DELETE' OR NEW.role <> 'owner') THEN
        -- Of two last owners at once the second waits here, and then sees what the first did.
        PERFORM 1 FROM orgs WHERE id = OLD.org_id FOR UPDATE;
        IF NOT EXISTS (SELECT 1 FROM memberships WHERE org_id = OLD.org_id
                       AND role = 'owner' AND user_id <> OLD.user_id)
           AND (TG_OP = 'UPDATE' OR EXISTS (SELECT 1 FROM memberships
                WHERE org_id = OLD.org_id AND user_id <> OLD.user_id))
        THEN
          RAISE EXCEPTION 'an organisation keeps an owner';
        END IF;
      END IF;
      IF TG_OP = 'DELETE' THEN
        RETURN OLD;
      END IF;
      RETURN NEW;
    END $$
    """,
    """
    CREATE TRIGGER memberships_guarded BEFORE UPDATE OR DELETE ON memberships
    FOR EACH ROW EXECUTE FUNCTION memberships_guard()
    """,
)
POSTGRESQL_FUNCTIONS = (
    "log_entries_guard",
    "threads_guard",
    "decisions_guard",
    "memberships_guard",
)
EMPTY_ROOT = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def upgrade() -> None:
    op.create_table(
        "announcements",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("title", sa.String(length=200), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("tiers", sa.JSON(), nullable=False),
        sa.Column("created_by", sa.String(length=40), nullable=True),
        sa.Column("published_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("mailed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("withdrawn_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_announcements")),
    )
    op.create_table(
        "events",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("chain", sa.String(length=40), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("tag", sa.String(length=64), nullable=False),
        sa.Column("actor_id", sa.String(length=40), nullable=True),
        sa.Column("is_staff", sa.Boolean(), nullable=False),
        sa.Column("via", sa.String(length=8), nullable=False),
        sa.Column("org_id", sa.String(length=40), nullable=True),
        sa.Column("subject_id", sa.String(length=40), nullable=True),
        sa.Column("details", sa.JSON(), nullable=False),
        sa.Column("previous", sa.String(length=64), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.Column("actor_name", sa.String(length=320), nullable=False),
        sa.Column("ip", sa.String(length=45), nullable=True),
        sa.Column("personal", sa.JSON(none_as_null=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_events")),
        sa.UniqueConstraint("chain", "seq", name=op.f("uq_events_chain_seq")),
    )
    with op.batch_alter_table("events", schema=None) as batch_op:
        batch_op.create_index("ix_events_actor", ["actor_id"], unique=False)
        batch_op.create_index(
            "ix_events_address",
            ["at"],
            unique=False,
            sqlite_where=sa.text("ip IS NOT NULL"),
            postgresql_where=sa.text("ip IS NOT NULL"),
        )
        batch_op.create_index("ix_events_chain_actor", ["chain", "actor_id", "seq"], unique=False)
        batch_op.create_index("ix_events_subject", ["subject_id"], unique=False)

    op.create_table(
        "feedback_progress",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_feedback_progress")),
    )
    op.create_table(
        "gateways",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("name", sa.String(length=40), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("removed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("acknowledged", sa.BigInteger(), nullable=True),
        sa.Column("health", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("nacks", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_gateways")),
    )
    with op.batch_alter_table("gateways", schema=None) as batch_op:
        batch_op.create_index(
            "uq_gateways_name",
            ["name"],
            unique=True,
            sqlite_where=sa.text("removed_at IS NULL"),
            postgresql_where=sa.text("removed_at IS NULL"),
        )

    op.create_table(
        "journal_heads",
        sa.Column("chain", sa.String(length=40), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("chain", name=op.f("pk_journal_heads")),
    )
    op.create_table(
        "key_last_use",
        sa.Column("key_id", sa.String(length=40), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("gateway", sa.String(length=80), nullable=False),
        sa.PrimaryKeyConstraint("key_id", name=op.f("pk_key_last_use")),
    )
    op.create_table(
        "log_checkpoint",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("root", sa.String(length=64), nullable=False),
        sa.Column("text", sa.Text(), nullable=True),
        sa.Column("signed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("trouble", sa.Text(), nullable=True),
        sa.Column(
            "trouble_kind",
            sa.Enum(
                "behind",
                "refused",
                "key",
                "altered",
                "file",
                name="trouble",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=True,
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_log_checkpoint")),
    )
    op.create_table(
        "log_entries",
        sa.Column(
            "seq",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.String(length=40), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_log_entries")),
    )
    op.create_table(
        "mail_progress",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("reminded_until", sa.BigInteger(), nullable=False),
        sa.Column("delivery_until", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_mail_progress")),
    )
    op.create_table(
        "mails",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("event", sa.String(length=120), nullable=False),
        sa.Column("person", sa.String(length=320), nullable=False),
        sa.Column("channel", sa.String(length=16), nullable=False),
        sa.Column("to", sa.String(length=320), nullable=False),
        sa.Column("subject", sa.String(length=200), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("unsubscribe_url", sa.String(length=500), nullable=True),
        sa.Column("is_bulk", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("next_try_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_mails")),
        sa.UniqueConstraint(
            "event", "person", "channel", name=op.f("uq_mails_event_person_channel")
        ),
    )
    with op.batch_alter_table("mails", schema=None) as batch_op:
        batch_op.create_index(
            "ix_mails_due",
            ["is_bulk", "next_try_at"],
            unique=False,
            sqlite_where=sa.text("sent_at IS NULL"),
            postgresql_where=sa.text("sent_at IS NULL"),
        )

    op.create_table(
        "orgs",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("slug", sa.String(length=60), nullable=False),
        sa.Column("name", sa.String(length=80), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("suspended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("suspended_reason", sa.String(length=500), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_orgs")),
        sa.UniqueConstraint("slug", name=op.f("uq_orgs_slug")),
    )
    with op.batch_alter_table("orgs", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_orgs_created_at"), ["created_at"], unique=False)

    op.create_table(
        "reset_requests",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("email", sa.String(length=320), nullable=False),
        sa.Column("ip", sa.String(length=45), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_reset_requests")),
    )
    op.create_table(
        "sync_commit",
        sa.Column(
            "revision",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("committed_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("revision", name=op.f("pk_sync_commit")),
    )
    op.create_table(
        "sync_head",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("epoch", sa.String(length=32), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("wire_version", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sync_head")),
    )
    op.create_table(
        "sync_record",
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("data", sa.Text(), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("kind", "id", name=op.f("pk_sync_record")),
    )
    with op.batch_alter_table("sync_record", schema=None) as batch_op:
        batch_op.create_index("ix_sync_record_revision", ["revision"], unique=False)

    op.create_table(
        "throttles",
        sa.Column("name", sa.String(length=32), nullable=False),
        sa.Column("subject", sa.String(length=320), nullable=False),
        sa.Column("window", sa.BigInteger(), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("ends_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", "subject", "window", name=op.f("pk_throttles")),
    )
    with op.batch_alter_table("throttles", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_throttles_ends_at"), ["ends_at"], unique=False)

    op.create_table(
        "usage_alert_rules",
        sa.Column("org_id", sa.String(length=40), nullable=False),
        sa.Column("thresholds", sa.JSON(), nullable=False),
        sa.Column("by_mail", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("org_id", name=op.f("pk_usage_alert_rules")),
    )
    op.create_table(
        "usage_counters",
        sa.Column("gateway_id", sa.String(length=40), nullable=False),
        sa.Column("owner", sa.String(length=40), nullable=False),
        sa.Column("name", sa.String(length=160), nullable=False),
        sa.Column("org_id", sa.String(length=40), nullable=False),
        sa.Column("used", sa.BigInteger(), nullable=False),
        sa.Column("quota", sa.BigInteger(), nullable=False),
        sa.Column("full_at", sa.BigInteger(), nullable=True),
        sa.Column("resets_at", sa.BigInteger(), nullable=True),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("is_shared", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("gateway_id", "owner", "name", name=op.f("pk_usage_counters")),
    )
    with op.batch_alter_table("usage_counters", schema=None) as batch_op:
        batch_op.create_index("ix_usage_counters_at", ["at"], unique=False)
        batch_op.create_index("ix_usage_counters_org_id", ["org_id"], unique=False)

    op.create_table(
        "usage_cursors",
        sa.Column("gateway_id", sa.String(length=40), nullable=False),
        sa.Column("boot", sa.BigInteger(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("gateway_id", name=op.f("pk_usage_cursors")),
    )
    op.create_table(
        "usage_days",
        sa.Column("org_id", sa.String(length=40), nullable=False),
        sa.Column("day", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("used_at", sa.BigInteger(), nullable=True),
        sa.Column("requests", sa.BigInteger(), nullable=False),
        sa.Column("refused", sa.BigInteger(), nullable=False),
        sa.Column("input_tokens", sa.BigInteger(), nullable=False),
        sa.Column("output_tokens", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("org_id", "day", name=op.f("pk_usage_days")),
    )
    with op.batch_alter_table("usage_days", schema=None) as batch_op:
        batch_op.create_index("ix_usage_days_day", ["day"], unique=False)
        batch_op.create_index("ix_usage_days_used_at", ["used_at"], unique=False)

    op.create_table(
        "usage_hour_packs",
        sa.Column("org_id", sa.String(length=40), nullable=False),
        sa.Column("key_id", sa.String(length=40), nullable=False),
        sa.Column("model", sa.String(length=64), nullable=False),
        sa.Column("day", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("counts", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint(
            "org_id", "key_id", "model", "day", name=op.f("pk_usage_hour_packs")
        ),
    )
    with op.batch_alter_table("usage_hour_packs", schema=None) as batch_op:
        batch_op.create_index("ix_usage_hour_packs_day", ["day"], unique=False)

    op.create_table(
        "usage_hours",
        sa.Column("org_id", sa.String(length=40), nullable=False),
        sa.Column("key_id", sa.String(length=40), nullable=False),
        sa.Column("model", sa.String(length=64), nullable=False),
        sa.Column("hour", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("requests", sa.BigInteger(), nullable=False),
        sa.Column("refused", sa.BigInteger(), nullable=False),
        sa.Column("input_tokens", sa.BigInteger(), nullable=False),
        sa.Column("output_tokens", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("org_id", "key_id", "model", "hour", name=op.f("pk_usage_hours")),
    )
    with op.batch_alter_table("usage_hours", schema=None) as batch_op:
        batch_op.create_index("ix_usage_hours_hour", ["hour"], unique=False)

    op.create_table(
        "usage_minute_packs",
        sa.Column("org_id", sa.String(length=40), nullable=False),
        sa.Column("model", sa.String(length=64), nullable=False),
        sa.Column("hour", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("counts", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("org_id", "model", "hour", name=op.f("pk_usage_minute_packs")),
    )
    with op.batch_alter_table("usage_minute_packs", schema=None) as batch_op:
        batch_op.create_index("ix_usage_minute_packs_hour", ["hour"], unique=False)

    op.create_table(
        "usage_minutes",
        sa.Column("org_id", sa.String(length=40), nullable=False),
        sa.Column("model", sa.String(length=64), nullable=False),
        sa.Column("minute", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("requests", sa.BigInteger(), nullable=False),
        sa.Column("refused", sa.BigInteger(), nullable=False),
        sa.Column("input_tokens", sa.BigInteger(), nullable=False),
        sa.Column("output_tokens", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("org_id", "model", "minute", name=op.f("pk_usage_minutes")),
    )
    with op.batch_alter_table("usage_minutes", schema=None) as batch_op:
        batch_op.create_index("ix_usage_minutes_minute", ["minute"], unique=False)

    op.create_table(
        "usage_refused_batches",
        sa.Column("gateway_id", sa.String(length=40), nullable=False),
        sa.Column("boot", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("row", sa.Integer(), nullable=True),
        sa.Column("code", sa.String(length=40), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("gateway_id", "boot", "seq", name=op.f("pk_usage_refused_batches")),
    )
    op.create_table(
        "usage_refused_hours",
        sa.Column("org_id", sa.String(length=40), nullable=False),
        sa.Column("key_id", sa.String(length=40), nullable=False),
        sa.Column("name", sa.String(length=160), nullable=False),
        sa.Column("hour", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint(
            "org_id", "key_id", "name", "hour", name=op.f("pk_usage_refused_hours")
        ),
    )
    with op.batch_alter_table("usage_refused_hours", schema=None) as batch_op:
        batch_op.create_index("ix_usage_refused_hours_hour", ["hour"], unique=False)

    op.create_table(
        "usage_warnings",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("org_id", sa.String(length=40), nullable=False),
        sa.Column("name", sa.String(length=160), nullable=False),
        sa.Column("threshold", sa.Integer(), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=False),
        sa.Column("used", sa.BigInteger(), nullable=False),
        sa.Column("quota", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_usage_warnings")),
        sa.UniqueConstraint(
            "org_id",
            "name",
            "threshold",
            "until",
            name=op.f("uq_usage_warnings_org_id_name_threshold_until"),
        ),
    )
    with op.batch_alter_table("usage_warnings", schema=None) as batch_op:
        batch_op.create_index("ix_usage_warnings_at", ["at"], unique=False)

    op.create_table(
        "users",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("email", sa.String(length=320), nullable=False),
        sa.Column("password_hash", sa.String(length=200), nullable=True),
        sa.Column("email_confirmed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("is_admin", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_users")),
    )
    with op.batch_alter_table("users", schema=None) as batch_op:
        batch_op.create_index(
            "ix_users_deleted",
            ["deleted_at"],
            unique=False,
            sqlite_where=sa.text("deleted_at IS NOT NULL"),
            postgresql_where=sa.text("deleted_at IS NOT NULL"),
        )
        batch_op.create_index("uq_users_email", [sa.literal_column("lower(email)")], unique=True)

    op.create_table(
        "access_tokens",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("user_id", sa.String(length=40), nullable=True),
        sa.Column("org_id", sa.String(length=40), nullable=True),
        sa.Column(
            "role",
            sa.Enum(
                "owner",
                "manager",
                "developer",
                "viewer",
                name="role",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=True,
        ),
        sa.Column("name", sa.String(length=80), nullable=False),
        sa.Column("name_folded", sa.String(length=240), nullable=False),
        sa.Column("scopes", sa.JSON(), nullable=False),
        sa.Column("prefix", sa.String(length=40), nullable=False),
        sa.Column("last_four", sa.String(length=4), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("created_by", sa.String(length=40), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revoked_by", sa.String(length=40), nullable=True),
        sa.CheckConstraint(
            "(user_id IS NULL) <> (org_id IS NULL) AND (org_id IS NULL) = (role IS NULL)",
            name=op.f("ck_access_tokens_holder"),
        ),
        sa.ForeignKeyConstraint(
            ["created_by"], ["users.id"], name=op.f("fk_access_tokens_created_by_users")
        ),
        sa.ForeignKeyConstraint(["org_id"], ["orgs.id"], name=op.f("fk_access_tokens_org_id_orgs")),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_access_tokens_user_id_users")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_access_tokens")),
        sa.UniqueConstraint("digest", name=op.f("uq_access_tokens_digest")),
    )
    with op.batch_alter_table("access_tokens", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_access_tokens_org_id"), ["org_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_access_tokens_user_id"), ["user_id"], unique=False)
        batch_op.create_index(
            "uq_access_tokens_org_id_name_folded",
            ["org_id", "name_folded"],
            unique=True,
            sqlite_where=sa.text("revoked_at IS NULL"),
            postgresql_where=sa.text("revoked_at IS NULL"),
        )
        batch_op.create_index(
            "uq_access_tokens_user_id_name_folded",
            ["user_id", "name_folded"],
            unique=True,
            sqlite_where=sa.text("revoked_at IS NULL"),
            postgresql_where=sa.text("revoked_at IS NULL"),
        )

    op.create_table(
        "changelog_reads",
        sa.Column("user_id", sa.String(length=40), nullable=False),
        sa.Column("read_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_changelog_reads_user_id_users")
        ),
        sa.PrimaryKeyConstraint("user_id", name=op.f("pk_changelog_reads")),
    )
    op.create_table(
        "changes",
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("entry_seq", sa.BigInteger(), nullable=False),
        sa.Column("created_by", sa.String(length=40), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["entry_seq"],
            ["log_entries.seq"],
            name=op.f("fk_changes_entry_seq_log_entries"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_changes")),
        sa.UniqueConstraint("entry_seq", name=op.f("uq_changes_entry_seq")),
        sa.UniqueConstraint("id", name=op.f("uq_changes_id")),
    )
    op.create_table(
        "email_changes",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("user_id", sa.String(length=40), nullable=False),
        sa.Column("email", sa.String(length=320), nullable=False),
        sa.Column("old_digest", sa.String(length=64), nullable=True),
        sa.Column("new_digest", sa.String(length=64), nullable=False),
        sa.Column("old_confirmed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("new_confirmed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_email_changes_user_id_users")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_email_changes")),
        sa.UniqueConstraint("new_digest", name=op.f("uq_email_changes_new_digest")),
        sa.UniqueConstraint("old_digest", name=op.f("uq_email_changes_old_digest")),
    )
    with op.batch_alter_table("email_changes", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_email_changes_user_id"), ["user_id"], unique=False)

    op.create_table(
        "gateway_tokens",
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("gateway_id", sa.String(length=40), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["gateway_id"], ["gateways.id"], name=op.f("fk_gateway_tokens_gateway_id_gateways")
        ),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_gateway_tokens")),
    )
    with op.batch_alter_table("gateway_tokens", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_gateway_tokens_gateway_id"), ["gateway_id"], unique=False
        )

    op.create_table(
        "grants",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("org_id", sa.String(length=40), nullable=False),
        sa.Column("model", sa.String(length=40), nullable=False),
        sa.Column("metric", sa.String(length=32), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("period", sa.String(length=10), nullable=True),
        sa.Column("quota", sa.BigInteger(), nullable=False),
        sa.Column("burst", sa.BigInteger(), nullable=True),
        sa.Column("starts_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("reason", sa.String(length=500), nullable=False),
        sa.Column("created_by", sa.String(length=40), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("remind_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_by", sa.String(length=40), nullable=True),
        sa.Column("ended_reason", sa.String(length=500), nullable=True),
        sa.CheckConstraint("quota > 0", name=op.f("ck_grants_raises")),
        sa.CheckConstraint("starts_at < ends_at", name=op.f("ck_grants_ends_after_its_start")),
        sa.ForeignKeyConstraint(["org_id"], ["orgs.id"], name=op.f("fk_grants_org_id_orgs")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_grants")),
    )
    with op.batch_alter_table("grants", schema=None) as batch_op:
        batch_op.create_index("ix_grants_ended_at_ends_at", ["ended_at", "ends_at"], unique=False)
        batch_op.create_index(batch_op.f("ix_grants_org_id"), ["org_id"], unique=False)

    op.create_table(
        "half_sign_ins",
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("user_id", sa.String(length=40), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_half_sign_ins_user_id_users")
        ),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_half_sign_ins")),
    )
    with op.batch_alter_table("half_sign_ins", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_half_sign_ins_user_id"), ["user_id"], unique=False)

    op.create_table(
        "invitations",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("org_id", sa.String(length=40), nullable=False),
        sa.Column("email", sa.String(length=320), nullable=False),
        sa.Column(
            "role",
            sa.Enum(
                "owner",
                "manager",
                "developer",
                "viewer",
                name="role",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("sent_by", sa.String(length=40), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("accepted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("accepted_by", sa.String(length=40), nullable=True),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["accepted_by"], ["users.id"], name=op.f("fk_invitations_accepted_by_users")
        ),
        sa.ForeignKeyConstraint(["org_id"], ["orgs.id"], name=op.f("fk_invitations_org_id_orgs")),
        sa.ForeignKeyConstraint(
            ["sent_by"], ["users.id"], name=op.f("fk_invitations_sent_by_users")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_invitations")),
        sa.UniqueConstraint("digest", name=op.f("uq_invitations_digest")),
    )
    with op.batch_alter_table("invitations", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_invitations_sent_by"), ["sent_by"], unique=False)
        batch_op.create_index(
            "uq_invitations_open",
            ["org_id", sa.literal_column("lower(email)")],
            unique=True,
            sqlite_where=sa.text("accepted_at IS NULL AND revoked_at IS NULL"),
            postgresql_where=sa.text("accepted_at IS NULL AND revoked_at IS NULL"),
        )

    op.create_table(
        "key_rules",
        sa.Column("org_id", sa.String(length=40), nullable=False),
        sa.Column("max_days", sa.Integer(), nullable=True),
        sa.Column("expiry_required", sa.Boolean(), nullable=False),
        sa.Column(
            "issuers",
            sa.Enum(
                "owner",
                "manager",
                "developer",
                "viewer",
                name="role",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("pause_leaked", sa.Boolean(), nullable=False),
        sa.CheckConstraint("max_days BETWEEN 1 AND 3660", name=op.f("ck_key_rules_max_days")),
        sa.ForeignKeyConstraint(["org_id"], ["orgs.id"], name=op.f("fk_key_rules_org_id_orgs")),
        sa.PrimaryKeyConstraint("org_id", name=op.f("pk_key_rules")),
    )
    op.create_table(
        "known_devices",
        sa.Column("user_id", sa.String(length=40), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_known_devices_user_id_users")
        ),
        sa.PrimaryKeyConstraint("user_id", "digest", name=op.f("pk_known_devices")),
    )
    op.create_table(
        "mail_links",
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("user_id", sa.String(length=40), nullable=False),
        sa.Column(
            "purpose",
            sa.Enum(
                "confirm_email",
                "set_password",
                "reset_password",
                name="linkpurpose",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("browser", sa.String(length=64), nullable=True),
        sa.Column("password_hash", sa.String(length=200), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_mail_links_user_id_users")
        ),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_mail_links")),
    )
    with op.batch_alter_table("mail_links", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_mail_links_user_id"), ["user_id"], unique=False)

    op.create_table(
        "memberships",
        sa.Column("org_id", sa.String(length=40), nullable=False),
        sa.Column("user_id", sa.String(length=40), nullable=False),
        sa.Column(
            "role",
            sa.Enum(
                "owner",
                "manager",
                "developer",
                "viewer",
                name="role",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["org_id"], ["orgs.id"], name=op.f("fk_memberships_org_id_orgs")),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_memberships_user_id_users")
        ),
        sa.PrimaryKeyConstraint("org_id", "user_id", name=op.f("pk_memberships")),
    )
    with op.batch_alter_table("memberships", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_memberships_user_id"), ["user_id"], unique=False)

    op.create_table(
        "notice_words",
        sa.Column("entry_seq", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["entry_seq"],
            ["log_entries.seq"],
            name=op.f("fk_notice_words_entry_seq_log_entries"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("entry_seq", name=op.f("pk_notice_words")),
    )
    op.create_table(
        "org_slugs",
        sa.Column("org_id", sa.String(length=40), nullable=False),
        sa.Column("slug", sa.String(length=60), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["org_id"], ["orgs.id"], name=op.f("fk_org_slugs_org_id_orgs")),
        sa.PrimaryKeyConstraint("org_id", "slug", name=op.f("pk_org_slugs")),
        sa.UniqueConstraint("slug", name=op.f("uq_org_slugs_slug")),
    )
    op.create_table(
        "recovery_codes",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("user_id", sa.String(length=40), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_recovery_codes_user_id_users")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_recovery_codes")),
        sa.UniqueConstraint("user_id", "digest", name=op.f("uq_recovery_codes_user_id_digest")),
    )
    op.create_table(
        "second_factors",
        sa.Column("user_id", sa.String(length=40), nullable=False),
        sa.Column("secret", sa.String(length=200), nullable=False),
        sa.Column("confirmed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_step", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_second_factors_user_id_users")
        ),
        sa.PrimaryKeyConstraint("user_id", name=op.f("pk_second_factors")),
    )
    op.create_table(
        "subscriptions",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("user_id", sa.String(length=40), nullable=False),
        sa.Column("tier", sa.String(length=40), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_subscriptions_user_id_users")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_subscriptions")),
    )
    with op.batch_alter_table("subscriptions", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_subscriptions_user_id"), ["user_id"], unique=False)
        batch_op.create_index(
            "uq_subscriptions_user_tier",
            ["user_id", sa.literal_column("coalesce(tier, '')")],
            unique=True,
            sqlite_where=sa.text("ended_at IS NULL"),
            postgresql_where=sa.text("ended_at IS NULL"),
        )

    op.create_table(
        "sync_ack",
        sa.Column("gateway_id", sa.String(length=40), nullable=False),
        sa.Column("revision", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["gateway_id"], ["gateways.id"], name=op.f("fk_sync_ack_gateway_id_gateways")
        ),
        sa.PrimaryKeyConstraint("gateway_id", "revision", name=op.f("pk_sync_ack")),
    )
    op.create_table(
        "threads",
        sa.Column("number", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column(
            "kind",
            sa.Enum(
                "question",
                "problem",
                "request",
                "reply",
                name="kind",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("title", sa.String(length=120), nullable=False),
        sa.Column(
            "category",
            sa.Enum(
                "limits",
                "models",
                "keys",
                "gateways",
                "portal",
                "docs",
                "other",
                name="category",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("author_id", sa.String(length=40), nullable=True),
        sa.Column("org_id", sa.String(length=40), nullable=True),
        sa.Column(
            "visibility",
            sa.Enum(
                "public",
                "private",
                name="visibility",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("change", sa.Integer(), nullable=True),
        sa.Column("tier", sa.String(length=40), nullable=True),
        sa.Column("model", sa.String(length=64), nullable=True),
        sa.Column(
            "state",
            sa.Enum(
                "open",
                "acknowledged",
                "under_review",
                "decided",
                "delivered",
                "closed",
                name="state",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("answer_due_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("decision_due_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("first_answer_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("acknowledged_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("review_started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("decision_id", sa.String(length=40), nullable=True),
        sa.Column("delivered_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("locked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("locked_for", sa.String(length=40), nullable=True),
        sa.Column("hidden_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("active_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("votes", sa.Integer(), nullable=False),
        sa.Column("replies", sa.Integer(), nullable=False),
        sa.CheckConstraint(
            "(state = 'closed') = (closed_at IS NOT NULL)",
            name=op.f("ck_threads_closed_has_instant"),
        ),
        sa.CheckConstraint(
            "state NOT IN ('decided', 'delivered') OR decision_id IS NOT NULL",
            name=op.f("ck_threads_decided_has_decision"),
        ),
        sa.CheckConstraint(
            "visibility = 'public' OR org_id IS NOT NULL", name=op.f("ck_threads_private_has_org")
        ),
        sa.CheckConstraint(
            "(locked_at IS NULL) = (locked_for IS NULL)", name=op.f("ck_threads_lock_has_record")
        ),
        sa.ForeignKeyConstraint(
            ["author_id"], ["users.id"], name=op.f("fk_threads_author_id_users")
        ),
        sa.ForeignKeyConstraint(["org_id"], ["orgs.id"], name=op.f("fk_threads_org_id_orgs")),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_threads")),
        sa.UniqueConstraint("id", name=op.f("uq_threads_id")),
    )
    with op.batch_alter_table("threads", schema=None) as batch_op:
        batch_op.create_index("ix_threads_active_at_number", ["active_at", "number"], unique=False)
        batch_op.create_index("ix_threads_author_id_number", ["author_id", "number"], unique=False)
        batch_op.create_index(
            "ix_threads_category_active_at_number",
            ["category", "active_at", "number"],
            unique=False,
        )
        batch_op.create_index("ix_threads_category_number", ["category", "number"], unique=False)
        batch_op.create_index(
            "ix_threads_category_votes_number", ["category", "votes", "number"], unique=False
        )
        batch_op.create_index("ix_threads_change_number", ["change", "number"], unique=False)
        batch_op.create_index(batch_op.f("ix_threads_created_at"), ["created_at"], unique=False)
        batch_op.create_index("ix_threads_decision_due_at", ["decision_due_at"], unique=False)
        batch_op.create_index(
            "ix_threads_kind_active_at_number", ["kind", "active_at", "number"], unique=False
        )
        batch_op.create_index("ix_threads_kind_number", ["kind", "number"], unique=False)
        batch_op.create_index(
            "ix_threads_kind_votes_number", ["kind", "votes", "number"], unique=False
        )
        batch_op.create_index("ix_threads_org_id_number", ["org_id", "number"], unique=False)
        batch_op.create_index(
            "ix_threads_state_active_at_number", ["state", "active_at", "number"], unique=False
        )
        batch_op.create_index("ix_threads_state_number", ["state", "number"], unique=False)
        batch_op.create_index(
            "ix_threads_state_votes_number", ["state", "votes", "number"], unique=False
        )
        batch_op.create_index("ix_threads_votes_number", ["votes", "number"], unique=False)
        batch_op.create_index(
            "uq_threads_change",
            ["change"],
            unique=True,
            sqlite_where=sa.text("author_id IS NULL AND change IS NOT NULL"),
            postgresql_where=sa.text("author_id IS NULL AND change IS NOT NULL"),
        )

    op.create_table(
        "tier_assignments",
        sa.Column("org_id", sa.String(length=40), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("tier", sa.String(length=40), nullable=False),
        sa.Column(
            "kind",
            sa.Enum(
                "start",
                "manual",
                "automatic",
                "request",
                name="assignmentkind",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("reason", sa.String(length=500), nullable=False),
        sa.Column("assigned_by", sa.String(length=40), nullable=True),
        sa.Column("assigned_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["org_id"], ["orgs.id"], name=op.f("fk_tier_assignments_org_id_orgs")
        ),
        sa.PrimaryKeyConstraint("org_id", "number", name=op.f("pk_tier_assignments")),
    )
    op.create_table(
        "tier_moves",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("org_id", sa.String(length=40), nullable=False),
        sa.Column("tier", sa.String(length=40), nullable=False),
        sa.Column("reason", sa.String(length=500), nullable=False),
        sa.Column("for_abuse", sa.Boolean(), nullable=False),
        sa.Column("effective_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("placed_by", sa.String(length=40), nullable=True),
        sa.Column("placed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("remind_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("cancelled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("cancelled_by", sa.String(length=40), nullable=True),
        sa.Column("cancelled_reason", sa.String(length=500), nullable=True),
        sa.Column("done_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["org_id"], ["orgs.id"], name=op.f("fk_tier_moves_org_id_orgs")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tier_moves")),
    )
    with op.batch_alter_table("tier_moves", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_tier_moves_org_id"), ["org_id"], unique=False)
        batch_op.create_index(
            "uq_tier_moves_org_id",
            ["org_id"],
            unique=True,
            sqlite_where=sa.text("cancelled_at IS NULL AND done_at IS NULL"),
            postgresql_where=sa.text("cancelled_at IS NULL AND done_at IS NULL"),
        )

    op.create_table(
        "upgrade_requests",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("org_id", sa.String(length=40), nullable=False),
        sa.Column("tier", sa.String(length=40), nullable=False),
        sa.Column(
            "state",
            sa.Enum(
                "submitted",
                "in review",
                "question asked",
                "answered",
                "approved",
                "declined",
                "withdrawn",
                name="state",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("expected", sa.JSON(), nullable=False),
        sa.Column("wanted_on", sa.Date(), nullable=False),
        sa.Column("contact", sa.String(length=320), nullable=False),
        sa.Column("created_by", sa.String(length=40), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("steps", sa.Integer(), nullable=False),
        sa.Column("moved_by", sa.String(length=40), nullable=True),
        sa.Column("moved_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("reason", sa.String(length=500), nullable=True),
        sa.ForeignKeyConstraint(
            ["created_by"], ["users.id"], name=op.f("fk_upgrade_requests_created_by_users")
        ),
        sa.ForeignKeyConstraint(
            ["org_id"], ["orgs.id"], name=op.f("fk_upgrade_requests_org_id_orgs")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_upgrade_requests")),
    )
    with op.batch_alter_table("upgrade_requests", schema=None) as batch_op:
        batch_op.create_index("ix_upgrade_requests_closed_at", ["closed_at"], unique=False)
        batch_op.create_index(batch_op.f("ix_upgrade_requests_org_id"), ["org_id"], unique=False)
        batch_op.create_index(
            "uq_upgrade_requests_org_id_tier",
            ["org_id", "tier"],
            unique=True,
            sqlite_where=sa.text("closed_at IS NULL"),
            postgresql_where=sa.text("closed_at IS NULL"),
        )

    op.create_table(
        "user_sessions",
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("user_id", sa.String(length=40), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ip", sa.String(length=45), nullable=True),
        sa.Column("user_agent", sa.String(length=200), nullable=False),
        sa.Column("proven_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_user_sessions_user_id_users")
        ),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_user_sessions")),
        sa.UniqueConstraint("id", name=op.f("uq_user_sessions_id")),
    )
    with op.batch_alter_table("user_sessions", schema=None) as batch_op:
        batch_op.create_index(
            "ix_user_sessions_address",
            ["seen_at"],
            unique=False,
            sqlite_where=sa.text("ip IS NOT NULL"),
            postgresql_where=sa.text("ip IS NOT NULL"),
        )
        batch_op.create_index(batch_op.f("ix_user_sessions_user_id"), ["user_id"], unique=False)

    op.create_table(
        "api_keys",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("org_id", sa.String(length=40), nullable=False),
        sa.Column("name", sa.String(length=80), nullable=False),
        sa.Column("name_folded", sa.String(length=240), nullable=False),
        sa.Column("prefix", sa.String(length=40), nullable=False),
        sa.Column("last_four", sa.String(length=4), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column(
            "environment",
            sa.Enum(
                "live",
                "test",
                name="environment",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("lineage", sa.String(length=40), nullable=False),
        sa.Column("models", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("networks", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("caps", sa.JSON(), nullable=False),
        sa.Column("created_by", sa.String(length=40), nullable=True),
        sa.Column("token_id", sa.String(length=40), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("remind_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("paused_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("superseded_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("successor_id", sa.String(length=40), nullable=True),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revoked_by", sa.String(length=40), nullable=True),
        sa.Column("revoked_reason", sa.String(length=500), nullable=True),
        sa.CheckConstraint(
            "(created_by IS NULL) <> (token_id IS NULL)", name=op.f("ck_api_keys_issuer")
        ),
        sa.ForeignKeyConstraint(
            ["created_by"], ["users.id"], name=op.f("fk_api_keys_created_by_users")
        ),
        sa.ForeignKeyConstraint(["org_id"], ["orgs.id"], name=op.f("fk_api_keys_org_id_orgs")),
        sa.ForeignKeyConstraint(
            ["token_id"], ["access_tokens.id"], name=op.f("fk_api_keys_token_id_access_tokens")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_keys")),
        sa.UniqueConstraint("digest", name=op.f("uq_api_keys_digest")),
    )
    with op.batch_alter_table("api_keys", schema=None) as batch_op:
        batch_op.create_index("ix_api_keys_lineage", ["lineage"], unique=False)
        batch_op.create_index(batch_op.f("ix_api_keys_org_id"), ["org_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_api_keys_remind_at"), ["remind_at"], unique=False)
        batch_op.create_index(
            "uq_api_keys_org_id_name_folded",
            ["org_id", "name_folded"],
            unique=True,
            sqlite_where=sa.text("revoked_at IS NULL AND superseded_at IS NULL"),
            postgresql_where=sa.text("revoked_at IS NULL AND superseded_at IS NULL"),
        )

    op.create_table(
        "attention_holds",
        sa.Column("thread_id", sa.String(length=40), nullable=False),
        sa.Column("change", sa.Integer(), nullable=False),
        sa.Column("orgs", sa.Integer(), nullable=False),
        sa.Column("placed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("lifted_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["thread_id"], ["threads.id"], name=op.f("fk_attention_holds_thread_id_threads")
        ),
        sa.PrimaryKeyConstraint("thread_id", name=op.f("pk_attention_holds")),
    )
    op.create_table(
        "change_drafts",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("content", sa.JSON(), nullable=False),
        sa.Column("base_size", sa.BigInteger(), nullable=False),
        sa.Column("created_by", sa.String(length=40), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("published_as", sa.Integer(), nullable=True),
        sa.Column("discarded_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["published_as"],
            ["changes.number"],
            name=op.f("fk_change_drafts_published_as_changes"),
            ondelete="SET NULL",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_change_drafts")),
    )
    op.create_table(
        "change_holds",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=40), nullable=False),
        sa.Column("reason", sa.String(length=200), nullable=False),
        sa.Column("placed_by", sa.String(length=40), nullable=True),
        sa.Column("placed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("lifted_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["number"],
            ["changes.number"],
            name=op.f("fk_change_holds_number_changes"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_change_holds")),
    )
    with op.batch_alter_table("change_holds", schema=None) as batch_op:
        batch_op.create_index(
            "uq_change_holds_number_name",
            ["number", "name"],
            unique=True,
            sqlite_where=sa.text("lifted_at IS NULL"),
            postgresql_where=sa.text("lifted_at IS NULL"),
        )

    op.create_table(
        "change_words",
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("entry_seq", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["entry_seq"],
            ["log_entries.seq"],
            name=op.f("fk_change_words_entry_seq_log_entries"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["number"],
            ["changes.number"],
            name=op.f("fk_change_words_number_changes"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("number", "version", name=op.f("pk_change_words")),
        sa.UniqueConstraint("entry_seq", name=op.f("uq_change_words_entry_seq")),
    )
    op.create_table(
        "clock_reminders",
        sa.Column("thread_id", sa.String(length=40), nullable=False),
        sa.Column("name", sa.String(length=40), nullable=False),
        sa.Column("told_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["thread_id"], ["threads.id"], name=op.f("fk_clock_reminders_thread_id_threads")
        ),
        sa.PrimaryKeyConstraint("thread_id", "name", name=op.f("pk_clock_reminders")),
    )
    op.create_table(
        "decisions",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("thread_id", sa.String(length=40), nullable=False),
        sa.Column(
            "outcome",
            sa.Enum(
                "adopted",
                "partly",
                "not_adopted",
                "deferred",
                name="outcome",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("until_on", sa.Date(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("weighed", sa.Text(), nullable=False),
        sa.Column("review_on", sa.Date(), nullable=True),
        sa.Column("change", sa.Integer(), nullable=True),
        sa.Column("decided_by", sa.String(length=40), nullable=True),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("entry_seq", sa.BigInteger(), nullable=True),
        sa.Column("superseded_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("superseded_by", sa.String(length=40), nullable=True),
        sa.Column("told_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "(outcome = 'deferred') = (until_on IS NOT NULL)",
            name=op.f("ck_decisions_deferred_has_date"),
        ),
        sa.CheckConstraint("length(reason) > 0", name=op.f("ck_decisions_has_reason")),
        sa.ForeignKeyConstraint(
            ["entry_seq"],
            ["log_entries.seq"],
            name=op.f("fk_decisions_entry_seq_log_entries"),
            ondelete="SET NULL",
        ),
        sa.ForeignKeyConstraint(
            ["thread_id"], ["threads.id"], name=op.f("fk_decisions_thread_id_threads")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_decisions")),
        sa.UniqueConstraint("entry_seq", name=op.f("uq_decisions_entry_seq")),
    )
    with op.batch_alter_table("decisions", schema=None) as batch_op:
        batch_op.create_index("ix_decisions_decided_at", ["decided_at"], unique=False)
        batch_op.create_index(batch_op.f("ix_decisions_thread_id"), ["thread_id"], unique=False)
        batch_op.create_index(
            "ix_decisions_told_at",
            ["told_at"],
            unique=False,
            sqlite_where=sa.text("told_at IS NULL"),
            postgresql_where=sa.text("told_at IS NULL"),
        )
        batch_op.create_index(
            "uq_decisions_thread_id",
            ["thread_id"],
            unique=True,
            sqlite_where=sa.text("superseded_at IS NULL"),
            postgresql_where=sa.text("superseded_at IS NULL"),
        )

    op.create_table(
        "follows",
        sa.Column("thread_id", sa.String(length=40), nullable=False),
        sa.Column("user_id", sa.String(length=40), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["thread_id"], ["threads.id"], name=op.f("fk_follows_thread_id_threads")
        ),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_follows_user_id_users")),
        sa.PrimaryKeyConstraint("thread_id", "user_id", name=op.f("pk_follows")),
    )
    with op.batch_alter_table("follows", schema=None) as batch_op:
        batch_op.create_index("ix_follows_user_id", ["user_id", "created_at"], unique=False)

    op.create_table(
        "internal_notes",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("thread_id", sa.String(length=40), nullable=False),
        sa.Column("author_id", sa.String(length=40), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["author_id"], ["users.id"], name=op.f("fk_internal_notes_author_id_users")
        ),
        sa.ForeignKeyConstraint(
            ["thread_id"], ["threads.id"], name=op.f("fk_internal_notes_thread_id_threads")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_internal_notes")),
    )
    with op.batch_alter_table("internal_notes", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_internal_notes_thread_id"), ["thread_id"], unique=False
        )

    op.create_table(
        "posts",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("thread_id", sa.String(length=40), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("author_id", sa.String(length=40), nullable=True),
        sa.Column("org_id", sa.String(length=40), nullable=True),
        sa.Column("answers_id", sa.String(length=40), nullable=True),
        sa.Column("is_staff", sa.Boolean(), nullable=False),
        sa.Column("is_official", sa.Boolean(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("edited_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("hidden_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("hidden_by", sa.String(length=40), nullable=True),
        sa.Column("hidden_reason", sa.String(length=500), nullable=True),
        sa.Column("told_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "(hidden_at IS NULL) = (hidden_reason IS NULL)", name=op.f("ck_posts_hidden_has_reason")
        ),
        sa.ForeignKeyConstraint(
            ["answers_id"], ["posts.id"], name=op.f("fk_posts_answers_id_posts")
        ),
        sa.ForeignKeyConstraint(["author_id"], ["users.id"], name=op.f("fk_posts_author_id_users")),
        sa.ForeignKeyConstraint(["org_id"], ["orgs.id"], name=op.f("fk_posts_org_id_orgs")),
        sa.ForeignKeyConstraint(
            ["thread_id"], ["threads.id"], name=op.f("fk_posts_thread_id_threads")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_posts")),
        sa.UniqueConstraint("thread_id", "position", name=op.f("uq_posts_thread_id_position")),
    )
    with op.batch_alter_table("posts", schema=None) as batch_op:
        batch_op.create_index("ix_posts_author_id", ["author_id", "id"], unique=False)
        batch_op.create_index(
            "ix_posts_told_at",
            ["told_at"],
            unique=False,
            sqlite_where=sa.text("is_official AND told_at IS NULL"),
            postgresql_where=sa.text("is_official AND told_at IS NULL"),
        )

    op.create_table(
        "thread_words",
        sa.Column("word", sa.String(length=32), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.ForeignKeyConstraint(
            ["number"], ["threads.number"], name=op.f("fk_thread_words_number_threads")
        ),
        sa.PrimaryKeyConstraint("word", "number", name=op.f("pk_thread_words")),
        sqlite_with_rowid=False,
    )
    with op.batch_alter_table("thread_words", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_thread_words_number"), ["number"], unique=False)

    op.create_table(
        "upgrade_messages",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("request_id", sa.String(length=40), nullable=False),
        sa.Column("author_id", sa.String(length=40), nullable=False),
        sa.Column("is_staff", sa.Boolean(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["author_id"], ["users.id"], name=op.f("fk_upgrade_messages_author_id_users")
        ),
        sa.ForeignKeyConstraint(
            ["request_id"],
            ["upgrade_requests.id"],
            name=op.f("fk_upgrade_messages_request_id_upgrade_requests"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_upgrade_messages")),
    )
    with op.batch_alter_table("upgrade_messages", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_upgrade_messages_request_id"), ["request_id"], unique=False
        )

    op.create_table(
        "votes",
        sa.Column("thread_id", sa.String(length=40), nullable=False),
        sa.Column("user_id", sa.String(length=40), nullable=False),
        sa.Column("org_id", sa.String(length=40), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("withdrawn_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["org_id"], ["orgs.id"], name=op.f("fk_votes_org_id_orgs")),
        sa.ForeignKeyConstraint(
            ["thread_id"], ["threads.id"], name=op.f("fk_votes_thread_id_threads")
        ),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_votes_user_id_users")),
        sa.PrimaryKeyConstraint("thread_id", "user_id", name=op.f("pk_votes")),
    )
    with op.batch_alter_table("votes", schema=None) as batch_op:
        batch_op.create_index("ix_votes_user_id", ["user_id", "created_at"], unique=False)

    op.create_table(
        "key_leaks",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("key_id", sa.String(length=40), nullable=False),
        sa.Column("url", sa.String(length=1000), nullable=False),
        sa.Column("source", sa.String(length=40), nullable=False),
        sa.Column("reported_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["key_id"], ["api_keys.id"], name=op.f("fk_key_leaks_key_id_api_keys")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_key_leaks")),
        sa.UniqueConstraint("key_id", "url", name=op.f("uq_key_leaks_key_id_url")),
    )
    op.create_table(
        "moderation_records",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("thread_id", sa.String(length=40), nullable=False),
        sa.Column("post_id", sa.String(length=40), nullable=True),
        sa.Column(
            "act",
            sa.Enum(
                "hide",
                "restore",
                "lock",
                "keep",
                name="moderationact",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("reason", sa.String(length=500), nullable=False),
        sa.Column("moderated_by", sa.String(length=40), nullable=True),
        sa.Column("moderated_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["post_id"], ["posts.id"], name=op.f("fk_moderation_records_post_id_posts")
        ),
        sa.ForeignKeyConstraint(
            ["thread_id"], ["threads.id"], name=op.f("fk_moderation_records_thread_id_threads")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_moderation_records")),
    )
    with op.batch_alter_table("moderation_records", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_moderation_records_thread_id"), ["thread_id"], unique=False
        )

    op.create_table(
        "post_edits",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("post_id", sa.String(length=40), nullable=False),
        sa.Column("old_text", sa.Text(), nullable=False),
        sa.Column("edited_by", sa.String(length=40), nullable=True),
        sa.Column("edited_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("told_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["post_id"], ["posts.id"], name=op.f("fk_post_edits_post_id_posts")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_post_edits")),
    )
    with op.batch_alter_table("post_edits", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_post_edits_post_id"), ["post_id"], unique=False)
        batch_op.create_index(
            "ix_post_edits_told_at",
            ["told_at"],
            unique=False,
            sqlite_where=sa.text("told_at IS NULL"),
            postgresql_where=sa.text("told_at IS NULL"),
        )

    op.create_table(
        "thread_changes",
        sa.Column("thread_id", sa.String(length=40), nullable=False),
        sa.Column("change", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("post_id", sa.String(length=40), nullable=True),
        sa.Column("linked_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["post_id"], ["posts.id"], name=op.f("fk_thread_changes_post_id_posts")
        ),
        sa.ForeignKeyConstraint(
            ["thread_id"], ["threads.id"], name=op.f("fk_thread_changes_thread_id_threads")
        ),
        sa.PrimaryKeyConstraint("thread_id", "change", name=op.f("pk_thread_changes")),
    )
    with op.batch_alter_table("thread_changes", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_thread_changes_change"), ["change"], unique=False)

    op.create_table(
        "reports",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("post_id", sa.String(length=40), nullable=False),
        sa.Column("user_id", sa.String(length=40), nullable=False),
        sa.Column("reason", sa.String(length=500), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("settled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("settled_for", sa.String(length=40), nullable=True),
        sa.ForeignKeyConstraint(["post_id"], ["posts.id"], name=op.f("fk_reports_post_id_posts")),
        sa.ForeignKeyConstraint(
            ["settled_for"],
            ["moderation_records.id"],
            name=op.f("fk_reports_settled_for_moderation_records"),
        ),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_reports_user_id_users")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_reports")),
    )
    with op.batch_alter_table("reports", schema=None) as batch_op:
        batch_op.create_index("ix_reports_settled_at", ["settled_at"], unique=False)
        batch_op.create_index(
            "uq_reports_post_id_user_id",
            ["post_id", "user_id"],
            unique=True,
            sqlite_where=sa.text("settled_at IS NULL"),
            postgresql_where=sa.text("settled_at IS NULL"),
        )

    # The state that gateways copy starts empty, in an epoch of its own.
    op.bulk_insert(
        sa.table(
            "sync_head",
            sa.column("id", sa.Integer),
            sa.column("epoch", sa.String),
            sa.column("revision", sa.BigInteger),
            sa.column("count", sa.BigInteger),
            sa.column("digest", sa.String),
            sa.column("wire_version", sa.Integer),
        ),
        [
            {
                "id": 1,
                "epoch": secrets.token_hex(16),
                "revision": 0,
                "count": 0,
                "digest": "0" * 64,
                "wire_version": 1,
            }
        ],
    )
    op.bulk_insert(
        sa.table(
            "log_checkpoint",
            sa.column("id", sa.Integer),
            sa.column("size", sa.BigInteger),
            sa.column("root", sa.String),
        ),
        [{"id": 1, "size": 0, "root": EMPTY_ROOT}],
    )
    # Rows that two processes lock from their first pass on: made by the first, they would be made twice.
    op.bulk_insert(
        sa.table(
            "mail_progress",
            sa.column("id", sa.Integer),
            sa.column("size", sa.BigInteger),
            sa.column("reminded_until", sa.BigInteger),
            sa.column("delivery_until", sa.BigInteger),
        ),
        [{"id": 1, "size": 0, "reminded_until": 0, "delivery_until": 0}],
    )
    op.bulk_insert(
        sa.table(
            "feedback_progress",
            sa.column("id", sa.Integer),
            sa.column("size", sa.BigInteger),
        ),
        [{"id": 1, "size": 0}],
    )
    on_postgresql = op.get_bind().dialect.name == "postgresql"
    for statement in POSTGRESQL_TRIGGERS if on_postgresql else SQLITE_TRIGGERS:
        op.execute(statement)


def downgrade() -> None:
    with op.batch_alter_table("reports", schema=None) as batch_op:
        batch_op.drop_index(
            "uq_reports_post_id_user_id",
            sqlite_where=sa.text("settled_at IS NULL"),
            postgresql_where=sa.text("settled_at IS NULL"),
        )
        batch_op.drop_index("ix_reports_settled_at")

    op.drop_table("reports")
    with op.batch_alter_table("thread_changes", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_thread_changes_change"))

    op.drop_table("thread_changes")
    with op.batch_alter_table("post_edits", schema=None) as batch_op:
        batch_op.drop_index(
            "ix_post_edits_told_at",
            sqlite_where=sa.text("told_at IS NULL"),
            postgresql_where=sa.text("told_at IS NULL"),
        )
        batch_op.drop_index(batch_op.f("ix_post_edits_post_id"))

    op.drop_table("post_edits")
    with op.batch_alter_table("moderation_records", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_moderation_records_thread_id"))

    op.drop_table("moderation_records")
    op.drop_table("key_leaks")
    with op.batch_alter_table("votes", schema=None) as batch_op:
        batch_op.drop_index("ix_votes_user_id")

    op.drop_table("votes")
    with op.batch_alter_table("upgrade_messages", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_upgrade_messages_request_id"))

    op.drop_table("upgrade_messages")
    with op.batch_alter_table("thread_words", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_thread_words_number"))

    op.drop_table("thread_words")
    with op.batch_alter_table("posts", schema=None) as batch_op:
        batch_op.drop_index(
            "ix_posts_told_at",
            sqlite_where=sa.text("is_official AND told_at IS NULL"),
            postgresql_where=sa.text("is_official AND told_at IS NULL"),
        )
        batch_op.drop_index("ix_posts_author_id")

    op.drop_table("posts")
    with op.batch_alter_table("internal_notes", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_internal_notes_thread_id"))

    op.drop_table("internal_notes")
    with op.batch_alter_table("follows", schema=None) as batch_op:
        batch_op.drop_index("ix_follows_user_id")

    op.drop_table("follows")
    with op.batch_alter_table("decisions", schema=None) as batch_op:
        batch_op.drop_index(
            "uq_decisions_thread_id",
            sqlite_where=sa.text("superseded_at IS NULL"),
            postgresql_where=sa.text("superseded_at IS NULL"),
        )
        batch_op.drop_index(
            "ix_decisions_told_at",
            sqlite_where=sa.text("told_at IS NULL"),
            postgresql_where=sa.text("told_at IS NULL"),
        )
        batch_op.drop_index(batch_op.f("ix_decisions_thread_id"))
        batch_op.drop_index("ix_decisions_decided_at")

    op.drop_table("decisions")
    op.drop_table("clock_reminders")
    op.drop_table("change_words")
    with op.batch_alter_table("change_holds", schema=None) as batch_op:
        batch_op.drop_index(
            "uq_change_holds_number_name",
            sqlite_where=sa.text("lifted_at IS NULL"),
            postgresql_where=sa.text("lifted_at IS NULL"),
        )

    op.drop_table("change_holds")
    op.drop_table("change_drafts")
    op.drop_table("attention_holds")
    with op.batch_alter_table("api_keys", schema=None) as batch_op:
        batch_op.drop_index(
            "uq_api_keys_org_id_name_folded",
            sqlite_where=sa.text("revoked_at IS NULL AND superseded_at IS NULL"),
            postgresql_where=sa.text("revoked_at IS NULL AND superseded_at IS NULL"),
        )
        batch_op.drop_index(batch_op.f("ix_api_keys_remind_at"))
        batch_op.drop_index(batch_op.f("ix_api_keys_org_id"))
        batch_op.drop_index("ix_api_keys_lineage")

    op.drop_table("api_keys")
    with op.batch_alter_table("user_sessions", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_user_sessions_user_id"))
        batch_op.drop_index(
            "ix_user_sessions_address",
            sqlite_where=sa.text("ip IS NOT NULL"),
            postgresql_where=sa.text("ip IS NOT NULL"),
        )

    op.drop_table("user_sessions")
    with op.batch_alter_table("upgrade_requests", schema=None) as batch_op:
        batch_op.drop_index(
            "uq_upgrade_requests_org_id_tier",
            sqlite_where=sa.text("closed_at IS NULL"),
            postgresql_where=sa.text("closed_at IS NULL"),
        )
        batch_op.drop_index(batch_op.f("ix_upgrade_requests_org_id"))
        batch_op.drop_index("ix_upgrade_requests_closed_at")

    op.drop_table("upgrade_requests")
    with op.batch_alter_table("tier_moves", schema=None) as batch_op:
        batch_op.drop_index(
            "uq_tier_moves_org_id",
            sqlite_where=sa.text("cancelled_at IS NULL AND done_at IS NULL"),
            postgresql_where=sa.text("cancelled_at IS NULL AND done_at IS NULL"),
        )
        batch_op.drop_index(batch_op.f("ix_tier_moves_org_id"))

    op.drop_table("tier_moves")
    op.drop_table("tier_assignments")
    with op.batch_alter_table("threads", schema=None) as batch_op:
        batch_op.drop_index(
            "uq_threads_change",
            sqlite_where=sa.text("author_id IS NULL AND change IS NOT NULL"),
            postgresql_where=sa.text("author_id IS NULL AND change IS NOT NULL"),
        )
        batch_op.drop_index("ix_threads_votes_number")
        batch_op.drop_index("ix_threads_state_votes_number")
        batch_op.drop_index("ix_threads_state_number")
        batch_op.drop_index("ix_threads_state_active_at_number")
        batch_op.drop_index("ix_threads_org_id_number")
        batch_op.drop_index("ix_threads_kind_votes_number")
        batch_op.drop_index("ix_threads_kind_number")
        batch_op.drop_index("ix_threads_kind_active_at_number")
        batch_op.drop_index("ix_threads_decision_due_at")
        batch_op.drop_index(batch_op.f("ix_threads_created_at"))
        batch_op.drop_index("ix_threads_change_number")
        batch_op.drop_index("ix_threads_category_votes_number")
        batch_op.drop_index("ix_threads_category_number")
        batch_op.drop_index("ix_threads_category_active_at_number")
        batch_op.drop_index("ix_threads_author_id_number")
        batch_op.drop_index("ix_threads_active_at_number")

    op.drop_table("threads")
    op.drop_table("sync_ack")
    with op.batch_alter_table("subscriptions", schema=None) as batch_op:
        batch_op.drop_index(
            "uq_subscriptions_user_tier",
            sqlite_where=sa.text("ended_at IS NULL"),
            postgresql_where=sa.text("ended_at IS NULL"),
        )
        batch_op.drop_index(batch_op.f("ix_subscriptions_user_id"))

    op.drop_table("subscriptions")
    op.drop_table("second_factors")
    op.drop_table("recovery_codes")
    op.drop_table("org_slugs")
    op.drop_table("notice_words")
    with op.batch_alter_table("memberships", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_memberships_user_id"))

    op.drop_table("memberships")
    with op.batch_alter_table("mail_links", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_mail_links_user_id"))

    op.drop_table("mail_links")
    op.drop_table("known_devices")
    op.drop_table("key_rules")
    with op.batch_alter_table("invitations", schema=None) as batch_op:
        batch_op.drop_index(
            "uq_invitations_open",
            sqlite_where=sa.text("accepted_at IS NULL AND revoked_at IS NULL"),
            postgresql_where=sa.text("accepted_at IS NULL AND revoked_at IS NULL"),
        )
        batch_op.drop_index(batch_op.f("ix_invitations_sent_by"))

    op.drop_table("invitations")
    with op.batch_alter_table("half_sign_ins", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_half_sign_ins_user_id"))

    op.drop_table("half_sign_ins")
    with op.batch_alter_table("grants", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_grants_org_id"))
        batch_op.drop_index("ix_grants_ended_at_ends_at")

    op.drop_table("grants")
    with op.batch_alter_table("gateway_tokens", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_gateway_tokens_gateway_id"))

    op.drop_table("gateway_tokens")
    with op.batch_alter_table("email_changes", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_email_changes_user_id"))

    op.drop_table("email_changes")
    op.drop_table("changes")
    op.drop_table("changelog_reads")
    with op.batch_alter_table("access_tokens", schema=None) as batch_op:
        batch_op.drop_index(
            "uq_access_tokens_user_id_name_folded",
            sqlite_where=sa.text("revoked_at IS NULL"),
            postgresql_where=sa.text("revoked_at IS NULL"),
        )
        batch_op.drop_index(
            "uq_access_tokens_org_id_name_folded",
            sqlite_where=sa.text("revoked_at IS NULL"),
            postgresql_where=sa.text("revoked_at IS NULL"),
        )
        batch_op.drop_index(batch_op.f("ix_access_tokens_user_id"))
        batch_op.drop_index(batch_op.f("ix_access_tokens_org_id"))

    op.drop_table("access_tokens")
    with op.batch_alter_table("users", schema=None) as batch_op:
        batch_op.drop_index("uq_users_email")
        batch_op.drop_index(
            "ix_users_deleted",
            sqlite_where=sa.text("deleted_at IS NOT NULL"),
            postgresql_where=sa.text("deleted_at IS NOT NULL"),
        )

    op.drop_table("users")
    with op.batch_alter_table("usage_warnings", schema=None) as batch_op:
        batch_op.drop_index("ix_usage_warnings_at")

    op.drop_table("usage_warnings")
    with op.batch_alter_table("usage_refused_hours", schema=None) as batch_op:
        batch_op.drop_index("ix_usage_refused_hours_hour")

    op.drop_table("usage_refused_hours")
    op.drop_table("usage_refused_batches")
    with op.batch_alter_table("usage_minutes", schema=None) as batch_op:
        batch_op.drop_index("ix_usage_minutes_minute")

    op.drop_table("usage_minutes")
    with op.batch_alter_table("usage_minute_packs", schema=None) as batch_op:
        batch_op.drop_index("ix_usage_minute_packs_hour")

    op.drop_table("usage_minute_packs")
    with op.batch_alter_table("usage_hours", schema=None) as batch_op:
        batch_op.drop_index("ix_usage_hours_hour")

    op.drop_table("usage_hours")
    with op.batch_alter_table("usage_hour_packs", schema=None) as batch_op:
        batch_op.drop_index("ix_usage_hour_packs_day")

    op.drop_table("usage_hour_packs")
    with op.batch_alter_table("usage_days", schema=None) as batch_op:
        batch_op.drop_index("ix_usage_days_used_at")
        batch_op.drop_index("ix_usage_days_day")

    op.drop_table("usage_days")
    op.drop_table("usage_cursors")
    with op.batch_alter_table("usage_counters", schema=None) as batch_op:
        batch_op.drop_index("ix_usage_counters_org_id")
        batch_op.drop_index("ix_usage_counters_at")

    op.drop_table("usage_counters")
    op.drop_table("usage_alert_rules")
    with op.batch_alter_table("throttles", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_throttles_ends_at"))

    op.drop_table("throttles")
    with op.batch_alter_table("sync_record", schema=None) as batch_op:
        batch_op.drop_index("ix_sync_record_revision")

    op.drop_table("sync_record")
    op.drop_table("sync_head")
    op.drop_table("sync_commit")
    op.drop_table("reset_requests")
    with op.batch_alter_table("orgs", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_orgs_created_at"))

    op.drop_table("orgs")
    with op.batch_alter_table("mails", schema=None) as batch_op:
        batch_op.drop_index(
            "ix_mails_due",
            sqlite_where=sa.text("sent_at IS NULL"),
            postgresql_where=sa.text("sent_at IS NULL"),
        )

    op.drop_table("mails")
    op.drop_table("mail_progress")
    op.drop_table("log_entries")
    op.drop_table("log_checkpoint")
    op.drop_table("key_last_use")
    op.drop_table("journal_heads")
    with op.batch_alter_table("gateways", schema=None) as batch_op:
        batch_op.drop_index(
            "uq_gateways_name",
            sqlite_where=sa.text("removed_at IS NULL"),
            postgresql_where=sa.text("removed_at IS NULL"),
        )

    op.drop_table("gateways")
    op.drop_table("feedback_progress")
    with op.batch_alter_table("events", schema=None) as batch_op:
        batch_op.drop_index("ix_events_subject")
        batch_op.drop_index("ix_events_chain_actor")
        batch_op.drop_index(
            "ix_events_address",
            sqlite_where=sa.text("ip IS NOT NULL"),
            postgresql_where=sa.text("ip IS NOT NULL"),
        )
        batch_op.drop_index("ix_events_actor")

    op.drop_table("events")
    op.drop_table("announcements")
    if op.get_bind().dialect.name == "postgresql":
        for name in POSTGRESQL_FUNCTIONS:
            op.execute(f"DROP FUNCTION {name}()")
