"""The app as the Functions host loads it."""

import azure.functions as func

from functions import http_api, http_dashboard, http_downloads, http_plan, http_preflight, http_reports, queues, timers
from shared.core.log_guard import guard_logs

# Before anything is logged: an error may come before the first call has read its settings.
guard_logs()
app = func.FunctionApp()
app.register_functions(http_api.blueprint)
app.register_functions(http_dashboard.blueprint)
app.register_functions(http_downloads.blueprint)
app.register_functions(http_plan.blueprint)
app.register_functions(http_preflight.blueprint)
app.register_functions(http_reports.blueprint)
app.register_functions(queues.blueprint)
app.register_functions(timers.blueprint)
