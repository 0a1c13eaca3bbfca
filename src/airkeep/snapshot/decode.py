"""JSON as one of our classes, also by several threads at once.

Told of a class for the first time by several threads, msgspec (0.22) ends the process now and then
with a segmentation fault: seen in 1 of 60 commands that read a journal. So what reads a class is
made by one thread.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    import msgspec

Read = TypeVar("Read")

_lock = threading.Lock()
_made: dict[type, msgspec.json.Decoder[Any]] = {}


def decode(data: bytes | msgspec.Raw, kind: type[Read]) -> Read:
    """What a document says.

    Raises:
        msgspec.MsgspecError: it is none of that kind.
        UnicodeDecodeError: it is no text.
    """
    import msgspec

    decoder = _made.get(kind)
    if decoder is None:
        with _lock:
            decoder = _made.setdefault(kind, msgspec.json.Decoder(kind))
    found: Read = decoder.decode(data)
    return found
