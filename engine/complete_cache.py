"""Where numba finds kernels in a cache that holds them all, writable or not."""

from pathlib import Path

from numba.core.caching import UserProvidedCacheLocator


class CompleteCache(UserProvidedCacheLocator):
    """A folder in which nothing has to be written."""

    def ensure_cache_path(self) -> None:
        """Accept the folder as it is; numba's own locators try to write a file.

        Raises OSError for a file that has no kernels in it: other code of the process, as that of a
        notebook, is cached wherever numba would keep it.
        """
        folder = Path(self.get_cache_path())  # type: ignore[no-untyped-call]
        if not folder.is_dir():
            raise NotADirectoryError(folder)
