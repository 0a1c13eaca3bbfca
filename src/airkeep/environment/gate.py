"""The gate before a deletion: what speaks against it, each in one sentence. Pure.

A snapshot lets an environment go when it is complete, was verified whole in this same run, when
each of its secrets opens with a key that outlives the environment, and when nothing has begun or
ended since it was taken, or is at work.
"""

from __future__ import annotations

from dataclasses import dataclass

from airkeep.environment.ground import Pulse
from airkeep.snapshot.manifest import Manifest
from airkeep.snapshot.names import id_time
from airkeep.snapshot.results import VerifyResult

_SHOWN = 3


@dataclass(frozen=True)
class Findings:
    """What was looked at.

    Attributes:
        verified: by this run; None where it was not.
        unopened: names of secrets that no key opens that will be left.
        dies: the key that the secrets are encrypted with goes with the environment.
        pulse: of the environment, just now; what finished is counted since the snapshot.
    """

    snapshot: str
    manifest: Manifest
    manifest_sha256: str
    verified: VerifyResult | None
    unopened: tuple[str, ...]
    dies: bool
    pulse: Pulse


def against(found: Findings) -> tuple[str, ...]:
    """What speaks against deleting the environment; empty where nothing does."""
    name, manifest = found.snapshot, found.manifest
    reasons = []
    if not manifest.complete:
        reasons.append(f"{name} is not complete: it holds a part of the database only")
    if (worst := _unverified(found)) is not None:
        reasons.append(worst)
    reasons += _secrets(found)
    if found.pulse.running:
        does = "task is at work: what it does", "tasks are at work: what they do"
        reasons.append(f"{counted(found.pulse.running, *does)} will be lost")
    pulse, taken = found.pulse, f"{name} was taken ({id_time(manifest.id):%H:%M:%S} UTC)"
    for number, what, did in (
        (pulse.finished_since, "run", "ended"),
        (pulse.begun_since, "run", "begun"),
        (pulse.tasks_since, "task", "ended"),
    ):
        if number:
            ended = counted(number, f"{what} has", f"{what}s have")
            reasons.append(f"{ended} {did} since {taken}: not in it")
    return tuple(reasons)


def counted(number: int, one: str, more: str) -> str:
    """`1, "run", "runs"` -> `1 run`."""
    return f"{number} {one if number == 1 else more}"


def _unverified(found: Findings) -> str | None:
    result = found.verified
    if (
        result is None
        or result.manifest_sha256 != found.manifest_sha256
        or result.share is not None
    ):
        return f"{found.snapshot} was not verified whole in this run"
    if not result.ok:
        first = result.problems[0]
        return f"{found.snapshot} does not verify: {first.path} {first.what}"
    return None


def _secrets(found: Findings) -> list[str]:
    mode, reasons = found.manifest.secrets.mode, []
    if mode == "drop":
        reasons.append("its secrets were left out (--secrets drop): connections will be empty")
    if mode == "keep" and found.dies:
        reasons.append(
            "its secrets are encrypted with the environment's own key, which goes with it: export "
            "with --secrets seal"
        )
    if found.unopened:
        shown = ", ".join(found.unopened[:_SHOWN]) + (", ..." if found.unopened[_SHOWN:] else "")
        opens = counted(len(found.unopened), "secret opens", "secrets open")
        asked = " (is AIRKEEP_ARCHIVE_KEY the export's?)" if mode == "seal" else ""
        reasons.append(f"{opens} with no key that is left{asked}: {shown}")
    return reasons
