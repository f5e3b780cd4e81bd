"""MLflow's search language: the parser beside MLflow's, the SQL beside brute force and beside MLflow's store."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mlflow.exceptions import MlflowException
from mlflow.utils.search_utils import SearchUtils

from raylake import registry
from raylake.core import DataError, Workspace
from raylake.registry.grammar import Condition, parse_filter, parse_order
from raylake.registry.tracking import RunView
from raylake.registry.tracking.entries import Entry
from raylake.registry.tracking.metrics import log
from raylake.registry.tracking.runs import NewRun, new_run, update_run
from raylake.registry.tracking.search import search_views
from raylake.registry.vocabulary import EXPERIMENTS, LOGGED_MODELS, MODELS, RUNS, VERSIONS, Vocabulary
from raylake.testing.registry_search import matches, ordered

START = datetime(2024, 1, 1, tzinfo=UTC)
METRICS = (math.nan, -1.0, 0.0, 0.5, 1.0, math.inf)
TEXTS = ("", "a", "A", "ab", "a%", "a_b", "a*b", "a[b", "ä", "B", "a\\", "1")
KEYS = ("k", "other key", "a-b")

names = st.sampled_from(KEYS).map(lambda key: key if key.isidentifier() else f"`{key}`")
numbers = st.sampled_from(["-1", "0", "0.5", "1", "1e3", ".5", "2."])
# A backslash before the closing quote would quote that.
quoted = st.sampled_from([text for text in TEXTS if text[-1:] != "\\"]).map(lambda text: f"'{text}'")
patterns = st.text(st.sampled_from("aAb%_*[\\"), max_size=4).map(lambda text: f"'{text.rstrip(chr(92))}'")
same = st.sampled_from(["=", "!="])
sizes = st.sampled_from(["=", "!=", "<", "<=", ">", ">="])
likes = st.sampled_from(["LIKE", "ILIKE", "like"])
presence = st.sampled_from(["IS NULL", "is not null"])
labels = st.builds("{}.{}".format, st.sampled_from(["params", "tags", "parameter", "tag"]), names)
texts = st.sampled_from(
    ["status", "run_name", "attributes.user_id", "tags.`mlflow.runName`", "tags.mlflow.parentRunId"]
)
moments = st.integers(-2, 6).map(lambda n: str(1704067200000 + n)) | st.just("1704067200001.5")
condition = st.one_of(
    st.builds("{} {} {}".format, st.builds("metrics.{}".format, names), sizes, numbers),
    st.builds("{} {} {}".format, labels | texts, same, quoted | st.sampled_from(["'FINISHED'", "'RUNNING'"])),
    st.builds("{} {} {}".format, labels | texts, likes, patterns),
    st.builds("{} {}".format, labels, presence),
    st.builds("{} {} {}".format, st.sampled_from(["start_time", "end_time", "attr.created"]), sizes, moments),
    st.builds("dataset.{} {} {}".format, st.sampled_from(["name", "digest", "context"]), same, quoted),
    st.builds("dataset.name {} ({})".format, st.sampled_from(["IN", "NOT IN"]), st.just("'a', 'ab'")),
)
filters = st.lists(condition, max_size=3).map(" AND ".join)
order = st.builds(
    "{} {}".format,
    st.one_of(
        st.builds("metrics.{}".format, names), labels, st.sampled_from(["start_time", "end_time", "status", "run_name"])
    ),
    st.sampled_from(["ASC", "DESC"]),
)
orders = st.lists(order, max_size=2, unique_by=lambda text: (parse_order(text).kind, parse_order(text).key))


def populate(ws: Workspace, random: Any) -> None:
    """Sixty runs with whatever values and gaps."""
    ids: list[str] = []
    for number in range(60):
        parent = random.choice(ids) if ids and random.random() < 0.3 else None
        start = START + timedelta(microseconds=random.randrange(6) * 500)
        view = new_run(
            ws, NewRun("mlflow", random.choice(TEXTS), parent=parent, created_at=start, user_id=random.choice("aAb"))
        )
        ids.append(view.id)
        some = [key for key in KEYS if random.random() < 0.6]
        log(
            ws,
            [
                Entry(
                    view.id,
                    points=[(key, 0, number, random.choice(METRICS)) for key in some],
                    params=[(key, random.choice(TEXTS), False) for key in some if random.random() < 0.8],
                    tags=[(key, random.choice(TEXTS), False) for key in some if random.random() < 0.8],
                )
            ],
        )
        if random.random() < 0.4:
            pairs = [(random.choice("ab"), random.choice(("1", "a"))) for _ in range(2)]
            inputs = [registry.Dataset(*pair, context=random.choice([None, "a", "A"])) for pair in dict(pairs).items()]
            registry.log_inputs(ws, view.id, inputs)
        if random.random() < 0.5:
            end = START + timedelta(milliseconds=random.randrange(4))
            update_run(ws, view.id, status=random.choice(("finished", "failed", "stopped")), ended_at=end)


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def filled(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    """A registry with runs, the same for every example."""
    import random

    url = ""
    if request.param == "postgres":
        server = request.getfixturevalue("server")
        url = server.url(server.new_database())
    ws = Workspace.open(tmp_path_factory.mktemp("search") / "lake", registry_url=url, online_url="")
    populate(ws, random.Random(7))
    yield ws


@pytest.fixture(scope="module")
def everything(filled: Workspace) -> list[RunView]:
    return list(search_views(filled).items)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=filters, keys=orders)
def test_sql_finds_what_brute_force_finds(
    filled: Workspace, everything: list[RunView], text: str, keys: list[str]
) -> None:
    conditions, sort = parse_filter(text), [parse_order(key) for key in keys]
    wanted = ordered([view for view in everything if all(matches(view, each) for each in conditions)], sort)
    found = search_views(filled, text, order_by=keys)
    assert [view.id for view in found.items] == [view.id for view in wanted]


@settings(max_examples=300, deadline=None)
@given(text=filters)
def test_the_parser_reads_what_mlflow_reads(text: str) -> None:
    theirs = [
        (each["type"].replace("parameter", "param"), SearchUtils.translate_key_alias(each["key"]),
         each["comparator"].upper(), each["value"])
        for each in SearchUtils.parse_search_filter(text)
    ]  # fmt: skip
    ours = [(each.kind, each.key, each.comparator, each.value) for each in parse_filter(text)]
    as_numbers = [(*each[:3], float(each[3])) if each[0] == "metric" else each for each in theirs]
    assert ours == as_numbers


@settings(max_examples=300, deadline=None)
@given(text=st.text(st.sampled_from("metrics.tagk`'\"() =<>!1aANDINLIKE "), max_size=30))
def test_whatever_mlflow_refuses_is_refused(text: str) -> None:
    """Not the other way round: sqlparse lets some nonsense pass, such as a filter that ends with AND."""
    try:
        parsed = parse_filter(text.strip())
    except DataError:
        return
    try:
        SearchUtils.parse_search_filter(text.strip())
    except MlflowException as error:
        pytest.fail(f"{text!r} became {parsed}, MLflow says {error}")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("oops = 'a'", "Invalid attribute key 'oops'"),
        ("metric.a LIKE 'x'", "Invalid comparator 'LIKE' for metric 'a'"),
        ("metrics.a = 'x'", "Expected numeric value type for 'a'"),
        ("params.a = 1", "Expected a quoted string value"),
        ("params.a > '1'", "Invalid comparator '>'"),
        ("nothing.a = 1", "Invalid entity type 'nothing'"),
        ("dataset.size = '1'", "Invalid dataset key 'size'"),
        ("metrics.a = 1 OR metrics.b = 2", "expected AND"),
        ("metrics.a = 1 AND", "expected AND and another condition"),
        ("metrics.a", "expected a comparator"),
        ("metrics.a >", "expected a value"),
        ("run_id IN ()", "non-empty list"),
        ("run_id IN ('a' 'b')", "non-empty list"),
        ("status IN ('a')", r"Only \['run_id'\]"),
        ("status IS NULL", "Invalid comparator 'IS NULL'"),
        ("params.a = 'x'; drop table run", "cannot read"),
        ("params.a = 'x' -- comment", "cannot read"),
    ],
)
def test_what_is_not_of_the_language_says_where(text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        parse_filter(text)


@pytest.mark.parametrize(
    ("words", "text", "wanted"),
    [
        (MODELS, "name = 'it''s'", Condition("attribute", "name", "=", "it's")),
        (MODELS, "name ILIKE \"it''s\"", Condition("attribute", "name", "ILIKE", "it''s")),
        (MODELS, "name IN ('a (v2)', \"it's\")", Condition("attribute", "name", "IN", ("a (v2)", "it's"))),
        (MODELS, "tags.`a b` LIKE '%'", Condition("tag", "a b", "LIKE", "%")),
        (VERSIONS, "version_number = '1'", Condition("attribute", "version_number", "=", 1)),
        (VERSIONS, "version_number >= 2", Condition("attribute", "version_number", ">=", 2)),
        (LOGGED_MODELS, "creation_time > 1.5", Condition("attribute", "creation_timestamp", ">", 1.5)),
        (LOGGED_MODELS, "params.depth != '3'", Condition("param", "depth", "!=", "3")),
        (LOGGED_MODELS, "metrics.auc > 0", Condition("metric", "auc", ">", 0)),
        (RUNS, "params.a = 'it''s'", Condition("param", "a", "=", "it''s")),
    ],
)
def test_each_search_has_its_vocabulary(words: Vocabulary, text: str, wanted: Condition) -> None:
    assert parse_filter(text, words) == (wanted,)


@pytest.mark.parametrize(
    ("words", "text", "message"),
    [
        (MODELS, "creation_timestamp > 1", "Invalid attribute key 'creation_timestamp'"),
        (MODELS, "metrics.auc > 1", "Invalid entity type 'metrics'"),
        (MODELS, "tags.a IN ('x')", "Invalid comparator 'IN' for tag 'a'"),
        (MODELS, "tags.a IS NULL", "Invalid comparator 'IS NULL'"),
        (VERSIONS, "version_number = 1.5", "version_number 1.5: use a whole number"),
        (VERSIONS, "version_number = 'x'", "version_number 'x': use a whole number"),
        (VERSIONS, "version_number IN ('1')", "Invalid comparator 'IN'"),
        (LOGGED_MODELS, "creation_time > '1'", "Expected numeric value type"),
        (LOGGED_MODELS, "dataset.name = 'x'", "Invalid entity type 'dataset'"),
    ],
)
def test_each_search_refuses_the_words_of_the_others(words: Vocabulary, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        parse_filter(text, words)


def test_numbers_with_thousands_of_digits(ws: Workspace) -> None:
    registry.register_artifact(ws, "0" * 64, name="iris")
    huge = "9" * 5000  # more than Python turns into an int
    assert registry.search_runs(ws, f"metrics.a > {huge}").items == ()
    assert registry.search_versions(ws, f"version_number > {huge}")[0] == []
    assert [str(each) for each in registry.search_versions(ws, f"version_number < '{huge}'")[0]] == ["iris@1"]


def test_orders_of_models_name_what_may_be_ordered(ws: Workspace) -> None:
    for order_by, message in (
        (["creation_timestamp", "creation_timestamp DESC"], "duplicate fields"),
        (["timestamp", "last_updated_timestamp"], "duplicate fields"),
        (["version_number"], r"Invalid order_by clause 'version_number': Invalid attribute key.*creation_timestamp"),
        (["tags.a"], "Invalid order_by clause 'tags.a': Invalid entity type"),
        (["name up"], "Invalid order_by clause 'name up'"),
    ):
        with pytest.raises(DataError, match=message):
            registry.search_models(ws, order_by=order_by)
    with pytest.raises(DataError, match="Invalid order_by field 'oops'"):
        registry.search_logged_models(ws, ["0"], order_by=[registry.Order("attribute", "oops", True)])


def test_huge_searches_are_refused_at_once(ws: Workspace) -> None:
    for text in (
        "tags.a = 'x' AND " * 50_000,
        " " * 1_000_000 + "oops",
        f"run_id IN ({','.join(['1'.join(chr(39) * 2)] * 20_000)})",
    ):
        with pytest.raises(DataError, match=r"ask (with|for) at most"):
            registry.search_runs(ws, text)
    with pytest.raises(DataError, match="Invalid order_by"):
        registry.search_runs(ws, order_by=["metrics.a" + " " * 1_000_000])
    for text in ("start_time > 1e999", "end_time < -1e999", f"start_time = {10**40}", "metrics.a > 1e999"):
        assert registry.search_runs(ws, text).items == ()


def test_no_text_of_a_filter_enters_a_statement(ws: Workspace) -> None:
    registry.start_run(ws, "fit", "x", tags={"a": "1"})
    for text in ("tags.a = '1'' OR 1=1 --'", "tags.`a' OR '1'='1` = '1'", "run_name = 'x\\' OR 1=1'"):
        assert registry.search_runs(ws, text).items == ()


def test_pages_follow_each_other(ws: Workspace) -> None:
    made = [registry.start_run(ws, "fit", f"r{n}").id for n in range(5)]
    token, seen = "", []
    for size in (2, 2, 1):
        page = registry.search_runs(ws, limit=2, page_token=token)
        assert len(page.items) == size
        seen += [run.id for run in page.items]
        token = page.token
    assert token == "" and seen == made[::-1]
    for bad in ("zzz!", "e30=", "bm8="):
        with pytest.raises(DataError, match="Invalid page token"):
            registry.search_runs(ws, page_token=bad)


def test_limits_and_orders_that_are_not_valid(ws: Workspace) -> None:
    for limit in (0, 50_001):
        with pytest.raises(DataError, match="max_results"):
            registry.search_runs(ws, limit=limit)
    for order_by, message in (
        (["metrics.a", "metrics.a DESC"], "duplicate"),
        (["metrics.a down"], "Invalid order_by"),
        (["dataset.name"], "cannot be ordered"),
        (["oops"], "Invalid attribute key"),
    ):
        with pytest.raises(DataError, match=message):
            registry.search_runs(ws, order_by=order_by)


def test_experiments_by_name_tag_and_time(any_ws: Workspace) -> None:
    ws = any_ws
    made = [registry.create_experiment(ws, name, tags={"n": name}) for name in ("b", "a", "C_%")]
    registry.delete_experiment(ws, made[0].id)

    def found(text: str = "", **options: Any) -> list[str]:
        return [each.name for each in registry.search_experiments(ws, text, **options).items]

    assert found() == ["C_%", "a", "Default"]
    assert found(lifecycle="deleted") == ["b"] and len(found(lifecycle=None)) == 4
    assert found(order_by=["name ASC"]) == ["C_%", "Default", "a"]
    assert found("name ILIKE 'c%'") == ["C_%"] and found("name LIKE 'c%'") == []
    assert found("tags.n != 'a'") == ["C_%"] and found("tags.n IS NULL") == ["Default"]
    assert found(f"experiment_id IN ('{made[1].id}', '99')") == ["a"]
    assert found(f"creation_time >= {int(made[2].created_at.timestamp() * 1000)}") == ["C_%"] or len(found()) == 3
    for text in ("experiment_id LIKE '1'", "experiment_id = 'x'", "metrics.a > 1", "name > 'a'"):
        with pytest.raises(DataError):
            found(text)
    assert parse_filter("tag.a = 'b'", EXPERIMENTS) == (Condition("tag", "a", "=", "b"),)


class TestBesideMlflowsStore:
    """The same runs in MLflow's own SQLite store (the client package brings it) and in ours."""

    @pytest.fixture(scope="class")
    def stores(self, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Workspace, dict[str, str]]:
        import random

        from mlflow.entities import Metric, Param, RunTag
        from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

        folder: Path = tmp_path_factory.mktemp("beside")
        theirs = SqlAlchemyStore(f"sqlite:///{folder}/mlflow.db", str(folder / "artifacts"))
        ws = Workspace.open(folder / "lake", registry_url="", online_url="")
        populate(ws, random.Random(3))
        same_run: dict[str, str] = {}
        for view in sorted(search_views(ws).items, key=lambda view: (view.created_at, view.id)):
            start = int(view.created_at.timestamp() * 1000)
            made = theirs.create_run("0", view.user_id, start, [], view.name or "none")
            tags = [RunTag(key, text) for key, (text, _) in view.tags.items()]
            params = [Param(key, text) for key, (text, _) in view.params.items()]
            metrics = [Metric(m.key, m.value, m.logged_at // 1000, m.step) for m in view.metrics]
            theirs.log_batch(made.info.run_id, metrics, params, tags)
            same_run[made.info.run_id] = view.id
        return theirs, ws, same_run

    @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(
        text=st.lists(
            st.one_of(
                st.builds("metrics.{} {} {}".format, names, sizes, numbers),
                st.builds("{} {} {}".format, labels, same, quoted),
                st.builds("{} {} {}".format, labels, likes, st.text(st.sampled_from("aAb%"), max_size=4).map(repr)),
                st.builds("{} {}".format, labels, presence),
            ),
            max_size=3,
        ).map(" AND ".join)
    )
    def test_both_find_the_same(self, stores: tuple[Any, Workspace, dict[str, str]], text: str) -> None:
        theirs, ws, same_run = stores
        found, _ = theirs._search_runs(["0"], text, 1, 1000, [], None)
        assert {same_run[run.info.run_id] for run in found} == {view.id for view in search_views(ws, text).items}
