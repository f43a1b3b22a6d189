"""Read Bicep files: their syntax trees (tree-sitter-bicep), what they declare, and values that are plain literals."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import tree_sitter_bicep
from tree_sitter import Language, Parser

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tree_sitter import Node

_PARSER = Parser(Language(tree_sitter_bicep.language()))
_DECLARATIONS: dict[str, DeclarationKind] = {
    "parameter_declaration": "param",
    "variable_declaration": "var",
    "resource_declaration": "resource",
    "module_declaration": "module",
    "output_declaration": "output",
    "user_defined_function": "func",
    "type_declaration": "type",
}

type DeclarationKind = Literal["param", "var", "resource", "module", "output", "func", "type"]
type Scalar = str | int | bool


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """One thing that is wrong with the deployment.

    Args:
        path: The file, relative to the project.
        line: The line, from 1.
        problem: What is wrong.
        remedy: How to mend it.
    """

    path: str
    line: int
    problem: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.problem}. {self.remedy}"


@dataclass(frozen=True, slots=True)
class Declaration:
    """A param, var, resource, module, output, func or type.

    Args:
        kind: Its keyword.
        name: Its symbol.
        node: Its syntax.
    """

    kind: DeclarationKind
    name: str
    node: Node

    @property
    def line(self) -> int:
        """The line it starts on, from 1."""
        return line_of(self.node)

    @property
    def value(self) -> Node | None:
        """The expression after the equals sign, where there is one; a condition or loop around it included."""
        return self.node.named_children[-1] if any(child.type == "=" for child in self.node.children) else None

    @property
    def target(self) -> str:
        """The resource type with its version, or the module's path."""
        return str(literal(self.node.named_children[1]))

    @property
    def required(self) -> bool:
        """Whether a param must be given a value."""
        return self.value is None and not any(node.type == "nullable_type" for node in walk(self.node))


@dataclass(frozen=True, slots=True)
class BicepFile:
    """A parsed file.

    Args:
        path: Its path relative to the project, with forward slashes.
        text: Its lines.
        root: Its syntax tree.
        declarations: What it declares, in its order.
    """

    path: str
    text: tuple[str, ...]
    root: Node
    declarations: tuple[Declaration, ...]

    @classmethod
    def parse(cls, path: str, text: str) -> BicepFile:
        """Parse a file's text; what does not parse shows as error nodes in the tree.

        Args:
            path: The name that findings show.
            text: What the file holds.
        """
        root = _PARSER.parse(text.encode()).root_node
        declarations = tuple(
            Declaration(_DECLARATIONS[node.type], text_of(_name_of(node)), node)
            for node in walk(root)
            if node.type in _DECLARATIONS
        )
        return cls(path, tuple(text.splitlines()), root, declarations)

    def of_kind(self, kind: DeclarationKind) -> dict[str, Declaration]:
        """Return the declarations of one kind by name."""
        return {found.name: found for found in self.declarations if found.kind == kind}

    def finding(self, node: Node, problem: str, remedy: str) -> Finding:
        """Make a finding at a node's line."""
        return Finding(self.path, line_of(node), problem, remedy)


def load(root: Path) -> dict[str, BicepFile]:
    """Parse every Bicep file of the project, keyed by its path.

    Args:
        root: The project's folder.
    """
    paths = sorted((root / "infra").rglob("*.bicep"))
    names = [path.relative_to(root).as_posix() for path in paths]
    return {
        name: BicepFile.parse(name, path.read_text(encoding="utf-8")) for name, path in zip(names, paths, strict=True)
    }


def walk(node: Node) -> Iterator[Node]:
    """Yield a node and everything below it, in the order of the text."""
    yield node
    for child in node.children:
        yield from walk(child)


def text_of(node: Node | None) -> str:
    """Return how a node is spelled; nothing for no node."""
    return (node.text or b"").decode() if node is not None else ""


def line_of(node: Node) -> int:
    """Return the line a node starts on, from 1."""
    return node.start_point.row + 1


def literal(node: Node | None) -> Scalar | None:
    """Return the value of a plain string, number or boolean; None for anything that is computed."""
    if node is None:
        return None
    match node.type:
        case "string" if not any(child.type == "interpolation" for child in node.children):
            return "".join(text_of(child) for child in node.named_children)
        case "number":
            return int(text_of(node))
        case "boolean":
            return text_of(node) == "true"
        case _:
            return None


def properties(node: Node | None) -> dict[str, Node]:
    """Return the values of an object's properties by key; of none where the node is no object."""
    if node is None or node.type != "object":
        return {}
    pairs = [child.named_children for child in node.named_children if child.type == "object_property"]
    return {text_of(pair[0]).strip("'"): pair[-1] for pair in pairs if len(pair) > 1}


def body_of(declaration: Declaration) -> Node | None:
    """Return the object of a resource or module, without the condition or loop around it."""
    node = declaration.value
    while node is not None and node.type in {"if_statement", "for_statement"}:
        node = node.named_children[-1]
    return node


def symbols_in(node: Node) -> set[str]:
    """Return every identifier in an expression."""
    return {text_of(found) for found in walk(node) if found.type == "identifier"}


def _name_of(node: Node) -> Node | None:
    return node.child_by_field_name("name") or next(
        (child for child in node.named_children if child.type == "identifier"), None
    )
