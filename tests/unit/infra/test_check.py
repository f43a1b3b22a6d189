"""`azd up` must not be the first to read the deployment: the checks find nothing wrong with the real one."""

from pathlib import Path

import pytest

from infra import check

_STAY_BEHIND = ("bench", "docs", "infra", "local", "tests", ".git", ".venv", ".local", ".azure")


def test_the_real_deployment_has_no_findings(project: Path) -> None:
    # The copy, with the folders that every clone has: what else somebody keeps there is no fault of the deployment.
    for name in _STAY_BEHIND:
        (project / name).mkdir(exist_ok=True)
    assert [str(finding) for finding in check.findings(project)] == []


def test_the_command_says_how_much_it_looked_at_and_fails_on_a_finding(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(check, "__file__", str(project / "infra" / "check.py"))
    (project / "infra" / "extra.bicep").write_text("param unused string\n", encoding="utf-8")
    assert check.main() == 1
    *found, summary = capsys.readouterr().out.splitlines()
    assert "infra/extra.bicep:1: param 'unused' is never used. Use it or remove it" in found
    assert summary == f"infra: 10 Bicep files, {len(found)} findings"
