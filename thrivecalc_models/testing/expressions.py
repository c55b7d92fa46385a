"""Parse DynamoDB's expressions: conditions, filters, key conditions and projections.

Text becomes a tree, which is cached; `bound_condition` and `bound_projection` combine it with the
placeholders of a request. Source: "Using expressions in DynamoDB", Amazon DynamoDB
Developer Guide.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any, Final, TypeVar

from thrivecalc_models.testing.conditions import (
    SIZED_TYPES,
    BeginsWith,
    Between,
    Compare,
    Condition,
    Contains,
    Every,
    Exists,
    HasType,
    In,
    Not,
    Operand,
    PathOperand,
    SizeOperand,
    Some,
    ValueOperand,
    check_types,
)
from thrivecalc_models.testing.paths import Path, check_apart
from thrivecalc_models.testing.placeholders import Parsed, Placeholders
from thrivecalc_models.testing.refusals import Invalid
from thrivecalc_models.testing.reserved_words import RESERVED_WORDS

MAX_EXPRESSION_BYTES: Final = 4096
MAX_OPERATORS: Final = 300
MAX_IN_OPERANDS: Final = 100


def bound_condition(text: str, placeholders: Placeholders) -> Condition:
    """The condition of a request, with operands that can be right."""
    parsed = parse_condition(text)
    placeholders.bind(parsed)
    condition: Condition = parsed.tree
    condition.check(placeholders)
    sized = [operand.of for operand in condition.operands() if isinstance(operand, SizeOperand)]
    check_types("size", sized, SIZED_TYPES, placeholders)
    return condition


def bound_projection(text: str, placeholders: Placeholders) -> tuple[Path, ...]:
    """The paths of a request's projection; raises Invalid if two overlap."""
    parsed = parse_projection(text)
    placeholders.bind(parsed)
    paths = tuple(path.resolve(placeholders) for path in parsed.tree)
    check_apart(paths)
    return paths


def parse_condition(text: str) -> Parsed:
    """A condition, filter or key condition; raises Invalid for what DynamoDB cannot read."""
    return _parse_condition(checked_text(text, "condition"))


def parse_projection(text: str) -> Parsed:
    """A projection: its tree is a tuple of paths."""
    return _parse_projection(checked_text(text, "projection"))


def checked_text(text: object, what: str) -> str:
    """The text of an expression; raises Invalid for one that is empty or over 4 KB."""
    if not isinstance(text, str):
        raise Invalid(f"The {what} expression is no text", code="SerializationException")
    if not text.strip():
        raise Invalid(f"Invalid {what} expression: The expression can not be empty;")
    if len(text.encode()) > MAX_EXPRESSION_BYTES:
        raise Invalid(
            f"Invalid {what} expression: Expression size has exceeded the maximum allowed size"
        )
    return text


Found = TypeVar("Found")

_TOKENS: Final = re.compile(
    r"\s*(?:(?P<name>[#:][A-Za-z0-9_]+|[A-Za-z][A-Za-z0-9_]*)"
    r"|(?P<index>\[\s*(?:0|[1-9][0-9]*)\s*\])|(?P<sign><>|<=|>=|[=<>(),.+-])|(?P<end>\Z))"
)
_KEYWORDS: Final = frozenset({"AND", "OR", "NOT", "BETWEEN", "IN"})
_COMPARATORS: Final = frozenset({"=", "<>", "<", "<=", ">", ">="})


class Parser:
    """Tokens of one expression, read by recursive descent.

    `operators` counts what DynamoDB counts: comparators, keywords and functions, at most 300.
    """

    def __init__(self, text: str, what: str) -> None:
        self._what = what
        self._tokens = list(self._split(text))
        self._at = 0
        self._names: set[str] = set()
        self._values: set[str] = set()
        self._operators = 0

    def parsed(self, tree: Any) -> Parsed:
        """The finished expression; raises Invalid if tokens are left or operators too many."""
        if self.token:
            raise self.syntax_error()
        if self._operators > MAX_OPERATORS:
            raise self.error(f"too many operators; operator count: {self._operators}")
        return Parsed(tree, frozenset(self._names), frozenset(self._values))

    @property
    def token(self) -> str:
        """The next token, not taken yet; empty at the end."""
        return self._tokens[self._at]

    @property
    def keyword(self) -> str:
        """The next token in upper case: keywords may be written in any."""
        return self.token.upper()

    def take(self) -> str:
        """Take the next token."""
        token = self.token
        self._at += 1
        return token

    def accept(self, sign: str) -> bool:
        """Take this sign or keyword if it is next."""
        if self.keyword != sign:
            return False
        self._at += 1
        return True

    def expect(self, sign: str) -> None:
        """Take this sign or keyword; raises Invalid if another token is next."""
        if not self.accept(sign):
            raise self.syntax_error()

    def calls_function(self) -> bool:
        """Whether a name and an opening parenthesis are next."""
        return self.token[:1].isalpha() and self._tokens[self._at + 1 : self._at + 2] == ["("]

    def doubles_parentheses(self) -> bool:
        """Whether the parentheses that open here enclose nothing but another pair."""
        if self._tokens[self._at + 1] != "(":
            return False
        closed = self._closing(self._at + 1)
        return closed is not None and self._tokens[closed + 1] == ")"

    def count_operator(self) -> None:
        """Count one operator for the limit of 300."""
        self._operators += 1

    def separated(self, part: Callable[[], Found]) -> tuple[Found, ...]:
        """One part or more, with commas between them."""
        parts = [part()]
        while self.accept(","):
            parts.append(part())
        return tuple(parts)

    def arguments(self, count: int, argument: Callable[[], Found]) -> tuple[Found, ...]:
        """The operands of a function, whose name was taken already."""
        self.count_operator()
        self.expect("(")
        found = self.separated(argument)
        self.expect(")")
        if len(found) != count:
            raise self.error(f"Incorrect number of operands; number of operands: {len(found)}")
        return found

    def path(self) -> PathOperand:
        """A document path, such as `a.#b[0]`."""
        parts: list[str | int] = [self._path_name()]
        while True:
            if self.accept("."):
                parts.append(self._path_name())
            elif self.token.startswith("["):
                parts.append(int(self.take()[1:-1]))
            else:
                return PathOperand(tuple(parts))

    def value(self) -> ValueOperand:
        """A `:value` placeholder."""
        if not self.token.startswith(":"):
            raise self.syntax_error()
        self._values.add(self.token)
        return ValueOperand(self.take())

    def error(self, message: str) -> Invalid:
        """The error of this expression, to be raised."""
        return Invalid(f"Invalid {self._what} expression: {message}")

    def syntax_error(self) -> Invalid:
        """The error for a token that cannot stand here."""
        return self.error(f'Syntax error; token: "{self.token or "<EOF>"}"')

    def _closing(self, opening: int) -> int | None:
        level = 0
        for at in range(opening, len(self._tokens)):
            level += {"(": 1, ")": -1}.get(self._tokens[at], 0)
            if level == 0:
                return at
        return None

    def _path_name(self) -> str:
        name = self.token
        if name.startswith("#"):
            self._names.add(name)
        elif not name[:1].isalpha() or name.upper() in _KEYWORDS:
            raise self.syntax_error()
        elif name.upper() in RESERVED_WORDS:
            raise self.error(f"Attribute name is a reserved keyword; reserved keyword: {name}")
        return self.take()

    def _split(self, text: str) -> Iterator[str]:
        at = 0
        while True:
            match = _TOKENS.match(text, at)
            if match is None:
                raise self.error(f'Syntax error; token: "{text[at:].strip()[:1]}"')
            at = match.end()
            yield match[match.lastgroup or "end"]
            if match.lastgroup == "end":
                return


@lru_cache(maxsize=2048)
def _parse_condition(text: str) -> Parsed:
    parser = Parser(text, "condition")
    return parser.parsed(_any_of(parser))


@lru_cache(maxsize=512)
def _parse_projection(text: str) -> Parsed:
    parser = Parser(text, "projection")
    return parser.parsed(parser.separated(parser.path))


def _any_of(parser: Parser) -> Condition:
    conditions = [_all_of(parser)]
    while parser.accept("OR"):
        parser.count_operator()
        conditions.append(_all_of(parser))
    return conditions[0] if len(conditions) == 1 else Some(tuple(conditions))


def _all_of(parser: Parser) -> Condition:
    conditions = [_negated(parser)]
    while parser.accept("AND"):
        parser.count_operator()
        conditions.append(_negated(parser))
    return conditions[0] if len(conditions) == 1 else Every(tuple(conditions))


def _negated(parser: Parser) -> Condition:
    if parser.accept("NOT"):
        parser.count_operator()
        return Not(_negated(parser))
    return _single(parser)


def _single(parser: Parser) -> Condition:
    if parser.token == "(":
        return _in_parentheses(parser)
    if parser.calls_function() and parser.token != "size":  # which is an operand
        return _function(parser)
    return _comparison(parser)


def _in_parentheses(parser: Parser) -> Condition:
    if parser.doubles_parentheses():
        raise parser.error("The expression has redundant parentheses;")
    parser.expect("(")
    condition = _any_of(parser)
    parser.expect(")")
    return condition


def _function(parser: Parser) -> Condition:
    name = parser.take()
    if name in ("attribute_exists", "attribute_not_exists"):
        (path,) = parser.arguments(1, parser.path)
        return Exists(path, wanted=name == "attribute_exists")
    if name == "attribute_type":
        operand, kind = parser.arguments(2, lambda: _operand(parser))
        if not isinstance(kind, ValueOperand):
            raise parser.error("attribute_type takes the name of the type as a value")
        return HasType(operand, kind)
    if name == "begins_with":
        return BeginsWith(*parser.arguments(2, lambda: _operand(parser)))
    if name == "contains":
        return Contains(*parser.arguments(2, lambda: _operand(parser)))
    raise parser.error(f"Invalid function name; function: {name}")


def _comparison(parser: Parser) -> Condition:
    operand = _operand(parser)
    parser.count_operator()
    if parser.token in _COMPARATORS:
        return Compare(operand, parser.take(), _operand(parser))
    if parser.accept("BETWEEN"):
        low = _operand(parser)
        parser.expect("AND")
        return Between(operand, low, _operand(parser))
    if parser.accept("IN"):
        parser.expect("(")
        choices = parser.separated(lambda: _operand(parser))
        parser.expect(")")
        if len(choices) > MAX_IN_OPERANDS:
            raise parser.error(f"IN is provided with too many operands: {len(choices)}")
        return In(operand, choices)
    raise parser.syntax_error()


def _operand(parser: Parser) -> Operand:
    if parser.token.startswith(":"):
        return parser.value()
    if parser.calls_function() and parser.token == "size":
        parser.take()
        (of,) = parser.arguments(1, lambda: _operand(parser))
        return SizeOperand(of)
    return parser.path()
