"""JSON as frozen dataclasses, by the standard library alone: for where msgspec is not."""

from __future__ import annotations

import json
from dataclasses import is_dataclass
from datetime import datetime
from functools import cache
from types import NoneType, UnionType
from typing import Any, TypeVar, cast, get_args, get_origin, get_type_hints

from airkeep.errors import ManifestError, NewerFormatError
from airkeep.snapshot.manifest import FORMAT, Manifest

Document = TypeVar("Document")


def document_of(kind: type[Document], text: str) -> Document:
    """The JSON object as that dataclass; fields that it does not have are left out.

    Raises:
        ValueError: it is no JSON.
        TypeError, AttributeError: it is another document.
    """
    return cast("Document", _built(kind, json.loads(text)))


def manifest_of(text: str, path: str) -> Manifest:
    """Read a manifest, as `decode_manifest` does.

    Raises:
        NewerFormatError: it was written by a newer airkeep.
        ManifestError: it is no manifest.
    """
    try:
        found = json.loads(text)
        if found["format"] > FORMAT:
            raise NewerFormatError(path, found=found["format"], known=FORMAT)
        return cast("Manifest", _built(Manifest, found))
    except (ValueError, TypeError, AttributeError, KeyError) as error:
        raise ManifestError(
            f"{path} is not a manifest that can be read ({error}): the file was changed or "
            f"cut off. Use another snapshot."
        ) from None


def _built(kind: Any, value: Any) -> Any:
    if value is None or kind in (str, int, float, bool):
        return value
    if isinstance(kind, type) and is_dataclass(kind):
        hints = _hints(kind)
        return kind(**{n: _built(hints[n], v) for n, v in value.items() if n in hints})
    if kind is datetime:
        return datetime.fromisoformat(value)
    if get_origin(kind) is tuple:
        return tuple(_built(get_args(kind)[0], one) for one in value)
    if get_origin(kind) is UnionType:
        [inner] = (one for one in get_args(kind) if one is not NoneType)
        return _built(inner, value)
    return value


@cache
def _hints(kind: type) -> dict[str, Any]:
    return get_type_hints(kind)
