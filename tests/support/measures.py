"""What can be counted of the code and its shape: `make lint` prints it.

First the figures of docs/architecture.md, then rows that have a limit. A row over its limit names
the places, and the command ends with 1.
"""

from __future__ import annotations

import ast
import io
import re
import sys
import tokenize
from collections import defaultdict
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
    "_Decrement": "pynamodb: the operands of an action, by which it is known",
    "_IfNotExists": "pynamodb: as above",
    "_Increment": "pynamodb: as above",
    "_ListAppend": "pynamodb: as above",
    "_Operand": "pynamodb: what a condition compares, by which it is known",
    "_get_connection": "pynamodb: of a model, for its connection",
    "_inject_signature_to_request": "botocore: of a signer, what ours is compared with",
    "_modify_request_before_signing": "botocore: of a signer, what ours is compared with",
    "_set_attributes": "pynamodb: of a container, which its subclasses call",
    "_log_destroy_pending": "asyncio: of a task, whether its loss is reported",
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

    def classes(self) -> Iterator[ast.ClassDef]:
        return (node for node in ast.walk(self.tree) if isinstance(node, ast.ClassDef))


@attrs.frozen
class Measure:
    """One row: what is counted, how much there may be of it, and the places."""

    name: str
    count: int
    limit: int
    places: list[str] = attrs.field(factory=list)


def long_module(module: Module, most: int) -> Iterator[str]:
    """The module, if it has more than `most` lines."""
    lines = len(module.text.splitlines())
    if lines > most:
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
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                names.add(name)
            case ast.ClassDef(name=name) | ast.Name(id=name):
                names.add(name)
    return names


def undocumented(module: Module) -> Iterator[str]:
    """Public classes and module-level functions without a docstring."""
    for node in module.tree.body:
        match node:
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                if not name.startswith("_") and not ast.get_docstring(node):
                    yield f"{module.at(node.lineno)} {name}"


def undocumented_methods(modules: Collection[Module]) -> Iterator[str]:
    """Public methods of public classes without a docstring.

    A method is documented, too, if one of its name has a docstring in a base class, or in another
    class of the folder, such as the protocol that it follows. A protocol may name a value alone.
    """
    documented = {name: _documented([each]) for m in modules for name, each in _classes(m)}
    folders: defaultdict[Path, set[str]] = defaultdict(set)
    for module in modules:
        folders[module.path.parent] |= _documented(module.classes())
    for module in modules:
        for name, cls in _classes(module):
            bases = (documented.get(base, set()) for base in _bases(cls))
            known = folders[module.path.parent].union(*bases)
            for method in cls.body:
                if isinstance(method, Function) and _is_public(method) and method.name not in known:
                    yield f"{module.at(method.lineno)} {name}.{method.name}"


def _classes(module: Module) -> Iterator[tuple[str, ast.ClassDef]]:
    return ((each.name, each) for each in module.classes() if not each.name.startswith("_"))


def _documented(classes: Iterable[ast.ClassDef]) -> set[str]:
    """The names of methods that have a docstring in one of these classes."""
    methods = (each for cls in classes for each in cls.body if isinstance(each, Function))
    return {method.name for method in methods if ast.get_docstring(method)}


def _bases(cls: ast.ClassDef) -> Iterator[str]:
    return (node.id for base in cls.bases for node in ast.walk(base) if isinstance(node, ast.Name))


def _is_public(method: Function) -> bool:
    decorators = map(ast.unparse, method.decorator_list)
    said_elsewhere = any(each.endswith(("overload", ".setter")) for each in decorators)
    names_a_value = ast.unparse(method.body[0]) == "..."
    return not (method.name.startswith("_") or said_elsewhere or names_a_value)


def lines_to_a_comment(modules: Iterable[Module]) -> int:
    """Lines of code for each line of comment; headings and what tools read do not count.

    Docstrings are neither.
    """
    code = comments = 0
    for module in modules:
        lines = set()
        for token in tokenize.generate_tokens(io.StringIO(module.text).readline):
            if token.type == tokenize.COMMENT:
                comments += not re.match(r"# (---|noqa|type:|pyright:)", token.string)
            elif token.string.strip():
                lines |= set(range(token.start[0], token.end[0] + 1))
        code += len(lines - _docstring_lines(module))
    return round(code / comments)


def _docstring_lines(module: Module) -> set[int]:
    texts = (
        node
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    )
    return {line for node in texts for line in range(node.lineno, (node.end_lineno or 0) + 1)}


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
    over_60, over_20 = partial(long_functions, most=60), partial(long_functions, most=20)
    in_package, in_tests = partial(_counted, package), partial(_counted, tests)
    methods = list(undocumented_methods(package))
    return [
        in_package("modules over 650 lines", 0, partial(long_module, most=650)),
        in_package("functions over 60 lines", 0, over_60),
        in_package("functions over 20 lines", 72, over_20),
        in_package("private names of other modules", 0, foreign_private, private_texts),
        in_package("public names without a docstring", 0, undocumented),
        Measure("public methods without a docstring", len(methods), 12, methods),
        Measure("lines of code to a comment", lines_to_a_comment(package), 76),
        in_tests("modules of tests over 1,000 lines", 0, partial(long_module, most=1000)),
        in_tests("functions of tests over 60 lines", 0, over_60),
        in_tests("private names in tests", 0, foreign_private, private_texts),
        in_tests("tests without a promise", 0, tests_without_promise),
        _counted([*package, *tests], "ignores without a code", 0, bare_ignores),
    ]


def _counted(
    modules: Iterable[Module], name: str, limit: int, *find: Callable[[Module], Iterator[str]]
) -> Measure:
    places = [place for each in find for module in modules for place in each(module)]
    return Measure(name, len(places), limit, places)


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
        print(f"{row.name:{width}}  {row.count:5}  {row.limit:5}")
    over = [row for row in rows if row.count > row.limit]
    for row in over:
        print(f"\n{row.name}:", *row.places, sep="\n  ")
    return 1 if over else 0


if __name__ == "__main__":
    sys.exit(main())
