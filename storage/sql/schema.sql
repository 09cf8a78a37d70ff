-- Which schema a database has, and which database it is.

-- name: tables
-- Asked of the catalogue: a statement on a table that does not exist would end the transaction. Jobs
-- without a version table are the first release's, which used alembic's ordinary one. That one is not
-- read: it may belong to somebody else who shares the database.
SELECT to_regclass('backtest_jobs_schema_version') IS NOT NULL,
       to_regclass('backtest_jobs') IS NOT NULL,
       current_setting('search_path');

-- name: revision
SELECT version_num FROM backtest_jobs_schema_version;

-- name: oldest_program_revision
SELECT oldest_program_revision FROM backtest_jobs_schema_compat;

-- name: namespace
-- The cluster, the database in it, and the table in that: a dump that was restored elsewhere, or
-- over this one, differs.
SELECT left(md5(concat_ws(':', control.system_identifier, db.oid, 'backtest_jobs'::regclass::oid)),
            12)
FROM pg_control_system() AS control, pg_database AS db
WHERE db.datname = current_database();
