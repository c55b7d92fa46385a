"""Detect by its first bytes that a file has another format than its name says."""

from __future__ import annotations

import re
import shlex
import stat
from pathlib import Path
from typing import Any

from thrivecalc_models.errors import FileProblem
from thrivecalc_models.exchange import jsontext

HEAD = 65_536
"""Bytes of a file that are examined."""

GZIP = b"\x1f\x8b"
PARQUET = b"PAR1"
MARK = b"\xef\xbb\xbf"
"""The byte order mark that some programs write before UTF-8."""

_UTF16 = "text in UTF-16; save it in UTF-8"
_BEGINNINGS = {
    GZIP: "packed with gzip; let its name say so, as in .jsonl.gz, or unpack it with gunzip",
    PARQUET: "a Parquet file; let its name end in .parquet",
    b"PK\x03\x04": "a zip file or a spreadsheet; save what is in it as CSV in UTF-8",
    b"BZh": "packed with bzip2; unpack it with bunzip2",
    b"(\xb5/\xfd": "packed with zstd; unpack it with unzstd",
    b"\xfd7zXZ": "packed with xz; unpack it with unxz",
    b"ION\x01": "in Amazon Ion; export the table again as DynamoDB JSON",
    b"\xe0\x01\x00\xea": "in Amazon Ion; export the table again as DynamoDB JSON",
    b"\xff\xfe": _UTF16,
    b"\xfe\xff": _UTF16,
}
_SCAN = re.compile(
    rb'\{\s*"(Items|Count|ScannedCount|ConsumedCapacity|NextToken|LastEvaluatedKey)"'
)


def check_regular(path: Path) -> None:
    """Raise FileProblem unless this is a file or a folder, and OSError if nothing is there."""
    mode = path.stat().st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise FileProblem(
            f"{path} is a pipe or a device; an import continues where it stopped, and needs a file"
            " for that: write it to one first"
        )


def fingerprint(path: Path) -> list[int]:
    """Return size and time of a file, or of a folder's parts and their number, to recognise it."""
    found = [path] if path.is_file() else [each for each in path.rglob("*") if each.is_file()]
    stats = [each.stat() for each in found]
    changed = max((each.st_mtime_ns for each in stats), default=0)
    return [sum(each.st_size for each in stats), changed, *([len(found)] if path.is_dir() else [])]


def check_beginning(path: Path, head: bytes, *, wanted: str, own: bytes = b"") -> None:
    """Raise FileProblem for a file of another format than its name says; the text names it."""
    for beginning, what in _BEGINNINGS.items():
        if head.startswith(beginning) and beginning != own:
            raise FileProblem(f"{path} is not a {wanted}: it is {what}")
    if own == GZIP and head and not head.startswith(GZIP):
        kind = "text" if head.removeprefix(MARK).lstrip()[:1] in b"{[" else "something else"
        raise FileProblem(
            f"{path} is not a gzip file: it is {kind}; if it is JSON lines, let its name end in"
            " .jsonl"
        )


def check_json_lines(path: Path, head: bytes) -> None:
    """Raise FileProblem for JSON that is not an item a line, with a command that converts it."""
    text = head.removeprefix(MARK).lstrip()
    first = text.partition(b"\n")[0]
    try:
        content: Any = jsontext.loads(first)
    except jsontext.NotJsonError:
        content = None
    if isinstance(content, dict):
        if change_in(content):
            raise FileProblem(f"{path} {change_in(content)}; make a full export instead")
        if content.keys() & {"dataFileS3Key", "manifestFilesS3Key"}:
            raise FileProblem(
                f"{path} is a manifest of an export to S3; import the files of its folder data"
            )
    other = _other_document(content, text)
    if other is not None:
        what, jq = other[0], f"jq -c {shlex.quote(other[1])}"
        name = shell_word(str(path))
        command = f"gunzip -c {name} | {jq}" if path.suffix == ".gz" else f"{jq} {name}"
        raise FileProblem(f"{path} {what}; convert it: {command} > items.jsonl")


def _other_document(content: Any, text: bytes) -> tuple[str, str] | None:
    """What other JSON with items this is, and the filter of jq that extracts them; else None.

    `content` is that of the first line, None if the document has several lines.
    """
    of_scan = isinstance(content, dict) and isinstance(content.get("Items"), list)
    if of_scan or _SCAN.match(text):
        return "is what `aws dynamodb scan` or `query` prints", ".Items[] | {Item: .}"
    of_items = isinstance(content, list) and content and isinstance(content[0], dict)
    if of_items or (content is None and re.match(rb"\[\s*[{\n]", text)):
        return "is one list in JSON, not an item a line", ".[] | if .Item then . else {Item: .} end"
    if content is None and re.match(rb'\{\s*\n\s*"Item"', text):
        return "has items over several lines, not an item a line", "{Item}"
    return None


def change_in(content: dict[str, Any]) -> str | None:
    """What the content of a line is if it is of an incremental export, else None."""
    if "Item" in content or not content.keys() & {"NewImage", "OldImage", "Keys"}:
        return None
    return "is of an incremental export, which has changes and not items"


def shell_word(text: str) -> str:
    """Quote text as one word of a command for people to copy; control characters are escapes."""
    if text.isprintable():
        return shlex.quote(text)
    return "$'" + text.encode("unicode_escape").decode().replace("'", "\\'") + "'"
