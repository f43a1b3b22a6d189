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
    """Note what arrives in the poison queue."""
    note("bury", message.dequeue_count, message.get_body().decode())
