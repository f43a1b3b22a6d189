"""The app as the Functions host loads it."""

import azure.functions as func

from functions import http_api, queues, timers

app = func.FunctionApp()
app.register_functions(http_api.blueprint)
app.register_functions(queues.blueprint)
app.register_functions(timers.blueprint)
