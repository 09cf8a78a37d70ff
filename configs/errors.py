"""The error that every bad setting ends in."""


class SettingsError(Exception):
    """A setting that cannot be used; the message is one line that says what to change."""
