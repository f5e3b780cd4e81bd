"""Sound files to rate, channels and length."""

from __future__ import annotations

import io
from typing import Any

import pyarrow as pa

from ..optional import need

AUDIO_SCHEMA = pa.schema(
    [
        ("sample_rate", pa.int32()),
        ("channels", pa.int32()),
        ("frames", pa.int64()),
        ("seconds", pa.float64()),
        ("format", pa.string()),
    ]
)


def describe_audio(content: bytes) -> dict[str, Any] | str:
    """The facts of a sound file, or why it is none. Needs ``raylake[audio]``.

    Example:
        >>> describe_audio(b"no sound")
        'not a readable sound file: ...'
    """
    soundfile = need("soundfile", "audio")
    try:
        facts = soundfile.info(io.BytesIO(content))
    except (soundfile.LibsndfileError, OSError, ValueError) as error:
        return f"not a readable sound file: {str(error).rpartition(': ')[2]}"
    return {
        "sample_rate": facts.samplerate,
        "channels": facts.channels,
        "frames": facts.frames,
        "seconds": facts.duration,
        "format": facts.format,
    }
