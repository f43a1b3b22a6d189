"""Check what a compiler would refuse first: syntax, unknown names, modules that are called with wrong parameters."""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING

from infra.checks.bicep import BicepFile, Declaration, Finding, body_of, properties, text_of, walk

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tree_sitter import Node

# The functions and decorators that are in use; another one is added here when it is
# (https://learn.microsoft.com/azure/azure-resource-manager/bicep/bicep-functions).
_FUNCTIONS = frozenset(
    {
        "empty",
        "environment",
        "guid",
        "items",
        "map",
        "resourceGroup",
        "string",
        "subscription",
        "subscriptionResourceId",
        "tenant",
        "toLower",
        "union",
        "uniqueString",
    }
)
_DECORATORS = frozenset(
    {"allowed", "description", "maxLength", "maxValue", "metadata", "minLength", "minValue", "secure"}
)
_NAMESPACES = frozenset({"az", "sys"})


def syntax(files: Mapping[str, BicepFile]) -> Iterator[Finding]:
    """Yield where files do not parse. What else could be found in them then would only mislead.

    Args:
        files: Every file by its path.
    """
    for file in files.values():
        for node in walk(file.root):
            if node.is_missing:
                yield file.finding(node, f"{node.type} is missing here", "Complete the line")
            elif node.is_error:
                seen = text_of(node).split("\n")[0][:40]
                yield file.finding(node, f"the syntax is broken at {seen!r}", "Mend this line or the one before")


def check(files: Mapping[str, BicepFile]) -> Iterator[Finding]:
    """Yield what is wrong with the names in files that parse.

    Args:
        files: Every file by its path, so that modules can be followed.
    """
    for file in files.values():
        yield from _unknown(file)
        yield from _unused(file)
        yield from _modules(file, files)


def _unknown(file: BicepFile) -> Iterator[Finding]:
    declared = frozenset(found.name for found in file.declarations if found.kind != "output")
    for node, problem in _strangers(file.root, declared):
        yield file.finding(node, problem, "Declare it, or mend its spelling")


def _strangers(node: Node, known: frozenset[str]) -> Iterator[tuple[Node, str]]:
    """Yield each identifier that no declaration, loop or lambda around it introduces."""
    local = known
    match node.type:
        case "identifier":
            if text_of(node) not in (known | _FUNCTIONS if _is_called(node) else known):
                yield node, f"{text_of(node)!r} is not declared"
            return
        case "call_expression":
            yield from _unknown_function(node, known)
        case "for_statement" | "lambda_expression":
            local = known | _introduced(node)
        case "type":
            return
        case _:
            pass
    for child in _referring_children(node):
        yield from _strangers(child, local)


def _is_called(identifier: Node) -> bool:
    """Tell whether arguments follow: the grammar reads `[f(x).y]` as the two elements `f` and `(x).y`."""
    after = identifier.next_sibling
    return after is not None and after.start_byte == identifier.end_byte and text_of(after).startswith("(")


def _unknown_function(call: Node, known: frozenset[str]) -> Iterator[tuple[Node, str]]:
    function = call.child_by_field_name("function")
    if function is None or function.type != "identifier":
        return
    decorates = call.parent is not None and call.parent.type == "decorator"
    if text_of(function) not in (_DECORATORS if decorates else _FUNCTIONS | known):
        yield function, f"{'decorator' if decorates else 'function'} {text_of(function)!r} is not known"


def _introduced(node: Node) -> frozenset[str]:
    """Return the names that a loop or a lambda gives to its body."""
    named = node.named_children[0]
    names = [named] if named.type == "identifier" else named.named_children
    return frozenset(text_of(name) for name in names)


def _referring_children(node: Node) -> list[Node]:
    """Return the children that can refer to symbols: not the names, keys and functions that are spelled there."""
    if node.type == "call_expression":
        function = node.child_by_field_name("function")
        called = function.child_by_field_name("object") if function is not None else None
        skip = function if called is None or text_of(called) in _NAMESPACES else None
        return [child for child in node.named_children if child != skip]
    if node.type in {"object_property", "metadata_declaration"} or node.type.endswith("_declaration"):
        spelled = node.named_children[0]
        # A key that is a string can hold an interpolation.
        return node.named_children[1:] if spelled.type == "identifier" else node.named_children
    if node.type == "resource_expression":
        return node.named_children[:1]
    return node.named_children


def _unused(file: BicepFile) -> Iterator[Finding]:
    used = {
        text_of(node)
        for declaration in file.declarations
        for child in _referring_children(declaration.node)
        for node in _references(child)
    }
    for found in file.declarations:
        if found.kind in {"param", "var"} and found.name not in used:
            yield file.finding(found.node, f"{found.kind} {found.name!r} is never used", "Use it or remove it")


def _references(node: Node) -> Iterator[Node]:
    if node.type == "identifier":
        yield node
    for child in _referring_children(node):
        yield from _references(child)


def _modules(file: BicepFile, files: Mapping[str, BicepFile]) -> Iterator[Finding]:
    modules = file.of_kind("module")
    targets = {
        name: files.get(posixpath.normpath(posixpath.join(posixpath.dirname(file.path), module.target)))
        for name, module in modules.items()
    }
    for name, module in modules.items():
        target = targets[name]
        if target is None:
            yield file.finding(module.node, f"module file {module.target!r} does not exist", "Mend its path")
        else:
            yield from _parameters(file, module, target)
    for node in walk(file.root):
        name, output = _output_of(node)
        target = targets.get(name)
        if target is not None and output not in target.of_kind("output"):
            yield file.finding(node, f"module {name!r} has no output {output!r}", f"Add it to {target.path}")


def _parameters(file: BicepFile, module: Declaration, target: BicepFile) -> Iterator[Finding]:
    given = properties(properties(body_of(module)).get("params"))
    declared = target.of_kind("param")
    for name, value in given.items():
        if name not in declared:
            yield file.finding(value, f"{target.path} has no param {name!r}", "Remove it here or declare it there")
    for name, param in declared.items():
        if param.required and name not in given:
            yield file.finding(module.node, f"module {module.name!r} is not given {name!r}", "Add it to its params")


def _output_of(node: Node) -> tuple[str, str]:
    """Return (module, output) of `module.outputs.output`, or empty strings."""
    outputs = node.child_by_field_name("object") if node.type == "member_expression" else None
    named = outputs.child_by_field_name("property") if outputs is not None else None
    module = outputs.child_by_field_name("object") if outputs is not None else None
    if named is None or module is None or text_of(named) != "outputs":
        return "", ""
    return text_of(module), text_of(node.child_by_field_name("property"))
