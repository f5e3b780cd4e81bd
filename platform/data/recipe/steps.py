"""The steps of a recipe, by name."""

from __future__ import annotations

from .categories import HashEncode, OneHot, Ordinal, TargetEncode
from .impute import Impute
from .kinds import Cast, DateParts, Lower, NGrams, TextLength
from .numeric import Clip, Log, Scale, YeoJohnson
from .step import Step

_ALL: tuple[type[Step], ...] = (
    *(Cast, Clip, DateParts, HashEncode, Impute, Log, Lower, NGrams, OneHot, Ordinal, Scale, TargetEncode),
    *(TextLength, YeoJohnson),
)
STEPS: dict[str, type[Step]] = {kind.__name__: kind for kind in _ALL}
