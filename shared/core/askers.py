"""Who asks for a pull, as its row and its messages tell it: a person, or a report, a check or the reconcile."""

RECONCILE = "reconcile"
# What follows names the run of a report, or the application whose failures were looked for.
_MACHINES = ("report ", "check of ")


def is_person(asks: str) -> bool:
    """Tell whether somebody asked for a pull, and no report, check or reconcile."""
    return asks != RECONCILE and not asks.startswith(_MACHINES)


def by_person(*asks: str) -> str:
    """Return the first of those who ask that is a person; empty where machines do, or nobody said."""
    return next((each for each in asks if each and is_person(each)), "")


def person(name: str, call: str) -> str:
    """Return what tells of a person, and never reads like a machine, whatever the person is called.

    Args:
        name: As the directory has it; empty where a key opened the call.
        call: The call of the API.
    """
    asks = f"{name} ({call})" if name else call
    return asks if is_person(asks) else f"person {asks}"
