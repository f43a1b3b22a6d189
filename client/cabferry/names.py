"""Names that come from a catalog or an archive are not trusted: what may be shown, and what may become a file."""

import re
import unicodedata

# All others are reserved by https://learn.microsoft.com/windows/win32/fileio/naming-a-file, or mean something to some
# shell even within quotes: the path of a dump is printed to be pasted.
_UNSAFE = re.compile(r"[^\w .+\-@#()\[\]=,!~]")
_DEVICES = re.compile(
    r"(?:CON|PRN|AUX|NUL|CONIN\$|CONOUT\$|(?:COM|LPT)[0-9\u00b9\u00b2\u00b3])\s*(?:\.|$)", re.IGNORECASE
)
# A file's name may have 255 bytes on Linux; a character has at most four, and paths of Windows are short.
_LONGEST = 60


def shown(text: str) -> str:
    """Return a text without what could steer a terminal or turn the order of its letters."""
    return "".join("\ufffd" if unicodedata.category(letter).startswith("C") else letter for letter in text)


def safe_name(text: str, instead: str = "unknown") -> str:
    """Return a name that every system takes for one file or folder within the folder it is put into.

    Args:
        text: A name from outside.
        instead: What to say where nothing of it can stay.
    """
    clean = _UNSAFE.sub("_", text).strip()
    stem, dot, extension = clean.rpartition(".")
    if len(clean) > _LONGEST:
        keeps_extension = dot and len(extension) < _LONGEST // 4
        clean = f"{stem[: _LONGEST - len(extension) - 1]}.{extension}" if keeps_extension else clean[:_LONGEST]
    clean = clean.rstrip(". ")
    return f"_{clean}" if _DEVICES.match(clean) else clean or instead
