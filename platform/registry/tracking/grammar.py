"""MLflow's search language: filters ``metrics.auc > 0.9 AND tags.team = 'ops'`` and orders ``metrics.auc DESC``.

The language is that of its `SearchUtils` (https://mlflow.org/docs/latest/ml/search/search-runs/): conditions joined by
AND; names that are no plain word in backticks or double quotes; texts in single or double quotes, taken literally.
Filters become values here and SQL with bound values elsewhere; no text of a filter ever enters a statement.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from ...core import DataError

EQUALITY = frozenset({"=", "!="})
PATTERNS = frozenset({"LIKE", "ILIKE"})
LISTS = frozenset({"IN", "NOT IN"})
PRESENCE = frozenset({"IS NULL", "IS NOT NULL"})
SIZES = frozenset({"<", "<=", ">", ">="})
Value = str | float | int | tuple[str, ...] | None


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
    """One key of an order. Runs without the value come last in both directions, NaN before them."""

    kind: str
    key: str
    ascending: bool


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """What a kind of search knows.

    Attributes:
        kinds: Every way to write a kind, with the kind.
        comparators: What each kind may be compared by; of attributes, those that are texts.
        texts: Text attributes, each way to write one with its name.
        numbers: Numeric attributes, likewise.
        listed: Attributes that may be compared with a list.
    """

    kinds: Mapping[str, str]
    comparators: Mapping[str, frozenset[str]]
    texts: Mapping[str, str]
    numbers: Mapping[str, str]
    listed: frozenset[str] = frozenset()


_ATTRIBUTE = {"attribute": "attribute", "attributes": "attribute", "attr": "attribute", "run": "attribute"}
_LABEL = EQUALITY | PATTERNS | PRESENCE
RUNS = Vocabulary(
    kinds={
        **_ATTRIBUTE,
        **dict.fromkeys(("metric", "metrics"), "metric"),
        **dict.fromkeys(("parameter", "parameters", "param", "params"), "param"),
        **dict.fromkeys(("tag", "tags"), "tag"),
        **dict.fromkeys(("dataset", "datasets"), "dataset"),
    },
    comparators={
        "attribute": EQUALITY | PATTERNS | LISTS,
        "metric": EQUALITY | SIZES,
        "param": _LABEL,
        "tag": _LABEL,
        "dataset": EQUALITY | PATTERNS | LISTS,
    },
    texts={
        **{name: name for name in ("artifact_uri", "run_id", "run_name", "status", "user_id")},
        **dict.fromkeys(("run name", "Run name", "Run Name"), "run_name"),
    },
    numbers={**dict.fromkeys(("start_time", "created", "Created"), "start_time"), "end_time": "end_time"},
    listed=frozenset({"run_id"}),
)
EXPERIMENTS = Vocabulary(
    kinds={"attribute": "attribute", "tag": "tag", "tags": "tag"},
    comparators={"attribute": EQUALITY | PATTERNS | LISTS, "tag": _LABEL},
    texts={"name": "name", "experiment_id": "experiment_id"},
    numbers={"creation_time": "creation_time", "last_update_time": "last_update_time"},
    listed=frozenset({"experiment_id"}),
)
LONGEST, LONGEST_ORDER = 100_000, 1000  # characters of a filter, of a key of an order
MOST_LISTED = 10_000  # texts of a list: databases bind no more than some 30,000 values
_DATASET_KEYS = ("name", "digest", "context")
_TOKEN = re.compile(
    r"""\s*(?:
        (?P<compare> <=|>=|!=|=|<|> )
      | (?P<list> \( [^()]* \) )
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
    tokens = _tokens(text)
    found = []
    while tokens:
        condition, tokens = _condition(tokens, text, words)
        found.append(condition)
        if tokens:
            if tokens[0].text.upper() != "AND" or len(tokens) == 1:
                raise _invalid(text, f"expected AND and another condition at {tokens[0].text!r}")
            tokens = tokens[1:]
    return tuple(found)


def parse_order(text: str, words: Vocabulary = RUNS) -> Order:
    """One key of an order: a name, with ``ASC`` (the default) or ``DESC``.

    Raises:
        DataError: It is not of the language.

    Example:
        >>> parse_order("metrics.`val auc` DESC")
        Order(kind='metric', key='val auc', ascending=False)
    """
    found = _ORDER.fullmatch(text) if len(text) <= LONGEST_ORDER else None
    names = _tokens(found["name"]) if found else []
    if not found or len(names) != 1 or names[0].kind != "name":
        raise DataError(f"Invalid order_by clause '{text:.200}': use a name such as metrics.auc, then ASC or DESC")
    kind, key = _identifier(names[0], text, words)
    if kind == "dataset":
        raise DataError(f"Invalid order_by clause '{text:.200}': runs cannot be ordered by their data sets")
    return Order(kind, key, (found["direction"] or "asc").lower() == "asc")


def _tokens(text: str) -> list[_Token]:
    if len(text) > LONGEST:
        raise _invalid(text, f"it has {len(text):,} characters: ask with at most {LONGEST:,}")
    text = text.rstrip()
    found, at = [], 0
    while at < len(text):
        token = _TOKEN.match(text, at)
        if token is None:
            raise _invalid(text, f"cannot read {text[at : at + 50].strip()!r}")
        kind = token.lastgroup or ""
        found.append(_Token(kind, token[kind]))
        at = token.end()
    return found


def _condition(tokens: list[_Token], text: str, words: Vocabulary) -> tuple[Condition, list[_Token]]:
    if tokens[0].kind != "name":
        raise _invalid(text, f"expected a name such as metrics.auc at {tokens[0].text!r}")
    kind, key = _identifier(tokens[0], text, words)
    comparator, rest = _comparator(tokens[1:], text)
    numeric = kind == "metric" or (kind == "attribute" and key in words.numbers.values())
    allowed = EQUALITY | SIZES if numeric else words.comparators[kind]
    if comparator not in allowed:
        raise _invalid(text, f"Invalid comparator '{comparator}' for {kind} '{key}': use one of {sorted(allowed)}")
    if comparator in PRESENCE:
        return Condition(kind, key, comparator, None), rest
    if not rest:
        raise _invalid(text, f"expected a value after {key!r} {comparator}")
    if numeric:
        return Condition(kind, key, comparator, _number(rest[0], text, key)), rest[1:]
    if comparator in LISTS:
        return Condition(kind, key, comparator, _list(rest[0], text, kind, key, words)), rest[1:]
    return Condition(kind, key, comparator, _text(rest[0], text, key)), rest[1:]


def _comparator(tokens: list[_Token], text: str) -> tuple[str, list[_Token]]:
    if tokens and tokens[0].kind == "compare":
        return tokens[0].text, tokens[1:]
    for spelled in _WORDS:
        if tuple(token.text.upper() for token in tokens[: len(spelled)]) == spelled:
            return " ".join(spelled), tokens[len(spelled) :]
    raise _invalid(text, "expected a comparator such as = or LIKE" + (f" at {tokens[0].text!r}" if tokens else ""))


def _identifier(token: _Token, text: str, words: Vocabulary) -> tuple[str, str]:
    prefix, dot, rest = token.text.partition(".")
    if not dot or prefix[0] == '"':
        kind, key = "attribute", _bare(token.text)
    else:
        found = words.kinds.get(prefix.strip("`"))
        if found is None:
            raise _invalid(text, f"Invalid entity type '{prefix}': use one of {sorted({*words.kinds.values()})}")
        kind, key = found, _bare(rest)
    if kind == "attribute":
        named = words.texts.get(key) or words.numbers.get(key)
        if named is None:
            raise _invalid(
                text, f"Invalid attribute key '{key}' specified: use one of {sorted({*words.texts, *words.numbers})}"
            )
        key = named
    if kind == "dataset" and key not in _DATASET_KEYS:
        raise _invalid(text, f"Invalid dataset key '{key}' specified: use one of {list(_DATASET_KEYS)}")
    return kind, key


def _bare(name: str) -> str:
    quoted = len(name) >= 2 and name[0] == name[-1] and name[0] in '`"' and name[0] not in name[1:-1]
    return name[1:-1] if quoted else name


def _number(token: _Token, text: str, key: str) -> float | int:
    if token.kind != "number":
        raise _invalid(text, f"Expected numeric value type for {key!r}. Found {token.text}")
    return int(token.text) if re.fullmatch(r"[-+]?\d+", token.text) else float(token.text)


def _text(token: _Token, text: str, key: str) -> str:
    if token.kind == "text" or (token.kind == "name" and token.text[0] == token.text[-1] == '"'):
        return token.text[1:-1]
    raise _invalid(text, f"Expected a quoted string value for {key!r} (e.g. 'my-value'). Got value {token.text}")


def _list(token: _Token, text: str, kind: str, key: str, words: Vocabulary) -> tuple[str, ...]:
    if kind == "attribute" and key not in words.listed:
        raise _invalid(text, f"Only {sorted(words.listed)} attributes support comparison with a list")
    inner, found, at = token.text[1:-1], [], 0
    while token.kind == "list" and (item := _ITEM.match(inner, at)):
        found.append(re.sub(r"\\(.)", r"\1", item[1][1:-1]))
        at = item.end()
        if item[2] != ",":
            break
    if len(found) > MOST_LISTED:
        raise _invalid(text, f"a list of {len(found):,} texts: ask for at most {MOST_LISTED:,} at once")
    if not found or inner[at:].strip():
        raise _invalid(text, "expected a non-empty list of quoted texts, such as ('a', 'b')")
    return tuple(found)


def _invalid(text: str, why: str) -> DataError:
    return DataError(f"Invalid filter '{text:.500}': {why}")
