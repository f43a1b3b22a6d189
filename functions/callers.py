"""Who asks: a person whom App Service has signed in, or whoever has a function key."""

from contextvars import ContextVar

# The name of the person; empty where a key opened the call.
CALLER: ContextVar[str] = ContextVar("caller", default="")


def asked_by(call: str) -> str:
    """Return who asks for a pull, for its row and its messages.

    Args:
        call: The call of the API.
    """
    from shared.core.askers import person

    return person(CALLER.get(), call)
