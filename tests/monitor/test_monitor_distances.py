"""The figures agree with scipy and scikit-learn on the same data, and obey the algebra of distances."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.spatial import distance

from raylake.monitor import drift
from raylake.monitor.distances import (
    jensen_shannon,
    noise,
    population_stability,
    quantile_edges,
    shares,
    wasserstein,
)

counts = st.lists(st.integers(0, 10_000), min_size=2, max_size=30).filter(any)
values = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=200).map(np.array)


@st.composite
def two_counts(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    size = draw(st.integers(2, 30))
    one = st.lists(st.integers(0, 10_000), min_size=size, max_size=size).map(np.array)
    return draw(one), draw(one)


@given(two_counts())
def test_psi_is_scipys_symmetric_relative_entropy(pair: tuple[np.ndarray, np.ndarray]) -> None:
    one, two = shares(pair[0]), shares(pair[1])
    expected = stats.entropy(one, two) + stats.entropy(two, one)
    assert population_stability(one, two) == pytest.approx(expected, rel=1e-9, abs=1e-12)
    assert population_stability(one, two) == pytest.approx(population_stability(two, one), rel=1e-9, abs=1e-12)
    assert population_stability(one, two) >= -1e-12


@given(two_counts())
def test_jensen_shannon_is_scipys(pair: tuple[np.ndarray, np.ndarray]) -> None:
    one, two = shares(pair[0]), shares(pair[1])
    assert jensen_shannon(one, two) == pytest.approx(distance.jensenshannon(one, two, base=2), rel=1e-6, abs=1e-7)
    assert 0 <= jensen_shannon(one, two) <= 1 + 1e-12


@given(values, values)
def test_wasserstein_is_scipys_over_the_deviation(one: np.ndarray, two: np.ndarray) -> None:
    spread = one.std()
    expected = stats.wasserstein_distance(one, two)
    if spread > 0:
        expected /= spread
    assert wasserstein(one, two) == pytest.approx(expected, rel=1e-6, abs=1e-9)


def test_wasserstein_of_real_looking_samples_is_scipys() -> None:
    random = np.random.default_rng(0)
    one, two = random.gamma(2, 10, 5_000).round(1), random.gamma(2.5, 9, 3_000).round(1)
    expected = stats.wasserstein_distance(one, two) / one.std()
    assert wasserstein(one, two) == pytest.approx(expected, rel=1e-9)


@given(values, st.integers(2, 20))
def test_edges_put_every_reference_value_between_the_outer_bins(one: np.ndarray, bins: int) -> None:
    edges = quantile_edges(one, bins)
    places = np.searchsorted(edges, one)
    assert places.min() >= 1
    assert places.max() < len(edges)
    assert np.all(np.diff(edges) > 0)
    assert np.searchsorted(edges, np.inf) == len(edges)


def test_bins_hold_about_equal_shares() -> None:
    one = np.random.default_rng(0).normal(size=10_000)
    found = np.bincount(np.searchsorted(quantile_edges(one, 10), one))
    assert found.tolist() == [0] + [1000] * 10


@settings(max_examples=60)
@given(st.lists(st.one_of(st.none(), st.floats(allow_infinity=True, allow_nan=True)), min_size=1, max_size=60))
def test_a_column_never_drifts_from_itself(column: list[float | None]) -> None:
    table = pa.table({"x": pa.array(column, pa.float64())})
    found = drift(table, table).columns["x"]
    assert found.score == pytest.approx(0, abs=1e-9)
    assert not found.drifted


@settings(max_examples=60)
@given(
    st.lists(st.one_of(st.none(), st.text(max_size=3)), min_size=1, max_size=60),
    st.randoms(use_true_random=False),
)
def test_the_order_of_rows_does_not_matter(column: list[str | None], random: object) -> None:
    shuffled = [*column]
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    one, two = (pa.table({"x": pa.array(rows, pa.string())}) for rows in (column, shuffled))
    assert drift(one, two).columns["x"].psi == pytest.approx(0, abs=1e-9)


@given(st.integers(2, 60), st.integers(50, 50_000), st.integers(50, 50_000))
def test_noise_falls_with_rows_and_rises_with_caution(bins: int, rows: int, more: int) -> None:
    assert noise(bins, rows, rows, 0.01) > noise(bins, rows + more, rows + more, 0.01)
    assert noise(bins, rows, rows, 0.001) > noise(bins, rows, rows, 0.01)
