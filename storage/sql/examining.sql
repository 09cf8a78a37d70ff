-- What an operator's examination asks of the server. Its own catalogues answer, whatever the schema,
-- and whatever the role may read of our tables.

-- name: server
SELECT current_user::text AS role,
       current_database()::text AS database,
       current_setting('server_version_num')::int / 10000 AS major,
       getdatabaseencoding()::text AS encoding,
       current_setting('max_wal_size') AS wal_limit,
       pg_database_size(current_database()) AS database_bytes,
       has_function_privilege('pg_ls_waldir()', 'EXECUTE') AS may_see_wal;

-- name: wal_bytes
SELECT coalesce(sum(size), 0)::bigint FROM pg_ls_waldir();

-- name: clock
SELECT extract(epoch FROM clock_timestamp())::float8;

-- name: missing_grants
-- Where the tables are seen, or where they would be seen if the role might look into the schema. A
-- statement for each object, as its owner types it.
WITH place AS (
    SELECT space.oid, space.nspname
    FROM pg_class AS jobs
    JOIN pg_namespace AS space ON space.oid = jobs.relnamespace
    WHERE jobs.relname = 'backtest_jobs' AND jobs.relkind IN ('r', 'p')
    ORDER BY pg_table_is_visible(jobs.oid) DESC, space.nspname
    LIMIT 1
), lacking AS (
    SELECT 1 AS turn, format('USAGE ON SCHEMA %%I', nspname) AS what
    FROM place
    WHERE NOT has_schema_privilege(oid, 'USAGE')
    UNION ALL
    SELECT 1 + min(wanted.turn),
           format('%%s ON %%I.%%I', string_agg(wanted.privilege, ', ' ORDER BY wanted.turn),
                  place.nspname, wanted.name)
    FROM unnest(%(tables)s::text[], %(privileges)s::text[])
         WITH ORDINALITY AS wanted (name, privilege, turn)
    CROSS JOIN place
    JOIN pg_class AS found ON found.relname = wanted.name AND found.relnamespace = place.oid
    WHERE NOT has_table_privilege(found.oid, wanted.privilege)
    GROUP BY place.nspname, wanted.name
    UNION ALL
    SELECT 1000 + turn, format('EXECUTE ON FUNCTION %%s', signature)
    FROM unnest(%(functions)s::text[]) WITH ORDINALITY AS wanted (signature, turn)
    WHERE NOT has_function_privilege(signature, 'EXECUTE')
)
SELECT format('GRANT %%s TO %%I', what, current_user) FROM lacking ORDER BY turn;

-- name: releases
-- Which engines computed what runs now, and what ended in the last hour: the newest are looked at.
SELECT engine_version, count(*)
FROM (
    (SELECT engine_version
     FROM backtest_jobs
     WHERE state = 'running' AND locked_by IS NOT NULL AND lease_expires_at > now()
     ORDER BY lease_expires_at DESC
     LIMIT %(limit)s)
    UNION ALL
    (SELECT engine_version
     FROM backtest_jobs
     WHERE finished_at IS NOT NULL AND finished_at > now() - interval '1 hour'
     ORDER BY finished_at DESC
     LIMIT %(limit)s)
) AS job
WHERE engine_version IS NOT NULL
GROUP BY engine_version
ORDER BY engine_version;
