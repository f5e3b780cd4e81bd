"""References and lineage nodes: parsing is the inverse of printing, and bad names never pass."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raylake.core import InvalidName, Node, Ref, check_name, table_node

names = st.from_regex(r"[a-z0-9][a-z0-9_-]{0,20}", fullmatch=True)
aliases = names.filter(lambda text: not text.isdecimal())
refs = st.one_of(
    st.builds(Ref, names, namespace=names),
    st.builds(Ref, names, version=st.integers(0, 10**6), namespace=names),
    st.builds(Ref, names, alias=aliases, namespace=names),
)


@given(refs)
def test_a_reference_survives_printing_and_parsing(ref: Ref) -> None:
    assert Ref.parse(str(ref)) == ref


@given(st.builds(Node, names, names, st.one_of(st.just(""), names)))
def test_a_node_survives_printing_and_parsing(node: Node) -> None:
    assert Node.parse(str(node)) == node


@given(st.text())
def test_any_text_parses_to_valid_names_or_raises(text: str) -> None:
    try:
        ref = Ref.parse(text)
    except InvalidName as error:
        assert "not valid" in str(error)
    else:
        assert check_name(ref.name) and check_name(ref.namespace)


@pytest.mark.parametrize(
    "name", ["", "../x", "a/b", "A", "a b", "é", "-a", "a" * 129, "a\n", "a\\b", "%2e%2e", ".", "x@y"]
)
def test_bad_names_are_refused_with_the_name_in_the_message(name: str) -> None:
    with pytest.raises(InvalidName) as caught:
        check_name(name)
    assert repr(name) in str(caught.value)


def test_versions_are_not_negative() -> None:
    with pytest.raises(InvalidName, match="-1"):
        Ref("flights", version=-1)


def test_a_table_node_is_always_qualified() -> None:
    assert str(table_node("flights@2")) == "table:main.flights@2"
    assert str(table_node(Ref.parse("predictions.x"))) == "table:predictions.x"
