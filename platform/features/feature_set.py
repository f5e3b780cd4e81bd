"""On-demand features and feature sets: the columns of one model, in order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pyarrow as pa

from ..core import ConfigError, Node, SchemaMismatch, check_name
from .dtypes import arrow_type, cast_column, require_columns, type_name
from .functions import Transform, reference
from .view import FeatureView, content_hash


@dataclass(frozen=True, slots=True)
class OnDemand:
    """Features computed from the row itself, by the same function in training and at serving.

    Attributes:
        name: Name, for people and lineage.
        inputs: Columns the function reads: of the request, or of features that stand before it in the set.
        function: Top-level function from a table of `inputs` to a table with `outputs`, row by row: the answer for a
            row must not depend on the other rows (checked on a sample when a training set is made).
        outputs: Names of the features; the function's own column types hold.

    Raises:
        ConfigError: No input or output, or a function without import path.

    Example:
        >>> OnDemand("calendar", ["scheduled_at"], lambda table: table, ["hour"])
        Traceback (most recent call last):
        ...
        raylake.core.errors.ConfigError: function ... cannot be named by an import path: define it with `def` ...
    """

    name: str
    inputs: Sequence[str]
    function: Transform
    outputs: Sequence[str]

    def __post_init__(self) -> None:
        check_name(self.name, "on-demand feature")
        object.__setattr__(self, "inputs", tuple(self.inputs))
        object.__setattr__(self, "outputs", tuple(self.outputs))
        if not self.inputs or not self.outputs:
            raise ConfigError(f"on-demand feature {self.name!r} needs at least one input and one output")
        reference(self.function)

    def compute(self, inputs: pa.Table) -> pa.Table:
        """Call the function and check what it returns.

        Raises:
            SchemaMismatch: Not a table, a missing output, or another number of rows.
        """
        made = self.function(inputs)
        if not isinstance(made, pa.Table) or made.num_rows != inputs.num_rows:
            found = f"{made.num_rows} rows" if isinstance(made, pa.Table) else type(made).__name__
            raise SchemaMismatch(
                f"on-demand feature {self.name!r} must return a pyarrow.Table of {inputs.num_rows} rows, not {found}"
            )
        require_columns(made, self.outputs, f"on-demand feature {self.name!r}")
        return made

    def definition(self) -> dict[str, Any]:
        """What decides the values, JSON-able."""
        function = reference(self.function)
        return {
            "name": self.name,
            "inputs": list(self.inputs),
            "outputs": list(self.outputs),
            "function": {"path": function.path, "digest": function.digest},
        }


@dataclass(frozen=True, slots=True)
class FeatureSet:
    """The features of one model, in order: passthrough columns first, then those of each view or function.

    Attributes:
        name: Name.
        features: Views and on-demand functions.
        passthrough: Columns of the label or request frame that are model inputs themselves.
        event_time: Column of the label or request frame: the moment as of which features are asked.
        exclude: Features of the views and functions that are not inputs of the model. Functions may still read them.
        types: Types of the request's columns (see `request_columns`). Keys and event time are known; the others are
            taken over from the labels when a training set is made (`bind`).
        version: 12 hex digits, hash of all that decides the values; `event_time` and `types` describe the frame and
            are not part of it.

    Raises:
        ConfigError: Two features of one name, two definitions of one view, or keys of one name and two types.

    Example:
        >>> view = FeatureView("weather", "origin", event_time="observed_at", table="weather", columns=["temp"])
        >>> features = FeatureSet("delay", [view], passthrough=["origin", "distance"], event_time="scheduled_at")
        >>> features.columns, features.request_columns
        (('origin', 'distance', 'temp'), ('scheduled_at', 'origin', 'distance'))
    """

    name: str
    features: Sequence[FeatureView | OnDemand]
    passthrough: Sequence[str] = ()
    event_time: str = "event_time"
    types: Mapping[str, str] = field(default_factory=dict)
    exclude: Sequence[str] = ()
    version: str = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        check_name(self.name, "feature set")
        object.__setattr__(self, "features", tuple(self.features))
        object.__setattr__(self, "passthrough", tuple(self.passthrough))
        object.__setattr__(self, "types", dict(self.types))
        object.__setattr__(self, "exclude", tuple(sorted(set(self.exclude))))
        self._check()
        object.__setattr__(self, "version", content_hash(self.definition()))

    def __hash__(self) -> int:
        return hash((self.name, self.version))

    def _check(self) -> None:
        if not self.columns:
            raise ConfigError(
                f"feature set {self.name!r} is empty: give views, on-demand features or passthrough columns"
            )
        unknown = sorted(set(self.exclude) - set(self.made_columns))
        if unknown:
            raise ConfigError(
                f"feature set {self.name!r} cannot exclude {unknown[0]!r}: its features are "
                f"{', '.join(self.made_columns)}; leave a passthrough column out of passthrough instead"
            )
        all_columns = (*self.passthrough, *self.made_columns)
        for kind, names in (("column", all_columns), ("feature", tuple(f.name for f in self.features))):
            doubled = sorted({name for name in names if names.count(name) > 1})
            if doubled:
                raise ConfigError(
                    f"feature set {self.name!r} has two of {kind} {doubled[0]!r}: rename one in its transform"
                )
        known: dict[str, str] = {}
        for view in self.views:
            for key, dtype in zip(view.entity.keys, view.entity.key_types, strict=True):
                if known.setdefault(key, dtype) != dtype:
                    raise ConfigError(
                        f"feature set {self.name!r}: key {key!r} is {known[key]} in one view and {dtype} in another"
                    )
        for name, dtype in self.types.items():
            if known.get(name, arrow_type(dtype) and dtype) != dtype:
                raise ConfigError(f"feature set {self.name!r}: {name!r} is {dtype}, but {known[name]} as a key")

    @property
    def views(self) -> tuple[FeatureView, ...]:
        """The views, in order."""
        return tuple(feature for feature in self.features if isinstance(feature, FeatureView))

    @property
    def on_demand(self) -> tuple[OnDemand, ...]:
        """The on-demand features, in order."""
        return tuple(feature for feature in self.features if isinstance(feature, OnDemand))

    @property
    def made_columns(self) -> tuple[str, ...]:
        """Names of all features that views and functions make, in order, the excluded ones too."""
        made = [f.feature_columns if isinstance(f, FeatureView) else f.outputs for f in self.features]
        return tuple(name for names in made for name in names)

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the model's input columns, in order."""
        return (*self.passthrough, *(name for name in self.made_columns if name not in self.exclude))

    @property
    def request_columns(self) -> tuple[str, ...]:
        """What a request or label frame must bring: event time, entity keys, passthrough, inputs of functions."""
        names = [self.event_time, *(key for view in self.views for key in view.entity.keys), *self.passthrough]
        made = set(self.made_columns)
        names += [name for feature in self.on_demand for name in feature.inputs if name not in made]
        return tuple(dict.fromkeys(names))

    @property
    def request_types(self) -> dict[str, str]:
        """Type name of each request column that is known; all of them after `bind`."""
        keys = {k: t for v in self.views for k, t in zip(v.entity.keys, v.entity.key_types, strict=True)}
        known = {**self.types, **keys, self.event_time: "timestamp"}
        return {name: known[name] for name in self.request_columns if name in known}

    @property
    def request_schema(self) -> pa.Schema:
        """Arrow schema of the request columns whose type is known."""
        return pa.schema([(name, arrow_type(dtype)) for name, dtype in self.request_types.items()])

    @property
    def node(self) -> Node:
        """Vertex of the lineage graph, ``feature-set:<name>@<version>``."""
        return Node("feature-set", self.name, self.version)

    def bind(self, schema: pa.Schema, event_time: str) -> FeatureSet:
        """The same set, its request columns typed after `schema` and its event time named.

        Raises:
            SchemaMismatch: `schema` lacks a request column, or a column has a type that no feature can have.
        """
        named = replace(self, event_time=event_time)
        missing = [name for name in named.request_columns if name not in schema.names]
        if missing:
            raise SchemaMismatch(
                f"feature set {self.name!r} needs column {missing[0]!r}; there are {', '.join(schema.names)}"
            )
        fixed = replace(named, types={}).request_types
        found = {name: type_name(schema.field(name).type) for name in named.request_columns if name not in fixed}
        return replace(named, types=found | {k: v for k, v in self.types.items() if k in named.request_columns})

    def without(self, *names: str) -> FeatureSet:
        """The same set without some of its features or passthrough columns.

        Raises:
            ConfigError: A name is not one of `columns`.

        Example:
            >>> view = FeatureView("weather", "origin", event_time="at", table="weather", columns=["temp", "wind"])
            >>> FeatureSet("delay", [view], passthrough=["distance"]).without("wind", "distance").columns
            ('temp',)
        """
        unknown = [name for name in names if name not in self.columns]
        if unknown:
            raise ConfigError(f"feature set {self.name!r} has no column {unknown[0]!r}: {', '.join(self.columns)}")
        kept = [name for name in self.passthrough if name not in names]
        return replace(self, passthrough=kept, exclude=[*self.exclude, *(set(names) - set(self.passthrough))])

    def definition(self) -> dict[str, Any]:
        """What decides the values, JSON-able; `version` is its hash."""
        more = {"exclude": list(self.exclude)} if self.exclude else {}
        return more | {
            "name": self.name,
            "passthrough": list(self.passthrough),
            "features": [feature.definition() for feature in self.features],
        }

    def to_dict(self) -> dict[str, Any]:
        """All of it, JSON-able; it travels with the model. Warns about functions of notebooks.

        Example:
            >>> features = FeatureSet("delay", [], passthrough=["distance"])
            >>> FeatureSet.from_dict(features.to_dict()) == features
            True
        """
        from .packing import pack_set

        return pack_set(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> FeatureSet:
        """The reverse of `to_dict`.

        On-demand functions are imported at once, transforms of views only when they run.

        Raises:
            ConfigError: A function cannot be imported or changed since, or `data` is not a feature set.
        """
        from .packing import unpack_set

        return unpack_set(data)

    def compute_on_demand(self, frame: pa.Table, only: Sequence[OnDemand] | None = None) -> pa.Table:
        """Append the outputs of each function to `frame`, in order."""
        for feature in self.on_demand if only is None else only:
            made = feature.compute(frame.select(list(feature.inputs)))
            for name in feature.outputs:
                frame = frame.append_column(name, made[name])
        return frame

    def cast_request(self, frame: pa.Table, where: str) -> pa.Table:
        """The request columns of `frame`, cast to their types.

        Raises:
            SchemaMismatch: One is missing or has another type.
        """
        require_columns(frame, self.request_columns, where)
        types = self.request_types
        columns = {
            name: cast_column(frame[name], arrow_type(types[name]), name, where) if name in types else frame[name]
            for name in self.request_columns
        }
        return pa.table(columns)
