"""The deployment says what the code says: settings, defaults, names, limits and functions."""

from collections.abc import Callable

import pytest

from infra.checks.agreement import param_of

MAIN = "infra/main.bicep"


@pytest.mark.parametrize(
    ("path", "old", "new", "expected"),
    [
        (MAIN, "        REPORT_IDS: reportIds\n", "", "setting REPORT_IDS is not deployed"),
        (MAIN, "CAB_STORAGE__queueServiceUri:", "CAB_STORAGE__queueUri:", "setting CAB_STORAGE__queueUri is unknown"),
        (
            MAIN,
            "CAB_STORAGE__queueServiceUri:",
            "CAB_STORAGE__queueUri:",
            "CAB_STORAGE__queueServiceUri is not deployed",
        ),
        (MAIN, "CAB_QUEUE: cabQueue", "CAB_QUEUE: cabContainer", "setting CAB_QUEUE is not given the param cabQueue"),
        (MAIN, "pullConcurrency int = 32", "pullConcurrency int = 16", "the default of pullConcurrency is not '32'"),
        (MAIN, "'failure-cabs'", "'cabs'", "the default of cabContainer is not 'failure-cabs'"),
        (MAIN, "  'pulls'\n", "  'pull'\n", "no code in shared/ names the table 'pull'"),
        (
            MAIN,
            "retentionDays: retentionDays",
            "retentionDays: retentionDays + 1",
            "is not given the value of RETENTION_DAYS",
        ),
        (
            "infra/app/cab-storage.bicep",
            "daysAfterCreationGreaterThan: retentionDays",
            "daysAfterCreationGreaterThan: 30 + (retentionDays - retentionDays)",
            "the lifecycle rule does not use retentionDays",
        ),
        (
            "infra/app/cab-storage.bicep",
            "daysAfterCreationGreaterThan",
            "daysAfterModificationGreaterThan",
            "no lifecycle rule deletes old cabs",
        ),
        ("infra/app/function.bicep", "THREAD_COUNT: '16'", "THREAD_COUNT: '12'", "12 threads leave none for HTTP"),
        (
            "infra/app/function.bicep",
            "version: '3.13'",
            "version: '3.12'",
            "Python 3.12 is not that of .python-version",
        ),
        ("infra/app/alerts.bicep", '"check_reports"', '"check_report"', "the alert watches 'check_report'"),
        ("infra/app/alerts.bicep", '"pullFailed: "', '"pullEnded: "', "looks for lines of the log with 'pullEnded: '"),
        ("infra/app/alerts.bicep", '"reconcile: "', '"reconciled: "', "looks for lines of the log with 'reconciled: '"),
    ],
)
def test_a_disagreement_is_found(
    broken: Callable[[str, str, str], list[str]], path: str, old: str, new: str, expected: str
) -> None:
    found = broken(path, old, new)
    assert any(problem.startswith(path) and expected in problem for problem in found), found


def test_a_settings_param_is_its_name_in_camel_case() -> None:
    assert [param_of("RETENTION_DAYS"), param_of("DEVCENTER_BASE_URL")] == ["retentionDays", "devcenterBaseUrl"]
