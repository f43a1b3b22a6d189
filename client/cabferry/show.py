"""`cabferry show`: what the catalog and the dump's header tell of a cab, without fetching it."""

from __future__ import annotations

import io
import zipfile
from typing import TYPE_CHECKING, Any

from .cabinet import Cabinet, NeedsToolError
from .catalog import read_catalog
from .choice import one_cab, short_hashes
from .container import open_container, told
from .dump import DumpFacts, facts_of
from .output import answer_json, answer_table, size, span
from .problems import Exit, ProblemError
from .ranged import RemoteFile
from .unpack import DAMAGED

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator
    from typing import IO

    from azure.storage.blob import ContainerClient

    from .catalog import Cab

_CHUNK = 8 * 1024
_DUMP_NAMES = (".dmp", ".mdmp", ".hdmp", ".kdmp")
# What stands before the dump in its archive must be read and unpacked to come to it.
_MOST_BEFORE = 16 << 20
_MOST_LOOKED_AT = 16


def run(arguments: argparse.Namespace) -> Exit:
    """Print all that is told of one cab."""
    container = open_container(arguments.container)
    cabs = read_catalog(container, arguments.parallel)
    cab = one_cab(cabs, arguments.wanted)
    facts, note = _looked_into(container, cab)
    answer: dict[str, Any] = {
        "hash": short_hashes({each.cabIdHash for each in cabs})[cab.cabIdHash],
        **cab.told(),
        "dump": facts.told() if facts else None,
        "note": note,
    }
    if arguments.json:
        answer_json(answer)
    else:
        _tell(answer)
    return Exit.DONE


def _looked_into(container: ContainerClient, cab: Cab) -> tuple[DumpFacts | None, str]:
    """Return what the dump's header tells, and how it was read or why not."""
    if not cab.is_held:
        return None, f"the container does not hold it; its state is {cab.state or 'not known'}"
    blob = container.get_blob_client(cab.blobName)
    with told(f"{cab.blobName} could not be read"):
        length = blob.get_blob_properties().size
    file = RemoteFile(blob, length)
    try:
        facts = dump_in(io.BufferedReader(file))
    except NeedsToolError as method:
        return None, f"a cabinet compressed by {method}: only whole can it be read, with `cabferry get`"
    except DAMAGED as error:
        return None, f"the archive cannot be read: {error}"
    except ProblemError as problem:
        if problem.exit_code in {Exit.NOT_ALLOWED, Exit.UNREACHABLE}:
            raise
        return None, str(problem)
    if facts is None:
        return None, "no header of a dump was found where it can be read without fetching all"
    return facts, f"read {size(file.fetched)} of {size(length)}"


def dump_in(file: IO[bytes], depth: int = 0) -> DumpFacts | None:
    """Return what the dump in an archive, or a bare one, tells; None where none is found.

    Args:
        file: The archive; only what is needed of it is read.
        depth: In how many archives this one is.
    """
    start = file.read(len(b"MSCF"))
    file.seek(0)
    if start.startswith(b"PK"):
        with zipfile.ZipFile(file) as opened:
            return _in_zip(opened, depth)
    if start.startswith(b"MSCF"):
        return _in_cabinet(Cabinet(file))
    return facts_of(_chunks(file))


def _in_zip(opened: zipfile.ZipFile, depth: int) -> DumpFacts | None:
    members = [each for each in opened.infolist() if not each.is_dir()]
    members = sorted(members, key=lambda each: _likeliest(each.filename, each.file_size))[:_MOST_LOOKED_AT]
    for member in members:
        with opened.open(member) as inner:
            if facts := facts_of(_chunks(inner)):
                return facts
    for member in members if depth == 0 else ():
        with opened.open(member) as inner:
            if facts := dump_in(inner, depth + 1):
                return facts
    return None


def _in_cabinet(cabinet: Cabinet) -> DumpFacts | None:
    near = [each for each in cabinet.members if each.offset <= _MOST_BEFORE]
    for member in sorted(near, key=lambda each: _likeliest(each.name, each.size))[:_MOST_LOOKED_AT]:
        if facts := facts_of(cabinet.read(member)):
            return facts
    return None


def _likeliest(name: str, length: int) -> tuple[bool, int]:
    return not name.lower().endswith(_DUMP_NAMES), -length


def _chunks(file: IO[bytes]) -> Iterator[bytes]:
    while chunk := file.read(_CHUNK):
        yield chunk


def _tell(answer: dict[str, Any]) -> None:
    dump = answer.pop("dump") or {}
    if dump.get("uptime") is not None:
        dump["uptime"] = f"{span(dump['uptime'])} ({dump['uptime']} s)"
    dump["parameters"] = " ".join(dump.get("parameters", ()))
    note = answer.pop("note")
    if answer["length"] is not None:
        answer["length"] = f"{size(answer['length'])} ({answer['length']} bytes)"
    rows = {**answer, **{f"dump {name}": value for name, value in dump.items()}, "note": note}
    told = [(name, str(value)) for name, value in rows.items() if value is not None and value != ""]
    answer_table(("name", "value"), told, (), "value")
