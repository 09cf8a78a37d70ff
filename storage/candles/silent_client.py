"""clickhouse-connect's client, less the questions that it asks before the first query."""

from clickhouse_connect.driver.httpclient import HttpClient
from clickhouse_connect.driver.query import TzSource


class SilentClient(HttpClient):
    """Connects with its first query.

    The library's own asks three things first: the server's version, its thousand settings, its
    protocol. That takes as long as reading a month of candles, and is of use only where results
    come in the native format or settings are changed. We read Arrow, which is compressed by
    itself, and change none, so that a user who may only read can read.
    """

    def _init_common_settings(self, tz_source: TzSource) -> None:
        """Learn nothing of the server."""
