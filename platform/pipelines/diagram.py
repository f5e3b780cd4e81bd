"""How a pipeline draws itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from .mermaid import graph_mermaid
from .svg import graph_svg


class PipelineDrawing:
    """The drawings of a `Pipeline`."""

    name: str

    @property
    def description_json(self) -> Sequence[Mapping[str, Any]]:
        """The graph as JSON."""
        raise NotImplementedError

    def mermaid(self) -> str:
        """The pipeline as a Mermaid flow chart."""
        return graph_mermaid(self.description_json)

    def svg(self) -> str:
        """The pipeline as an SVG document."""
        return graph_svg(self.description_json)

    def _repr_html_(self) -> str:
        return f'<div><b>{escape(self.name)}</b><div style="overflow-x:auto">{self.svg()}</div></div>'
