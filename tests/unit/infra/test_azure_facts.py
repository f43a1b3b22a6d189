"""A resource type, API version or role id that nobody looked up does not reach a deployment."""

from infra.checks import azure_facts
from infra.checks.bicep import BicepFile

GOOD = """resource app 'Microsoft.Web/sites@2024-04-01' = {
  name: 'app'
}
var roles = {
  owner: 'b7e6dc6d-f1e8-4753-8033-0f276bb0955b' // Storage Blob Data Owner
}
"""


def problems(text: str) -> list[str]:
    return [str(found) for found in azure_facts.check({"a.bicep": BicepFile.parse("a.bicep", text)})]


def test_what_is_in_the_tables_passes() -> None:
    assert problems(GOOD) == []


def test_an_api_version_that_is_not_pinned_is_found() -> None:
    (found,) = problems(GOOD.replace("2024-04-01", "2024-40-01"))
    assert found.startswith(
        "a.bicep:1: API version '2024-40-01' of Microsoft.Web/sites is not the pinned one. Use 2024-04-01"
    )


def test_a_resource_type_that_does_not_exist_is_found() -> None:
    (found,) = problems(GOOD.replace("Web/sites", "Web/site"))
    assert found.startswith("a.bicep:1: resource type 'Microsoft.Web/site' is not in the table")


def test_a_mistyped_role_id_is_found() -> None:
    (found,) = problems(GOOD.replace("b7e6", "b7e7"))
    assert found.startswith("a.bicep:5: role id b7e7dc6d-f1e8-4753-8033-0f276bb0955b is not in the table")


def test_a_role_under_another_roles_name_is_found() -> None:
    (found,) = problems(GOOD.replace("// Storage Blob Data Owner", "// Storage Blob Data Reader"))
    assert found.startswith("a.bicep:5: role id b7e6dc6d-f1e8-4753-8033-0f276bb0955b is Storage Blob Data Owner, but")
