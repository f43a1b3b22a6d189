"""What a Bicep compiler would refuse is found before a deployment is tried."""

import pytest

from infra.checks import symbols
from infra.checks.bicep import BicepFile

GOOD = """
targetScope = 'subscription'
@secure()
@minLength(1)
param name string
param others string[] = []
param size int?
var tags = { 'azd-env-name': name }
resource group 'Microsoft.Resources/resourceGroups@2022-09-01' = {
  name: 'rg-${name}'
  location: az.subscription().id
  tags: union(tags, {
    '${name}': size
  })
}
var both = map(items(tags), item => {
  name: item.key
})
var named = [for (other, index) in others: '${other}${index}']
module store 'app/store.bicep' = if (!empty(both)) {
  name: 'store'
  scope: group
  params: {
    names: named
    scopes: [
      resourceGroup().id
    ]
  }
}
output url string = store.outputs.url
"""
STORE = """
param names string[]
param scopes array
param limit int = 3
resource stores 'Microsoft.Storage/storageAccounts@2025-01-01' = [
  for name in names: {
    name: name
    properties: {
      limit: limit
      scopes: scopes
    }
    dependsOn: [
      first
    ]
  }
]
resource first 'Microsoft.Storage/storageAccounts@2025-01-01' existing = {
  name: names[0]
}
output url string = stores[0].properties.url
"""


def problems(main: str, store: str = STORE) -> list[str]:
    texts = {"infra/main.bicep": main.lstrip(), "infra/app/store.bicep": store.lstrip()}
    files = {path: BicepFile.parse(path, text) for path, text in texts.items()}
    return [str(found) for found in list(symbols.syntax(files)) or symbols.check(files)]


def test_conditions_loops_lambdas_and_interpolations_are_understood() -> None:
    assert problems(GOOD) == []


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("'rg-${name}'", "'rg-${nmae}'", "infra/main.bicep:9: 'nmae' is not declared"),
        ("scope: group", "scope: grup", "infra/main.bicep:21: 'grup' is not declared"),
        ("item.key", "itm.key", "infra/main.bicep:16: 'itm' is not declared"),
        ("${index}", "${indx}", "infra/main.bicep:18: 'indx' is not declared"),
        ("'${name}': size", "'${nam}': size", "infra/main.bicep:12: 'nam' is not declared"),
        ("union(tags", "unoin(tags", "infra/main.bicep:11: function 'unoin' is not known"),
        ("resourceGroup()", "resourceGrup()", "infra/main.bicep:25: 'resourceGrup' is not declared"),
        ("@secure()", "@secret()", "infra/main.bicep:2: decorator 'secret' is not known"),
        ("tags: union(tags,", "tags: union({},", "infra/main.bicep:7: var 'tags' is never used"),
        (": size", ": name", "infra/main.bicep:6: param 'size' is never used"),
        ("app/store.bicep", "app/shop.bicep", "infra/main.bicep:19: module file 'app/shop.bicep' does not exist"),
        ("names: named", "limit: 4", "infra/main.bicep:19: module 'store' is not given 'names'"),
        (
            "names: named",
            "names: named\n    nams: named",
            "infra/main.bicep:24: infra/app/store.bicep has no param 'nams'",
        ),
        ("outputs.url", "outputs.uri", "infra/main.bicep:29: module 'store' has no output 'uri'"),
        ("  scope: group\n", "  scope: group }\n", "infra/main.bicep:22: the syntax is broken"),
    ],
)
def test_a_slip_is_found_with_its_line(old: str, new: str, expected: str) -> None:
    assert old in GOOD
    main = GOOD.replace(old, new, 1)
    if "'tags' is never used" in expected:
        main = main.replace("items(tags)", "items({})")
    assert any(found.startswith(expected) for found in problems(main)), problems(main)


def test_broken_syntax_is_reported_once_and_not_as_unknown_names() -> None:
    found = problems(GOOD.replace("var tags = {", "var tags = ", 1))
    assert found
    assert all("the syntax is broken" in problem or "missing" in problem for problem in found)


def test_a_slip_in_a_module_is_found_in_the_module() -> None:
    assert problems(GOOD, STORE.replace("limit: limit", "limit: limt")) == [
        "infra/app/store.bicep:8: 'limt' is not declared. Declare it, or mend its spelling",
        "infra/app/store.bicep:3: param 'limit' is never used. Use it or remove it",
    ]
