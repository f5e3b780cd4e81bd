"""The result of the flight story: one frozen value, shown as a table or as JSON."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from rich.console import Group
from rich.table import Table
from rich.text import Text


@dataclass(frozen=True, slots=True)
class Month:
    """One replayed month.

    Attributes:
        month: ``2013-07``.
        requests: HTTP requests sent.
        failed: Requests without an answer 200.
        p50_ms: Median latency of a request in milliseconds.
        p99_ms: 99th percentile.
        drift_share: Share of input columns that drifted from the training data, 0 to 1.
        drifted: Names of these columns.
        auc: Area under the ROC curve of the champion that answered, once the labels arrived.
        auc_never_retrained: The same of the first model.
        promoted: Version that became champion at the end of the month, or ``None``.
        decision: The monitor's sentence.
    """

    month: str
    requests: int
    failed: int
    p50_ms: float
    p99_ms: float
    drift_share: float
    drifted: tuple[str, ...]
    auc: float
    auc_never_retrained: float
    promoted: int | None
    decision: str


@dataclass(frozen=True, slots=True)
class DemoResult:
    """What `raylake demo` ends with; see `to_json` for the names of its figures."""

    rows_ingested: int
    tables: tuple[str, ...]
    training_rows: int
    trials: int
    auc_first: float
    months: tuple[Month, ...]
    lineage_endpoint_to_raw: bool
    seconds: float
    quarantined: dict[str, int] = field(default_factory=dict)
    caught: tuple[str, ...] = ()
    urls: dict[str, str] = field(default_factory=dict)
    stages: dict[str, float] = field(default_factory=dict)

    @property
    def promotions(self) -> list[int]:
        """Versions that became champion, in order."""
        return [month.promoted for month in self.months if month.promoted is not None]

    def to_json(self) -> dict[str, Any]:
        """The figures as one JSON-able object."""
        return {
            "rows_ingested": self.rows_ingested,
            "tables": list(self.tables),
            "quarantined": self.quarantined,
            "expectations_caught": list(self.caught),
            "training_rows": self.training_rows,
            "trials": self.trials,
            "auc_first": round(self.auc_first, 4),
            "auc_by_month": {m.month: round(m.auc, 4) for m in self.months},
            "auc_never_retrained_by_month": {m.month: round(m.auc_never_retrained, 4) for m in self.months},
            "drift_by_month": {m.month: round(m.drift_share, 3) for m in self.months},
            "promotions": self.promotions,
            "requests": sum(m.requests for m in self.months),
            "failed_requests": sum(m.failed for m in self.months),
            "lineage_endpoint_to_raw": self.lineage_endpoint_to_raw,
            "seconds": round(self.seconds, 1),
            "stages": {name: round(value, 1) for name, value in self.stages.items()},
            "urls": self.urls,
            "months": [asdict(month) for month in self.months],
        }

    def __rich__(self) -> Group:
        """The closing table and the URLs."""
        return Group(_month_table(self.months), _gain(self.months), *_links(self))


def _month_table(months: tuple[Month, ...]) -> Table:
    table = Table(title="July to December 2013, replayed through the endpoint", title_justify="left")
    for name in (
        "month",
        "requests",
        "failed",
        "p50 ms",
        "p99 ms",
        "drift",
        "AUC",
        "AUC never retrained",
        "promoted",
    ):
        table.add_column(name, justify="left" if name == "month" else "right")
    for m in months:
        table.add_row(
            m.month,
            f"{m.requests:,}",
            str(m.failed),
            f"{m.p50_ms:.1f}",
            f"{m.p99_ms:.1f}",
            f"{m.drift_share:.0%}",
            f"{m.auc:.3f}",
            f"{m.auc_never_retrained:.3f}",
            "" if m.promoted is None else f"@{m.promoted}",
        )
    return table


def _gain(months: tuple[Month, ...]) -> Text:
    if not months:
        return Text("")
    gain = sum(m.auc - m.auc_never_retrained for m in months) / len(months)
    return Text(f"Retraining {'gained' if gain >= 0 else 'lost'} {abs(gain):.3f} AUC a month on average.")


def _links(result: DemoResult) -> list[Text]:
    lines = [Text(f"{name + ':':<16}{url}", no_wrap=True, overflow="ignore") for name, url in result.urls.items()]
    lines.append(Text(f"{result.seconds:.0f} seconds in all", style="bold"))
    return lines
