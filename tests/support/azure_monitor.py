"""An Application Insights on loopback: what the app's own exporter sends it becomes the rows that a query finds.

The rows follow Microsoft's table of how an envelope's kind and fields are named in Log Analytics:
https://learn.microsoft.com/azure/azure-monitor/app/data-model-complete and the reference of the tables.
"""

import gzip
import json
from datetime import datetime
from pathlib import Path
from typing import Any

from tests.support.loopback import Answer, Seen

type Rows = dict[str, list[dict[str, Any]]]


class Insights:
    """What came, and as which rows."""

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []

    def answer(self, request: Seen) -> Answer:
        """Take in envelopes, as the ingestion's `/v2.1/track` does."""
        body = gzip.decompress(request.body) if request.headers.get("content-encoding") == "gzip" else request.body
        items = json.loads(body)
        self.sent += items
        told = {"itemsReceived": len(items), "itemsAccepted": len(items), "errors": []}
        return Answer(json.dumps(told).encode(), headers={"Content-Type": "application/json"})

    @property
    def rows(self) -> Rows:
        """Every row by its table."""
        rows: Rows = {"AppEvents": [], "AppMetrics": [], "AppDependencies": []}
        for item in self.sent:
            table, row = _row(item)
            rows[table].append(row)
        return rows


def insights_settings(url: str, folder: Path) -> dict[str, str]:
    """Return the variables that let an app tell an Application Insights.

    Args:
        url: Of its ingestion.
        folder: For what could not be sent.
    """
    key = "00000000-0000-0000-0000-000000000001"
    connection = f"InstrumentationKey={key};IngestionEndpoint={url}/"
    return {"APPLICATIONINSIGHTS_CONNECTION_STRING": connection, "TMPDIR": str(folder)}


def _row(item: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    data, tags = item["data"]["baseData"], item["tags"]
    row = {
        "TimeGenerated": datetime.fromisoformat(item["time"]),
        "OperationId": tags.get("ai.operation.id", ""),
        "ParentId": tags.get("ai.operation.parentId", ""),
        "AppRoleName": tags["ai.cloud.role"],
        "Properties": data.get("properties", {}),
    }
    match item["data"]["baseType"]:
        case "EventData":
            return "AppEvents", {**row, "Name": data["name"]}
        case "MetricData":
            (point,) = data["metrics"]
            # The ingestion fills in more where one value was measured; what is certain is what was sent.
            sums = {"Sum": float(point["value"]), "ItemCount": point["count"]}
            return "AppMetrics", {
                **row,
                "Name": point["name"],
                **sums,
                "Min": point.get("min"),
                "Max": point.get("max"),
            }
        case "RemoteDependencyData":
            return "AppDependencies", {**row, "Name": data["name"], "Id": data["id"], "Success": data["success"]}
        case other:
            raise AssertionError(f"a kind of envelope that nothing is known of: {other}")
