"""What the app's values and records are made of, which costs a tenth of what dataclasses take when it starts.

None of them is decoded from anything: what comes from outside is (shared/api, shared/devcenter/fields.py).
Dataclasses are left where no package may be needed (what triggers import, tests/unit/test_layout.py: `STANDING_ALONE`),
for `Failure`, of which a part is not compared, and for what one function fills and nobody else sees.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable


class Immutable(msgspec.Struct, frozen=True):
    """Is what it says, and never changes."""


class Mutable(msgspec.Struct):
    """Is kept up to date by whoever works on it."""


def hiding(*names: str) -> Callable[[msgspec.Struct], str]:
    """Return the `__repr__` of what holds a secret, or fills pages.

    A field whose name says that it may hold one is found by `tests/unit/test_shown_objects.py`.
    """

    def shown(value: msgspec.Struct) -> str:
        told = (f"{name}={getattr(value, name)!r}" for name in value.__struct_fields__ if name not in names)
        return f"{type(value).__name__}({', '.join(told)})"

    return shown
