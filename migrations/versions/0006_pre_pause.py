"""pre: switches of operators, of which pause is the first."""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # A row says who turned a switch last, and when; without one it has never been on. Programs of
    # the release before do not look here: they go on to dispatch and to claim.
    op.execute("""
CREATE TABLE backtest_switches (
    name       text PRIMARY KEY,
    is_on      boolean NOT NULL,
    reason     text,
    changed_by text NOT NULL,
    changed_at timestamptz NOT NULL DEFAULT now(),

    CONSTRAINT backtest_switches_name
        CHECK (name IN ('pause')),
    CONSTRAINT backtest_switches_reason
        CHECK (reason IS NULL OR (is_on AND char_length(reason) BETWEEN 1 AND 500)),
    CONSTRAINT backtest_switches_changed_by
        CHECK (char_length(changed_by) BETWEEN 1 AND 200)
)
    """)


def downgrade() -> None:
    op.execute("DROP TABLE backtest_switches")
