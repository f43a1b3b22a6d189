"""Bring events, metrics and spans to Azure Monitor, by OpenTelemetry's SDK and Microsoft's exporter.

Without the distro (azure-monitor-opentelemetry): it instruments every HTTP client by itself, which would make a row of
each request for each cab.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from functools import cache
from time import time_ns
from typing import TYPE_CHECKING

from azure.monitor.opentelemetry.exporter import (
    AzureMonitorLogExporter,
    AzureMonitorMetricExporter,
    AzureMonitorTraceExporter,
)
from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.context import Context
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.metrics import AlwaysOffExemplarFilter, MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import SERVICE_INSTANCE_ID, SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Link, StatusCode, get_current_span
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from shared.core.metrics import Metric

_NAME = "cabferry"
# What the exporter makes a row of AppEvents of.
_EVENT = "microsoft.custom_event.name"
# What it tells Microsoft of its own use, and asks there for, each with threads of its own.
_UNASKED = (
    *("STATSBEAT_DISABLED_ALL", "SDKSTATS_DISABLED", "CONTROLPLANE_DISABLED"),
    "OPENTELEMETRY_RESOURCE_METRIC_DISABLED",
)
_METRICS_MILLISECONDS = 60_000
_propagator = TraceContextTextMapPropagator()


class AzureMonitor:
    """Send what it is told, in batches, from threads of its own.

    Args:
        connection_string: Of Application Insights. As whom they write there, the exporters read by themselves from
            APPLICATIONINSIGHTS_AUTHENTICATION_STRING.
    """

    def __init__(self, connection_string: str) -> None:
        for name in _UNASKED:
            os.environ.setdefault(f"APPLICATIONINSIGHTS_{name}", "true")
        resource = Resource(
            {
                SERVICE_NAME: os.environ.get("WEBSITE_SITE_NAME", _NAME),
                SERVICE_INSTANCE_ID: os.environ.get("WEBSITE_INSTANCE_ID", str(os.getpid())),
            }
        )
        # What cannot be sent is kept in a file for later, and nobody waits for it: at the end of a process neither.
        options = {"connection_string": connection_string, "retry_total": 1, "timeout": 5.0}
        logs = LoggerProvider(resource, shutdown_on_exit=False)
        logs.add_log_record_processor(BatchLogRecordProcessor(AzureMonitorLogExporter(**options)))
        reader = PeriodicExportingMetricReader(AzureMonitorMetricExporter(**options), _METRICS_MILLISECONDS)
        metrics = MeterProvider([reader], resource, exemplar_filter=AlwaysOffExemplarFilter(), shutdown_on_exit=False)
        spans = TracerProvider(resource=resource, shutdown_on_exit=False)
        spans.add_span_processor(BatchSpanProcessor(AzureMonitorTraceExporter(**options)))
        self._logger, self._meter = logs.get_logger(_NAME), metrics.get_meter(_NAME)
        self._tracer = spans.get_tracer(_NAME)
        self._closed = (logs.shutdown, metrics.shutdown, spans.shutdown)
        self._flushed = (logs.force_flush, metrics.force_flush, spans.force_flush)
        self._recorder = cache(self._made_recorder)

    def tell(self, name: str, level: int, attributes: Mapping[str, str], traceparent: str) -> None:
        """Send an event; `shared.core.telemetry.tell` says what its arguments are."""
        # Levels of logging are tens, and severities of OpenTelemetry fours from 5 (debug) on.
        severity = SeverityNumber(level // 10 * 4 + 1)
        self._logger.emit(
            LogRecord(
                timestamp=time_ns(),
                context=_context(traceparent),
                severity_number=severity,
                body=name,
                attributes={_EVENT: name, **attributes},
            )
        )

    def record(self, metric: Metric, value: float, attributes: Mapping[str, str]) -> None:
        """Send a value of a metric."""
        self._recorder(metric)(value, attributes)

    def _made_recorder(self, metric: Metric) -> Callable[[float, Mapping[str, str]], None]:
        named = (metric.name, metric.unit)
        match metric.kind:
            case "counter":
                return self._meter.create_counter(*named).add
            case "gauge":
                return self._meter.create_gauge(*named).set
            case "histogram":
                return self._meter.create_histogram(*named).record

    @contextmanager
    def span(self, name: str, attributes: Mapping[str, str], traceparent: str, caused_by: str) -> Iterator[str]:
        """Send a span; yield its own `traceparent`."""
        cause = get_current_span(_context(caused_by)).get_span_context()
        with self._tracer.start_as_current_span(
            name,
            _context(traceparent),
            attributes=attributes,
            links=[Link(cause)] if cause.is_valid else None,
            # Its text may hold a secret; the log tells it.
            record_exception=False,
            set_status_on_exception=False,
        ) as made:
            carrier: dict[str, str] = {}
            _propagator.inject(carrier)
            try:
                yield carrier["traceparent"]
            except BaseException:
                made.set_status(StatusCode.ERROR)
                raise

    def close(self) -> None:
        """Send what waits, and end its threads."""
        for close in self._closed:
            close()

    def flush(self) -> None:
        """Send what waits, and return when it was answered."""
        for flush in self._flushed:
            flush()


def _context(traceparent: str) -> Context:
    return _propagator.extract({"traceparent": traceparent}, Context())
