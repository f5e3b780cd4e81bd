"""MLflow's search language: filters ``metrics.auc > 0.9 AND tags.team = 'ops'`` and orders ``metrics.auc DESC``.

The language is that of its `SearchUtils` (https://mlflow.org/docs/latest/ml/search/search-runs/): conditions joined by
AND; names that are no plain word in backticks or double quotes; texts in single or double quotes. One grammar reads
all searches; the vocabulary says what each may name.
Filters become values here and SQL with bound values elsewhere; no text of a filter ever enters a statement.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial

from ..core import DataError
from .vocabulary import DATASET_KEYS, EQUALITY, LISTS, PRESENCE, RUNS, SIZES, Vocabulary

Value = str | float | int | tuple[str, ...] | None
Refuse = Callable[[str], DataError]


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition of a filter.

    Attributes:
        kind: ``attribute``, ``metric``, ``param``, ``tag`` or ``dataset``.
        key: Its name; of an attribute the name that the vocabulary gives it.
        comparator: In capitals: ``=``, ``LIKE``, ``IS NULL``, ...
        value: A text, a number, several texts (``IN``) or nothing (``IS NULL``).
    """

    kind: str
    key: str
    comparator: str
    value: Value


@dataclass(frozen=True, slots=True)
class Order:
    """One key of an order. Runs without the value come last in both directions, NaN before them.

    Attributes:
        kind: As in `Condition`.
        key: Its name.
        ascending: Whether the smallest comes first.
        dataset: Of a logged model's metric, name and digest (``""`` for any) of the data set it was measured on.
    """

    kind: str
    key: str
    ascending: bool
    dataset: tuple[str, str] | None = field(default=None, kw_only=True)


LONGEST, LONGEST_ORDER = 100_000, 1000  # characters of a filter, of a key of an order
MOST_LISTED = 10_000  # texts of a list: databases bind no more than some 30,000 values
_LONGEST_WHOLE = 40  # digits and sign; a longer number is as good as infinite, and slow to read
_TOKEN = re.compile(
    r"""\s*(?:
        (?P<compare> <=|>=|!=|=|<|> )
      | (?P<list> \( (?: '(?:[^'\\]|\\.)*' | "(?:[^"\\]|\\.)*" | [^()'"] )* \) )
      | (?P<number> [-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?(?![\w.]) )
      | (?P<text> '(?:''|\\'|[^'])*' )
      | (?P<name> (?:`[^`]*`|"[^"]*"|[^\W\d][\w$]*)(?:\.(?:`[^`]*`|"[^"]*"|\w[\w$]*))* )
    )""",
    re.VERBOSE,
)
_ITEM = re.compile(r"""\s*('(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")\s*(,|$)""")
_ORDER = re.compile(r"\s*(?P<name>\S.*?)(?:\s+(?P<direction>asc|desc))?\s*", re.IGNORECASE | re.DOTALL)
_WORDS = (("IS", "NOT", "NULL"), ("NOT", "LIKE"), ("NOT", "IN"), ("IS", "NULL"), ("LIKE",), ("ILIKE",), ("IN",))


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str


def parse_filter(text: str, words: Vocabulary = RUNS) -> tuple[Condition, ...]:
    """The conditions of a filter; none for an empty one.

    Raises:
        DataError: It is not of the language; the message says where.

    Example:
        >>> [(c.kind, c.key, c.comparator, c.value) for c in parse_filter("metrics.auc > 0.9 and tags.`a-b` != 'x'")]
        [('metric', 'auc', '>', 0.9), ('tag', 'a-b', '!=', 'x')]
    """
    refuse = partial(_invalid, text)
    tokens = _tokens(text, refuse)
    found = []
    while tokens:
        condition, tokens = _condition(tokens, words, refuse)
        found.append(condition)
        if tokens:
            if tokens[0].text.upper() != "AND" or len(tokens) == 1:
                raise refuse(f"expected AND and another condition at {tokens[0].text!r}")
            tokens = tokens[1:]
    return tuple(found)


def parse_order(text: str, words: Vocabulary = RUNS) -> Order:
    """One key of an order: a name, with ``ASC`` (the default) or ``DESC``.

    Raises:
        DataError: It is not of the language.

    Example:
        >>> parse_order("metrics.`val auc` DESC")
        Order(kind='metric', key='val auc', ascending=False, dataset=None)
    """
    found = _ORDER.fullmatch(text) if len(text) <= LONGEST_ORDER else None
    refuse = partial(_invalid_order, text)
    names = _tokens(found["name"], refuse) if found else []
    if not found or len(names) != 1 or names[0].kind != "name":
        raise refuse("use a name such as metrics.auc, then ASC or DESC")
    kind, key = _identifier(names[0], words, refuse)
    if kind == "dataset":
        raise refuse("runs cannot be ordered by their data sets")
    return Order(kind, key, (found["direction"] or "asc").lower() == "asc")


def parse_orders(texts: Iterable[str], words: Vocabulary = RUNS) -> tuple[Order, ...]:
    """The keys of an order, each one once.

    Raises:
        DataError: One is not of the language, or comes twice.

    Example:
        >>> [order.key for order in parse_orders(["metrics.auc DESC", "start_time"])]
        ['auc', 'start_time']
    """
    orders, seen = tuple(parse_order(text, words) for text in texts), set[tuple[str, str]]()
    for order in orders:
        if (order.kind, order.key) in seen:
            raise DataError(f"`order_by` contains duplicate fields: {order.kind} {order.key!r} stands twice")
        seen.add((order.kind, order.key))
    return orders


def _tokens(text: str, refuse: Refuse) -> list[_Token]:
    if len(text) > LONGEST:
        raise refuse(f"it has {len(text):,} characters: ask with at most {LONGEST:,}")
    text = text.rstrip()
    found, at = [], 0
    while at < len(text):
        token = _TOKEN.match(text, at)
        if token is None:
            raise refuse(f"cannot read {text[at : at + 50].strip()!r}")
        kind = token.lastgroup or ""
        found.append(_Token(kind, token[kind]))
        at = token.end()
    return found


def _condition(tokens: list[_Token], words: Vocabulary, refuse: Refuse) -> tuple[Condition, list[_Token]]:
    if tokens[0].kind != "name":
        raise refuse(f"expected a name such as metrics.auc at {tokens[0].text!r}")
    kind, key = _identifier(tokens[0], words, refuse)
    comparator, rest = _comparator(tokens[1:], refuse)
    numeric = kind == "metric" or (kind == "attribute" and key in words.numbers.values())
    allowed = EQUALITY | SIZES if numeric else words.comparators[kind]
    if comparator not in allowed:
        raise refuse(f"Invalid comparator '{comparator}' for {kind} '{key}': use one of {sorted(allowed)}")
    if comparator in PRESENCE:
        return Condition(kind, key, comparator, None), rest
    if not rest:
        raise refuse(f"expected a value after {key!r} {comparator}")
    if numeric:
        return Condition(kind, key, comparator, _number(rest[0], key, words, refuse)), rest[1:]
    if comparator in LISTS:
        return Condition(kind, key, comparator, _list(rest[0], kind, key, words, refuse)), rest[1:]
    return Condition(kind, key, comparator, _text(rest[0], key, words, refuse)), rest[1:]


def _comparator(tokens: list[_Token], refuse: Refuse) -> tuple[str, list[_Token]]:
    if tokens and tokens[0].kind == "compare":
        return tokens[0].text, tokens[1:]
    for spelled in _WORDS:
        if tuple(token.text.upper() for token in tokens[: len(spelled)]) == spelled:
            return " ".join(spelled), tokens[len(spelled) :]
    raise refuse("expected a comparator such as = or LIKE" + (f" at {tokens[0].text!r}" if tokens else ""))


def _identifier(token: _Token, words: Vocabulary, refuse: Refuse) -> tuple[str, str]:
    prefix, dot, rest = token.text.partition(".")
    if not dot or prefix[0] == '"':
        kind, key = "attribute", _bare(token.text)
    else:
        found = words.kinds.get(prefix.strip("`"))
        if found is None:
            raise refuse(f"Invalid entity type '{prefix}': use one of {sorted({*words.kinds.values()})}")
        kind, key = found, _bare(rest)
    if kind == "attribute":
        named = words.texts.get(key) or words.numbers.get(key)
        if named is None:
            raise refuse(
                f"Invalid attribute key '{key}' specified: use one of {sorted({*words.texts, *words.numbers})}"
            )
        key = named
    if kind == "dataset" and key not in DATASET_KEYS:
        raise refuse(f"Invalid dataset key '{key}' specified: use one of {list(DATASET_KEYS)}")
    return kind, key


def _bare(name: str) -> str:
    quoted = len(name) >= 2 and name[0] == name[-1] and name[0] in '`"' and name[0] not in name[1:-1]
    return name[1:-1] if quoted else name


def _number(token: _Token, key: str, words: Vocabulary, refuse: Refuse) -> float | int:
    whole = key in words.whole
    digits = token.text[1:-1] if whole and token.kind == "text" else token.text
    if re.fullmatch(r"[-+]?[0-9]+", digits):
        return int(digits) if len(digits) <= _LONGEST_WHOLE else float(digits)
    if whole:
        raise refuse(f"Invalid {key} {token.text:.100}: use a whole number")
    if token.kind != "number":
        raise refuse(f"Expected numeric value type for {key!r}. Found {token.text}")
    return float(token.text)


def _text(token: _Token, key: str, words: Vocabulary, refuse: Refuse) -> str:
    quote = token.text[0] if token.text[0] == token.text[-1] else ""
    if token.kind == "text" or (token.kind == "name" and quote == '"'):
        inner = token.text[1:-1]
        return inner.replace("''", "'") if words.doubled_quotes and quote == "'" else inner
    raise refuse(f"Expected a quoted string value for {key!r} (e.g. 'my-value'). Got value {token.text}")


def _list(token: _Token, kind: str, key: str, words: Vocabulary, refuse: Refuse) -> tuple[str, ...]:
    if kind == "attribute" and key not in words.listed:
        raise refuse(f"Only {sorted(words.listed)} attributes support comparison with a list")
    inner, found, at = token.text[1:-1], [], 0
    while token.kind == "list" and (item := _ITEM.match(inner, at)):
        found.append(re.sub(r"\\(.)", r"\1", item[1][1:-1]))
        at = item.end()
        if item[2] != ",":
            break
    if len(found) > MOST_LISTED:
        raise refuse(f"a list of {len(found):,} texts: ask for at most {MOST_LISTED:,} at once")
    if not found or inner[at:].strip():
        raise refuse("expected a non-empty list of quoted texts, such as ('a', 'b')")
    return tuple(found)


def _invalid(text: str, why: str) -> DataError:
    return DataError(f"Invalid filter '{text:.500}': {why}")


def _invalid_order(text: str, why: str) -> DataError:
    return DataError(f"Invalid order_by clause '{text:.200}': {why}")
