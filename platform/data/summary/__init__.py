"""Summaries of columns that merge: of parts into the whole, of hours into days.

They hold moments, quantiles, frequent and distinct values in a few kilobytes a column, whatever the number of rows.
"""

from .column import ColumnSummary, Kind, kind_of, summarise_column
from .comoments import Comoments
from .distinct import Distinct
from .frequent import Frequent
from .numbers import Numbers
from .stability import stability
from .table import TableSummary, summarise

__all__ = [
    "ColumnSummary",
    "Comoments",
    "Distinct",
    "Frequent",
    "Kind",
    "Numbers",
    "TableSummary",
    "kind_of",
    "stability",
    "summarise",
    "summarise_column",
]
