"""Index the app of the working directory under Azure's worker runtime, ask two of its functions, and tell in JSON.

The runtime keeps its state in globals, so each indexing is a process of its own:

    python -m tests.integration.indexed_app [package that cannot be imported] ...
"""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from local.host.worker import Datum, Worker

ASKED = {"health", "request_pull"}
BODY = b'{"applicationId": "1", "failureHash": "a"}'


def hide(packages: list[str]) -> None:
    """Let packages be missing from now on; the runtime and its host, which need some, have theirs already."""
    for package in packages:
        for name in [package, *sys.modules]:
            if f"{name}.".startswith(f"{package}."):
                sys.modules[name] = None  # type: ignore[assignment] # how Python marks what cannot be imported


def request() -> Datum:
    """Return an HTTP request as the host hands it to the worker."""
    fields = {"method": Datum("POST", "string"), "url": Datum("http://127.0.0.1/api/x", "string")}
    return Datum({**fields, "headers": {}, "params": {}, "query": {}, "body": Datum(BODY, "bytes")}, "http")


async def told() -> dict[str, Any]:
    """Return the functions with their bindings, and what those that were asked have answered."""
    worker = Worker(Path.cwd())
    functions = await worker.index()
    answers: dict[str, Any] = {}
    for function in functions:
        if function.name in ASKED:
            result = await worker.invoke(function, "an invocation", request(), {})
            assert result.value is not None, result.trace
            answer = result.value.value
            answers[function.name] = [int(answer["status_code"].value), json.loads(answer["body"].value)]
    bindings = {each.name: [json.loads(bytes(raw)) for raw in each.bindings] for each in functions}
    return {"functions": bindings, "answers": answers}


if __name__ == "__main__":
    hide(sys.argv[1:])
    sys.stdout.write(json.dumps(asyncio.run(told())) + "\n")
