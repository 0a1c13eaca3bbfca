"""What the stores' tests speak of: places, and a proxy that fails in AWS's own words."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from airkeep.errors import NotFoundError, StoreAccessError
from airkeep.store import Retry, Store

QUICK = Retry(attempts=4, first_wait_s=0.01, longest_wait_s=0.05, total_s=20)
MULTIPART_BYTES = 8 << 20


@dataclass(frozen=True)
class Place:
    """Somewhere to keep bytes; each `open` is another client of the same bytes."""

    kind: str
    open: Callable[[], Store]


@dataclass(frozen=True)
class Microburst:
    """A running microburst: faults in AWS's own words."""

    endpoint: str

    def rules(self, *rules: dict[str, Any]) -> None:
        """Replace all rules."""
        self._call("POST", "rules", list(rules))

    def fired(self) -> Sequence[dict[str, Any]]:
        """What was done to whom."""
        fired: list[dict[str, Any]] = self._call("GET", "fired")
        return fired

    def clear(self) -> None:
        self.rules()
        self._call("DELETE", "fired")

    def _call(self, method: str, what: str, body: object = None) -> Any:
        request = urllib.request.Request(
            f"{self.endpoint}/_microburst/{what}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"content-type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            text = answer.read()
        return json.loads(text) if text else None


def refusals(store: Store, file: Path) -> Iterator[str]:
    """What every method says, when each is refused."""
    deeds: list[Callable[[], object]] = [
        lambda: store.save("a", b"a"),
        lambda: store.save_file("a", file),
        lambda: store.load("a"),
        lambda: store.load_file("a", file.with_name("new")),
        lambda: list(store.list()),
        store.folders,
        lambda: store.head("a"),
        lambda: store.delete(["a"]),
    ]
    for deed in deeds:
        with pytest.raises(StoreAccessError) as caught:
            deed()
        assert not isinstance(caught.value, NotFoundError)
        yield str(caught.value)
