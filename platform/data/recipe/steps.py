"""The steps of a recipe, by name."""

from __future__ import annotations

from .categories import HashEncode, OneHot, Ordinal, TargetEncode
from .custom import Custom
from .enrich import Enrich
from .impute import Impute
from .kinds import Cast, DateParts, Drop, Lower, NGrams, TextLength
from .numeric import Clip, Log, Scale, YeoJohnson
from .rows import Deduplicate, Validate
from .step import Step

_ALL: tuple[type[Step], ...] = (
    *(Cast, Clip, DateParts, HashEncode, Impute, Log, Lower, NGrams, OneHot, Ordinal, Scale, TargetEncode),
    *(TextLength, YeoJohnson, Validate, Deduplicate, Enrich, Custom, Drop),
)
STEPS: dict[str, type[Step]] = {kind.__name__: kind for kind in _ALL}
