"""The app that the tests run: what its functions do is told by their messages and written to a file of events."""

import os
import time
from pathlib import Path

import azure.functions as func

app = func.FunctionApp()
events = Path(os.environ["EVENTS"])


def note(*words: object) -> None:
    """Append one event, a line."""
    with events.open("a", encoding="utf-8") as file:
        file.write(" ".join(map(str, words)) + "\n")


@app.queue_trigger("message", "%JOBS%", "JOBS_STORAGE")
def job(message: func.QueueMessage) -> None:
    """Do as the message says: `fail NAME`, `nap SECONDS NAME`, `wait FILE NAME`, or anything else to just succeed."""
    body = message.get_body().decode()
    note("job", message.dequeue_count, body)
    verb, _, rest = body.partition(" ")
    if verb == "fail":
        raise ValueError(f"as asked: {rest} https://example.com/?sig=TOPSECRET")
    if verb == "nap":
        time.sleep(float(rest.split()[0]))
    if verb == "wait":
        gate = events.parent / rest
        while not gate.exists():
            time.sleep(0.01)
    note("done", body)


@app.queue_trigger("message", "%JOBS%-poison", "JOBS_STORAGE")
def bury(message: func.QueueMessage) -> None:
    """Note what arrives in the poison queue, and fail for what asks for it even there."""
    body = message.get_body().decode()
    note("bury", message.dequeue_count, body)
    if "even buried" in body:
        raise ValueError("as asked")


@app.queue_trigger("message", "%MISSING_QUEUE%", "JOBS_STORAGE")
def unresolvable(message: func.QueueMessage) -> None:
    """Never run: its queue's name is a setting that is missing."""
    note("unresolvable", message.get_body())


@app.queue_trigger("message", "others", "MISSING_STORAGE")
def unconnected(message: func.QueueMessage) -> None:
    """Never run: its connection is missing."""
    note("unconnected", message.get_body())


@app.timer_trigger("timer", "%TICKS%")
async def tick(timer: func.TimerRequest, context: func.Context) -> None:
    """Note that the timer fired."""
    note("tick", timer.past_due, bool(context.invocation_id))


@app.route("things/{owner}/{thing}", methods=["GET", "POST"])
def thing(req: func.HttpRequest) -> func.HttpResponse:
    """Answer with what was asked."""
    words = [req.method, req.route_params["owner"], req.route_params["thing"], req.params.get("q"), req.headers["x-in"]]
    return func.HttpResponse(
        " ".join(map(str, words)).encode() + b" " + req.get_body(), status_code=207, headers={"X-Out": "1"}
    )


@app.route("things/{owner}/first", methods=["GET"])
def first(req: func.HttpRequest) -> str:
    """Answer on a path that `thing` would match too."""
    return f"first of {req.route_params['owner']}"


@app.route("broken")
def broken(req: func.HttpRequest) -> func.HttpResponse:
    """Raise what nobody outside may see."""
    raise ValueError(f"inner detail of {req.method}")


@app.route("slow/{gate}")
def slow(req: func.HttpRequest) -> str:
    """Answer once a file exists."""
    note("slow", req.route_params["gate"])
    gate = events.parent / req.route_params["gate"]
    while not gate.exists():
        time.sleep(0.01)
    return "at last"
