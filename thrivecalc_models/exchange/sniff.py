"""Detect by its first bytes that a file is not what its name says."""

from __future__ import annotations

import re
import shlex
import stat
from pathlib import Path
from typing import Any

from thrivecalc_models.errors import FileProblem
from thrivecalc_models.exchange import jsontext

HEAD = 65_536
"""Bytes of a file that are looked at."""

GZIP = b"\x1f\x8b"
PARQUET = b"PAR1"
MARK = b"\xef\xbb\xbf"
"""What some programs write before UTF-8."""

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
    """Refuse what is no file. Raises FileProblem, and OSError where there is nothing."""
    mode = path.stat().st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise FileProblem(
            f"{path} is a pipe or a device; an import goes on where it stopped, and needs a file"
            " for that: write it to one first"
        )


def fingerprint(path: Path) -> list[int]:
    """Return what identifies a file, or a folder of parts, as the one that an earlier run read."""
    found = [path] if path.is_file() else [each for each in path.rglob("*") if each.is_file()]
    stats = [each.stat() for each in found]
    changed = max((each.st_mtime_ns for each in stats), default=0)
    return [sum(each.st_size for each in stats), changed, *([len(found)] if path.is_dir() else [])]


def check_beginning(path: Path, head: bytes, *, wanted: str, own: bytes = b"") -> None:
    """Raise FileProblem for a file that is something else than its name says, naming what."""
    for beginning, what in _BEGINNINGS.items():
        if head.startswith(beginning) and beginning != own:
            raise FileProblem(f"{path} is no {wanted}: it is {what}")
    if own == GZIP and head and not head.startswith(GZIP):
        kind = "text" if head.removeprefix(MARK).lstrip()[:1] in b"{[" else "something else"
        raise FileProblem(
            f"{path} is no gzip file: it is {kind}; if it is JSON lines, let its name end in .jsonl"
        )


def check_json_lines(path: Path, head: bytes) -> None:
    """Raise FileProblem for JSON that is not an item a line, with the command that makes it so."""
    text = head.removeprefix(MARK).lstrip()
    first = text.partition(b"\n")[0]
    try:
        content: Any = jsontext.loads(first)
    except jsontext.NotJsonError:
        content = None
    what = _other_document(content, text)
    if what is not None:
        raise FileProblem(f"{path} {what[0]}; {_way_out(path, what[1])}")


def _other_document(content: Any, text: bytes) -> tuple[str, str] | None:
    """What the JSON is, and the filter of jq that makes items of it, or words."""
    if isinstance(content, dict):
        if isinstance(content.get("Items"), list):
            return "is what `aws dynamodb scan` or `query` prints", ".Items[] | {Item: .}"
        change = change_in(content)
        if change is not None:
            return change, ""
        if content.keys() & {"dataFileS3Key", "manifestFilesS3Key"}:
            return "is a manifest of an export to S3", " import the files of its folder data"
    if _SCAN.match(text):
        return "is what `aws dynamodb scan` or `query` prints", ".Items[] | {Item: .}"
    of_items = isinstance(content, list) and content and isinstance(content[0], dict)
    if of_items or (content is None and re.match(rb"\[\s*[{\n]", text)):
        return "is one list in JSON, not an item a line", ".[] | if .Item then . else {Item: .} end"
    if content is None and re.match(rb'\{\s*\n\s*"Item"', text):
        return "has items over several lines, not an item a line", "{Item}"
    return None


def change_in(content: dict[str, Any]) -> str | None:
    """Whether a line of JSON is of an incremental export, which has changes and not items."""
    if "Item" in content or not content.keys() & {"NewImage", "OldImage", "Keys"}:
        return None
    return "is of an incremental export, which has changes and not items"


def _way_out(path: Path, how: str) -> str:
    if not how:
        return "export the whole table, as a full export"
    if how.startswith(" "):
        return how.strip()
    unpack = f"gunzip -c {shell_word(str(path))} | " if path.suffix == ".gz" else ""
    source = "" if unpack else f" {shell_word(str(path))}"
    return f"make it so: {unpack}jq -c {shlex.quote(how)}{source} > items.jsonl"


def shell_word(text: str) -> str:
    """Text as one word of a command for people to copy, whatever is in it."""
    if text.isprintable():
        return shlex.quote(text)
    return "$'" + text.encode("unicode_escape").decode().replace("'", "\\'") + "'"
