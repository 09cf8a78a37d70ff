"""What an error says, where there is one line for it: in a log, a message, a row."""


def one_line(error: BaseException) -> str:
    """Return what an error says, on one line; its type where it says nothing."""
    return " ".join(str(error).split()) or type(error).__name__
