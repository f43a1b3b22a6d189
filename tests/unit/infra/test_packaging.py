"""azd finds its parameters and its service, and uploads the app and nothing else."""

from collections.abc import Callable
from pathlib import Path

import pytest

from infra.check import findings

PARAMETERS = "infra/main.parameters.json"


@pytest.mark.parametrize(
    ("path", "old", "new", "expected"),
    [
        (PARAMETERS, '"reportIds"', '"reportId"', f"{PARAMETERS}:4: param reportIds of infra/main.bicep is not here"),
        (PARAMETERS, '"reportIds"', '"reportId"', f"{PARAMETERS}:13: infra/main.bicep has no param reportId"),
        (PARAMETERS, "${REPORT_IDS}", "${REPORTS}", f"{PARAMETERS}:13: reportIds reads REPORTS. Read REPORT_IDS"),
        (PARAMETERS, "${REPORT_IDS}", "12, 13", f"{PARAMETERS}:13: the value of reportIds is not one ${{VARIABLE}}"),
        (PARAMETERS, "DAYS=30}", "DAYS=90}", f"{PARAMETERS}:21: the default of cabLookbackDays is '90' here and 30"),
        (PARAMETERS, "${CAB_QUEUE=cab-pulls}", "${CAB_QUEUE}", f"{PARAMETERS}:23: the default of cabQueue is '' here"),
        ("infra/main.bicep", "output CABFERRY_URL", "output CAB_QUEUE", "output CAB_QUEUE would become the input"),
        ("infra/app/function.bicep", "'cabferry'", "'ferry'", "azure.yaml:1: the line 'ferry:' is missing"),
        ("infra/app/function.bicep", "'azd-service-name'", "'service'", "no resource has the tag azd-service-name"),
        ("azure.yaml", "host: function", "host: appservice", "azure.yaml:1: the line 'host: function' is missing"),
        (".funcignore", "/tests/\n", "/tests/\n/shared/\n", "/shared/ keeps shared from being deployed"),
        (".funcignore", "/*.md", "/*.json", "/*.json keeps host.json from being deployed"),
        (".funcignore", "/tests/\n", "/tests/\n!/shared/\n", "!/shared/ is negated"),
        (".funcignore", "/infra/\n", "", ".funcignore:1: the folder infra would be deployed. Add /infra/"),
    ],
)
def test_a_slip_is_found(
    broken: Callable[[str, str, str], list[str]], path: str, old: str, new: str, expected: str
) -> None:
    found = broken(path, old, new)
    assert any(expected in problem for problem in found), found


def test_a_new_folder_is_not_uploaded_unnoticed(project: Path) -> None:
    (project / "customer-dumps").mkdir()
    assert ".funcignore:1: the folder customer-dumps would be deployed. Add /customer-dumps/" in [
        str(finding) for finding in findings(project)
    ]
