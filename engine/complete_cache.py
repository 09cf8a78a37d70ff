"""Where numba finds kernels in a cache that holds them all, writable or not."""

from numba.core.caching import UserProvidedCacheLocator


class CompleteCache(UserProvidedCacheLocator):
    """A folder in which nothing has to be written."""

    def ensure_cache_path(self) -> None:
        """Accept the folder as it is; numba's own locators try to write a file."""
