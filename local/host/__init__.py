"""A local Azure Functions host: what the .NET host does around Azure's own Python worker runtime, in one process.

Indexing, validation of bindings, decoding, invocation and encoding are azure-functions-runtime, the package that runs
Python functions in Azure from 3.13 on. Added here is what the .NET host does around it: NCRONTAB timers, queue polling
with host.json's `extensions.queues`, HTTP routing, firing by `POST /admin/functions/{name}`, functionTimeout. Triggers:
HTTP, queue, timer; output: the HTTP answer. An app that asks for more is refused by name. `local.settings.json` is not
read: the process environment is the app's settings.

    python -m local.host --app DIRECTORY --port 7071

The order of things in the queue listener (batches, the threshold, leaving the message of a poison queue invisible, the
back-off) was read in the source of Microsoft's storage extension. Nothing here has been compared with a running host of
Microsoft's. Imitated by knowledge only, or left out:

- timers: no monitor (a run missed while the host was down is not made up for, `useMonitor` is ignored, IsPastDue is
  always false) and no singleton lock (two hosts on one storage both fire); WEBSITE_TIME_ZONE is ignored
- message leases: renewed at half the lease, ten minutes as in Azure unless LOCAL_MESSAGE_LEASE_SECONDS shortens it; how
  soon a failed renewal is tried again is ours
- newBatchThreshold: its default is half the batch size, as documented for one core
- function keys and authLevel are ignored, everything listens on 127.0.0.1 only
- routes: templates with constraints or optional parts fail their function; paths are case-sensitive here and
  a trailing slash matters, while Azure's are neither
- functionTimeout: Azure restarts the worker process. Here the app runs in the host's process, so the host says which
  function it was, lets the other messages go and exits with code 1
- an `async` function that blocks also blocks the host, which in Azure would be its worker only
- a stop makes the messages of unfinished functions visible at once, so that the next start goes on with them; Azure
  leaves them to their lease
"""
