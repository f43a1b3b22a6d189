"""The ids, times and numbers of the HTTP API, as its OpenAPI document tells them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Literal

from msgspec import Meta

from shared.core.failure import GUID, HASH
from shared.core.ids import APPLICATION_ID

if TYPE_CHECKING:
    from datetime import datetime

NAMED_HASH = re.compile(rf"{HASH.pattern}|\{{(?:{GUID.pattern})\}}|\((?:{GUID.pattern})\)")

type ApplicationId = Annotated[
    str,
    Meta(
        description="A decimal of 17 digits; a text, since it is above 2^53.",
        # Held by `PullRequest.decode`, whose error a person can read.
        extra_json_schema={"pattern": f"^(?:{APPLICATION_ID.pattern})$(?!\\n)"},
        examples=["13984104677400476"],
    ),
]
type FailureHash = Annotated[
    str,
    Meta(
        pattern=f"^(?:{HASH.pattern})$(?!\\n)",
        description="Identifies the failure within the application.",
        examples=["1fd83f6d-9fe0-96ec-2c47-ef08b65ccbed"],
    ),
]
type NamedHash = Annotated[
    str,
    Meta(
        description="Identifies the failure within the application; a GUID in any spelling. NULL and such name none.",
        # Likewise.
        extra_json_schema={"pattern": f"^(?:{NAMED_HASH.pattern})$(?!\\n)"},
        examples=["1fd83f6d-9fe0-96ec-2c47-ef08b65ccbed", "{1FD83F6D-9FE0-96EC-2C47-EF08B65CCBED}"],
    ),
]
type CabIdHash = Annotated[str, Meta(pattern=f"^(?:{HASH.pattern})$(?!\\n)", description="Identifies the cab.")]
type Moment = Annotated[str, Meta(description="In UTC, to the millisecond.", extra_json_schema={"format": "date-time"})]
type Count = Annotated[int, Meta(ge=0)]
type Percent = Annotated[int, Meta(ge=0, le=100)]
type Bytes = Annotated[int, Meta(ge=0, extra_json_schema={"format": "int64"})]
type Continuation = Annotated[str | None, Meta(description="What continues after this page; null on the last.")]
type Family = Literal["driver", "desktop", "app"]


def moment_text(moment: datetime | None) -> str | None:
    """Return a time as the API tells it; None where it has not come."""
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z") if moment else None
