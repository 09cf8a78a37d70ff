"""Examining Postgres as the role of the programs, and the way that migrations take."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from cli.doctor import clock
from cli.doctor.findings import Finding, counted, gigabytes, not_named
from configs.one_line import one_line

if TYPE_CHECKING:
    from storage.connection import Connection
    from storage.examining import Server
    from storage.session import Session

Result = TypeVar("Result")

CONNECT_SECONDS = 3
ANSWER_SECONDS = 3.0
AS_OWNER = 'type as the owner of the tables, in psql "$POSTGRES_DSN"'
MAY_NOT_CONNECT = "42501"


def programs(variables: Mapping[str, str]) -> Iterator[Finding]:
    """Look at the server, and at what the role of the programs finds there."""
    from configs.environment import postgres_dsn

    if not variables.get("STRATEGY_PG_DSN"):
        yield not_named("Postgres", "STRATEGY_PG_DSN")
        return
    session = _session(postgres_dsn(variables))
    try:
        refused = _reached(session, postgres_dsn(variables))
        if refused is not None:
            yield refused
            return
        yield from _examined(session, postgres_dsn(variables))
    finally:
        session.close()


def migrations(variables: Mapping[str, str]) -> Iterator[Finding]:
    """Look whether `backtest migrate` comes to Postgres itself, where POSTGRES_DSN is set."""
    from configs.environment import migrations_dsn

    if not variables.get("POSTGRES_DSN"):
        return
    dsn = migrations_dsn(variables)
    session = _session(dsn)
    try:
        refused = _reached(session, dsn, subject="migrations")
        if refused is not None:
            yield refused
            return
        if session.run(lambda conn: conn.pooled()):
            advice = "give POSTGRES_DSN the address of Postgres itself before you migrate"
            said = "POSTGRES_DSN leads through a pooler"
            yield Finding("migrations", "note", said, advice)
        else:
            yield Finding("migrations", "ok", "POSTGRES_DSN leads to Postgres itself")
    finally:
        session.close()


def ask(variables: Mapping[str, str], work: "Callable[[Connection], Result]") -> "Result":
    """Return what `work` finds in the database of the programs; raises what is in the way."""
    from configs.environment import postgres_dsn

    session = _session(postgres_dsn(variables))
    try:
        return session.run(work)
    finally:
        session.close()


def _session(dsn: str) -> "Session":
    from psycopg.conninfo import make_conninfo

    from storage.connection import parsed
    from storage.session import Session

    return Session(
        make_conninfo(**{"connect_timeout": CONNECT_SECONDS} | parsed(dsn)),
        application_name="backtest-doctor",
        lock_seconds=ANSWER_SECONDS,
        statement_seconds=ANSWER_SECONDS,
    )


def _reached(session: "Session", dsn: str, subject: str = "Postgres") -> Finding | None:
    """Return what keeps a transaction from being made; None where one was made."""
    import psycopg

    from storage import readiness
    from storage.connection import Unreachable, address

    try:
        session.run(lambda _conn: None)
    except Unreachable as error:
        if isinstance(error.__cause__, psycopg.errors.ConnectionTimeout):
            advice = "see whether it runs, and whether a firewall swallows what is sent to it"
            return Finding(subject, "unreachable", one_line(error), advice)
        try:
            readiness.raise_refusal(dsn)
        except readiness.DatabaseRefuses as refusal:
            commands = _grant_connect(dsn) if refusal.sqlstate == MAY_NOT_CONNECT else ()
            return Finding(subject, "wrong", one_line(refusal), commands=commands)
        advice = "start it, or correct the address"
        return Finding(subject, "unreachable", one_line(error), advice)
    except psycopg.errors.ReadOnlySqlTransaction:
        said = f"{address(dsn)} is a standby: it answers, and nothing can be written"
        advice = "give the address of the primary, or all hosts and target_session_attrs=read-write"
        return Finding(subject, "unreachable", said, advice)
    except psycopg.OperationalError as error:
        if "statement pooling" not in str(error):
            raise
        said = f"the pooler at {address(dsn)} allows no transactions"
        return Finding(subject, "wrong", said, "set pool_mode = transaction in pgbouncer.ini")
    return None


def _grant_connect(dsn: str) -> tuple[str, ...]:
    from psycopg import sql

    from storage.connection import parsed

    values = parsed(dsn)
    role = values.get("user")
    if not role:
        return ()
    names = (values.get("dbname") or role, role)
    database, role = (sql.Identifier(name).as_string() for name in names)
    return (f"GRANT CONNECT ON DATABASE {database} TO {role};",)


def _examined(session: "Session", dsn: str) -> Iterator[Finding]:
    from storage import examining
    from storage.connection import address

    server = session.run(examining.server().of)
    said = f"version {server.major} at {address(dsn)}, as role {server.role}"
    limit = f"{examining.OLDEST_POSTGRES} or newer"
    if server.major < examining.OLDEST_POSTGRES:
        advice = "dump the database, and restore it on a newer server: deploy/backup.md"
        yield Finding("Postgres", "wrong", said, advice, limit)
    else:
        yield Finding("Postgres", "ok", said, limit=limit)
    grants = session.run(examining.missing_grants().of)
    schema = _schema(session, grants)
    yield schema
    yield _grants(server, grants)
    yield _encoding(server)
    yield _pooler(session.run(lambda conn: conn.pooled()))
    yield clock.of_postgres(session.run(_clock))
    yield _sizes(session, server)
    if schema.grade == "ok" and not grants:
        yield _releases(session)


def _clock(conn: "Connection") -> clock.Difference:
    from storage import examining

    return clock.read(partial(examining.clock().of, conn))


def _schema(session: "Session", missing: list[str]) -> Finding:
    from storage import schema

    limit = f"this release is of {schema.REVISION}"
    try:
        revision = session.run(schema.check)
    except schema.SchemaUnusable as error:
        if any(" ON SCHEMA " in line or ".backtest_jobs_schema_" in line for line in missing):
            return Finding("schema", "wrong", "the role may not look at it: see grants")
        return Finding("schema", "wrong", one_line(error), limit=limit)
    return Finding("schema", "ok", f"revision {revision}", limit=limit)


def _grants(server: "Server", missing: list[str]) -> Finding:
    from storage import grants

    number = sum(len(privileges) for privileges in grants.TABLES.values())
    limit = f"{number} on tables, {len(grants.FUNCTIONS)} on functions"
    if not missing:
        return Finding("grants", "ok", f"{server.role} has all that programs need", limit=limit)
    said = f"{server.role} lacks {'; '.join(line.split(' TO ')[0][6:] for line in missing)}"
    return Finding("grants", "wrong", said, AS_OWNER, limit, tuple(f"{line};" for line in missing))


def _encoding(server: "Server") -> Finding:
    encoding, limit = server.encoding, "UTF8"
    if encoding == "UTF8":
        return Finding("encoding", "ok", encoding, limit=limit)
    advice = "make a database in UTF8, and move the data over while all programs are stopped"
    commands = (
        "createdb --encoding=UTF8 --template=template0 NEW",
        f"pg_dump -Fc {server.database} | pg_restore --no-owner -d NEW",
    )
    if encoding == "SQL_ASCII":
        said = "SQL_ASCII: all text is kept, but lengths are counted in bytes, so that a name of "
        said += "more than 60 Cyrillic letters, or a note of more than 2000, cannot be stored"
        return Finding("encoding", "note", said, advice, limit, commands)
    said = f"{encoding}: names and notes with characters that it lacks cannot be stored, and a job "
    said += "whose report has one, ∞ for example, fails when its results are written"
    return Finding("encoding", "wrong", said, advice, limit, commands)


def _pooler(pooled: bool) -> Finding:
    if not pooled:
        return Finding("pooler", "ok", "none, this is Postgres itself")
    advice = (
        "nothing breaks, but notifications do not pass: new jobs and what streams tell are found "
        "by polling, up to claim_poll_seconds later. If that matters, give scheduler and API a "
        "DSN that leads to Postgres itself"
    )
    return Finding("pooler", "note", "there is one before Postgres", advice)


def _sizes(session: "Session", server: "Server") -> Finding:
    from storage import examining

    said = f"the database is {gigabytes(server.database_bytes)}, "
    if server.may_see_wal:
        said += f"the WAL {gigabytes(session.run(examining.wal_bytes().of))} of the whole server"
    else:
        said += f"the WAL is not shown to {server.role} (GRANT pg_monitor would)"
    advice = "free space cannot be seen from here; on the server of Postgres:"
    return Finding(
        "Postgres disk",
        "ok",
        said,
        advice,
        f"max_wal_size {server.wal_limit}",
        ('df -h "$(psql "$POSTGRES_DSN" -Atc \'SHOW data_directory\')"',),
    )


def _releases(session: "Session") -> Finding:
    import engine
    from storage import examining

    own = engine.identity()
    seen = session.run(examining.releases().of)
    others = {name: count for name, count in seen.items() if name != own}
    if not others:
        said = f"this one, {own}"
        said += "" if seen else "; no worker has run a job within the hour"
        return Finding("releases", "ok", said)
    listed = ", ".join(f"{name} ({counted(count, 'job')})" for name, count in others.items())
    advice = (
        "within the hour workers of another release or with other plugins had jobs. While you "
        "upgrade that is as it should be; afterwards look for a worker that was left behind: "
        "locked_by begins with its machine"
    )
    query = "SELECT DISTINCT locked_by, engine_version FROM backtest_jobs WHERE state = 'running'"
    command = f'psql "$STRATEGY_PG_DSN" -c "{query}"'
    return Finding("releases", "note", listed, advice, f"this one is {own}", (command,))
