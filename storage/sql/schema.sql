-- Which schema a database has, and which database it is.

-- name: tables
-- Asked of the catalogue: a statement on a table that does not exist would end the transaction.
-- The second one is alembic's ordinary table, where the first release kept its revision. It may
-- also belong to somebody else who shares the database.
SELECT to_regclass('backtest_jobs_schema_version') IS NOT NULL,
       to_regclass('alembic_version') IS NOT NULL AND to_regclass('backtest_jobs') IS NOT NULL;

-- name: installed
SELECT version.version_num, compat.oldest_program_revision
FROM backtest_jobs_schema_version AS version, backtest_jobs_schema_compat AS compat;

-- name: installed_by_first_release
SELECT version_num, version_num
FROM alembic_version
WHERE version_num = '0001';

-- name: namespace
-- The cluster, the database in it, and the table in that: a dump that was restored elsewhere, or
-- over this one, differs.
SELECT left(md5(concat_ws(':', control.system_identifier, db.oid, 'backtest_jobs'::regclass::oid)),
            12)
FROM pg_control_system() AS control, pg_database AS db
WHERE db.datname = current_database();
