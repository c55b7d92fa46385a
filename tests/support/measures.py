"""What can be counted of the code and its shape: `make lint` prints it.

First the figures of docs/architecture.md, then rows that have a limit. A row over its limit names
the places, and the command ends with 1.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Callable, Collection, Iterable, Iterator
from functools import partial
from pathlib import Path

import attrs

ROOT = Path(__file__).parents[2]

Function = ast.FunctionDef | ast.AsyncFunctionDef

FROM_OUTSIDE = {
    "_exit": "os: ends a process that nothing else can end",
    "_getframe": "sys: the module of a caller, which attrs and typing find in the same way",
    "_endpoint": "botocore: of a client, to replace its connection pool",
    "_fields": "namedtuple: the names of its fields",
    "_host_from_url": "botocore: the host of an endpoint, what ours is compared with",
    "_get_connection": "pynamodb: of a model, for its connection",
    "_inject_signature_to_request": "botocore: of a signer, what ours is compared with",
    "_modify_request_before_signing": "botocore: of a signer, what ours is compared with",
    "_set_attributes": "pynamodb: of a container, which its subclasses call",
    "_make_api_call": "botocore: of a client, which has no other call by an operation's name",
    "_pool_classes_by_scheme": "urllib3: of a pool manager, for pools of a class of ours",
    "_request_signer": "botocore: of a client, for its credentials",
    "_resolve_endpoint_ruleset": "botocore: of a client, for its endpoint",
}
"""Private names of other packages that have no public form, and what they are used for."""


@attrs.frozen
class Module:
    """One file: where it is, its text and its tree."""

    path: Path
    text: str
    tree: ast.Module

    @classmethod
    def read(cls, path: Path) -> Module:
        text = path.read_text()
        return cls(path, text, ast.parse(text))

    def at(self, line: int) -> str:
        return f"{self.path.relative_to(ROOT)}:{line}"

    def functions(self) -> Iterator[Function]:
        return (node for node in ast.walk(self.tree) if isinstance(node, Function))


@attrs.frozen
class Measure:
    """One row: what is counted, the places, and how many there may be."""

    name: str
    places: list[str]
    limit: int


def long_module(module: Module) -> Iterator[str]:
    """The module, if it has more than 650 lines."""
    lines = len(module.text.splitlines())
    if lines > 650:
        yield f"{module.at(1)} {lines}"


def long_functions(module: Module, most: int) -> Iterator[str]:
    """Functions whose body, without its docstring, has more than `most` lines."""
    for function in module.functions():
        body = function.body[1:] if ast.get_docstring(function) else function.body
        lines = (function.end_lineno or 0) - body[0].lineno + 1 if body else 0
        if lines > most:
            yield f"{module.at(function.lineno)} {function.name}: {lines}"


def foreign_private(module: Module) -> Iterator[str]:
    """Reads and writes of `_names` that neither this module nor another package defines."""
    own = _own_names(module)
    for node in ast.walk(module.tree):
        match node:
            case ast.Attribute(value=ast.Name(id="self" | "cls") | ast.Call(ast.Name(id="super"))):
                continue
            case ast.Attribute(attr=name) if name.startswith("_") and not name.startswith("__"):
                if name not in own and name not in FROM_OUTSIDE:
                    yield f"{module.at(node.lineno)} {name}"


def private_texts(module: Module) -> Iterator[str]:
    """Private names of a module that a test imports, or replaces by name."""
    for node in ast.walk(module.tree):
        match node:
            case ast.ImportFrom(names=names):
                found = [alias.name for alias in names]
            case ast.Call(func=ast.Attribute(attr="setattr" | "delattr"), args=[*first]):
                texts = [one.value for one in first[:2] if isinstance(one, ast.Constant)]
                found = [str(text).rpartition(".")[2] for text in texts]
            case _:
                continue
        for name in found:
            if name.startswith("_") and not name.startswith("__") and name not in FROM_OUTSIDE:
                yield f"{module.at(node.lineno)} {name}"


def _own_names(module: Module) -> set[str]:
    """The names that a module defines, for itself or for its classes."""
    names = set()
    for node in ast.walk(module.tree):
        match node:
            case ast.Attribute(value=ast.Name(id="self" | "cls"), attr=name):
                names.add(name)
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name) | ast.Name(id=name):
                names.add(name)
    return names


def undocumented(module: Module) -> Iterator[str]:
    """Public classes and module-level functions without a docstring."""
    for node in module.tree.body:
        match node:
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                if not name.startswith("_") and not ast.get_docstring(node):
                    yield f"{module.at(node.lineno)} {name}"


def bare_ignores(module: Module) -> Iterator[str]:
    """Ignores of a tool that do not say of which rule."""
    for number, line in enumerate(module.text.splitlines(), 1):
        if re.search(r"#\s*type:\s*ignore(?!\[)|#\s*noqa(?!:)", line):
            yield module.at(number)


def tests_without_promise(module: Module) -> Iterator[str]:
    """Tests without a docstring."""
    for function in module.functions():
        if function.name.startswith("test_") and not ast.get_docstring(function):
            yield f"{module.at(function.lineno)} {function.name}"


def modules_in(folder: Path) -> list[Module]:
    """The modules of a folder, by path."""
    return [Module.read(path) for path in sorted(folder.rglob("*.py"))]


def figures(modules: Collection[Module]) -> dict[str, int]:
    """How much there is in some modules; a test counts once, whatever its parameters."""
    functions = [function for module in modules for function in module.functions()]
    return {
        "modules": len(modules),
        "lines": sum(len(module.text.splitlines()) for module in modules),
        "functions and methods": len(functions),
        "tests": sum(1 for function in functions if function.name.startswith("test_")),
    }


def measures(package: list[Module], tests: list[Module]) -> list[Measure]:
    """Every row, for the modules of the package and of its tests."""
    functions = sum(1 for module in package for _ in module.functions())
    over_60, over_20 = partial(long_functions, most=60), partial(long_functions, most=20)
    return [
        Measure("modules over 650 lines", _places(package, long_module), 3),
        Measure("functions over 60 lines", _places(package, over_60), 0),
        Measure("functions over 20 lines", _places(package, over_20), functions // 15),
        Measure("private names of other modules", _places(package, foreign_private), 0),
        Measure(
            "private names in tests",
            [*_places(tests, foreign_private), *_places(tests, private_texts)],
            0,
        ),
        Measure("public names without a docstring", _places(package, undocumented), 120),
        Measure("ignores without a code", _places([*package, *tests], bare_ignores), 0),
        Measure("tests without a promise", _places(tests, tests_without_promise), 0),
    ]


def _places(modules: Iterable[Module], find: Callable[[Module], Iterator[str]]) -> list[str]:
    return [place for module in modules for place in find(module)]


def main() -> int:
    package, tests = modules_in(ROOT / "thrivecalc_models"), modules_in(ROOT / "tests")
    rows = measures(package, tests)
    width = max(len(row.name) for row in rows)
    counted = figures(tests)
    print(f"{'':{width}}  package   tests")
    for name, count in figures(package).items():
        print(f"{name:{width}}  {count:7,}  {counted[name]:6,}")
    print(f"\n{'':{width}}  count  limit")
    for row in rows:
        print(f"{row.name:{width}}  {len(row.places):5}  {row.limit:5}")
    over = [row for row in rows if len(row.places) > row.limit]
    for row in over:
        print(f"\n{row.name}:", *row.places, sep="\n  ")
    return 1 if over else 0


if __name__ == "__main__":
    sys.exit(main())
