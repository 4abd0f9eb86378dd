"""add alerts

Why: staff are told once when something opens and once when it is over, and two processes must agree on
which of them tells. The index on mails answers when the last one left.
"""

import sqlalchemy as sa
from alembic import op

revision = '564e0603d2f7'
down_revision = '5f3a9c1e7b20'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('alert_watch',
    sa.Column('id', sa.Integer(), autoincrement=False, nullable=False),
    sa.Column('looked_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('since', sa.DateTime(timezone=True), nullable=True),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_alert_watch'))
    )
    # The one row; every process finds it, so that none has to make it.
    op.execute("INSERT INTO alert_watch (id) VALUES (1)")
    op.create_table('alerts',
    sa.Column('id', sa.String(length=40), nullable=False),
    sa.Column('kind', sa.Enum('gateway_lost', 'gateway_diverged', 'log_forked', 'log_refused', 'spool_growing', 'signing_stopped', 'outbox_stuck', 'job_failing', name='kind', native_enum=False, create_constraint=True, length=32), nullable=False),
    sa.Column('subject', sa.String(length=40), nullable=False),
    sa.Column('name', sa.String(length=40), nullable=False),
    sa.Column('text', sa.String(length=300), nullable=False),
    sa.Column('since', sa.DateTime(timezone=True), nullable=False),
    sa.Column('opened_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('closed_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('told', sa.Integer(), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_alerts'))
    )
    with op.batch_alter_table('alerts', schema=None) as batch_op:
        batch_op.create_index('ix_alerts_closed_at', ['closed_at'], unique=False)
        batch_op.create_index('uq_alerts_open', ['kind', 'subject'], unique=True, sqlite_where=sa.text('closed_at IS NULL'), postgresql_where=sa.text('closed_at IS NULL'))

    op.create_table('failing_jobs',
    sa.Column('name', sa.String(length=40), nullable=False),
    sa.Column('since', sa.DateTime(timezone=True), nullable=False),
    sa.Column('failed_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('text', sa.String(length=300), nullable=False),
    sa.PrimaryKeyConstraint('name', name=op.f('pk_failing_jobs'))
    )
    with op.batch_alter_table('mails', schema=None) as batch_op:
        batch_op.create_index('ix_mails_sent_at', ['sent_at'], unique=False)




def downgrade() -> None:
    with op.batch_alter_table('mails', schema=None) as batch_op:
        batch_op.drop_index('ix_mails_sent_at')

    op.drop_table('failing_jobs')
    with op.batch_alter_table('alerts', schema=None) as batch_op:
        batch_op.drop_index('uq_alerts_open', sqlite_where=sa.text('closed_at IS NULL'), postgresql_where=sa.text('closed_at IS NULL'))
        batch_op.drop_index('ix_alerts_closed_at')

    op.drop_table('alerts')
    op.drop_table('alert_watch')
