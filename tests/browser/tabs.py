"""Tabs of a browser, which one visit after the other is made in."""

from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, ConsoleMessage, Error, Page


class Tabs:
    """Tabs for visits to one site; those of two visits at once have no storage in common.

    What a visit leaves to the next one in its tab are the site's files alone. They are kept for
    ever, and most of what a visit costs is to load them and to compile them.
    """

    def __init__(self, origin: str, size: dict[str, int]) -> None:
        self._origin = origin
        self._size = size
        self._unused: list[Page] = []

    @contextmanager
    def lent(self, chromium: Browser) -> Iterator[Page]:
        """Lend a tab in which nobody is signed in and nothing is stored, or was ever asked for."""
        tab = self._unused.pop() if self._unused else self._new(chromium)
        try:
            yield tab
        finally:
            if tab.is_closed():
                tab.context.close()
            else:
                self._forget(tab)
                self._unused.append(tab)

    def _new(self, chromium: Browser) -> Page:
        return chromium.new_context(viewport=self._size).new_page()  # type: ignore[arg-type]

    def _forget(self, tab: Page) -> None:
        """Leave the site, close what else was opened, and take back what was stored or changed."""
        context = tab.context
        context.unroute_all(behavior="ignoreErrors")
        tab.unroute_all(behavior="ignoreErrors")
        for opened in context.pages:
            if opened != tab:
                opened.close()
        tab.goto("about:blank")
        tab.mouse.move(0, 0)
        devtools = context.new_cdp_session(tab)
        everything = {"origin": self._origin, "storageTypes": "all"}
        devtools.send("Storage.clearDataForOrigin", everything)
        devtools.detach()
        context.clear_cookies()
        context.clear_permissions()


@contextmanager
def heard(page: Page) -> Iterator[list[str]]:
    """Collect what a page's scripts and the console complain about."""
    complaints: list[str] = []

    def thrown(error: Error) -> None:
        complaints.append(str(error))

    def said(message: ConsoleMessage) -> None:
        if message.type == "error":
            complaints.append(message.text)

    page.on("pageerror", thrown)
    page.on("console", said)
    try:
        yield complaints
    finally:
        page.remove_listener("pageerror", thrown)
        page.remove_listener("console", said)
