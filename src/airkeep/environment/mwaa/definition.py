"""An environment's definition on its way into the lake and out again. Pure.

Its options may hold passwords, so their values are sealed with the archive key; all else stands as
AWS told it. While it is made again its new DAGs are paused whatever it says, and nothing is
scheduled where a DAG says itself that it begins unpaused: a DAG that is parsed before the restore
would run without its past. What is held so, the environment says itself, by one more option: the
update that gives it back may fail after everybody has gone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airkeep.aws.mwaa import Definition
from airkeep.environment.events import MwaaPlace
from airkeep.errors import DecryptError, JourneyError, MissingKeyError
from airkeep.snapshot.seal import ARCHIVE_KEY, PREFIX, Keyring, open_keyring

OPTIONS = "AirflowConfigurationOptions"
PAUSED = "core.dags_are_paused_at_creation"
SCHEDULES = "scheduler.use_job_schedule"
# `name=wish` of each option that is held, `name` where it had none. MWAA takes options that Airflow
# does not know: docs.aws.amazon.com/mwaa/latest/userguide/configuring-env-variables.html
OWED = "airkeep.owed"
_HELD = {PAUSED: "True", SCHEDULES: "False"}  # Airflow's own default of both is True
_SEALED = f"{PREFIX}p:"


def seal(definition: Definition, archive_key: str | None) -> str:
    """The document for the lake.

    Raises:
        MissingKeyError: it has options, and there is no key.
    """
    options, ring = options_of(definition), open_keyring(archive_key, variable=ARCHIVE_KEY)
    if options and ring is None:
        raise MissingKeyError(
            f"{definition.name} has configuration options, which may hold passwords, and they are "
            f"kept in the lake: set {ARCHIVE_KEY} to seal them (make one with: airkeep key)"
        )
    sealed = {k: _SEALED + ring.encrypt(v.encode()).decode() for k, v in options.items() if ring}
    return _with_options(definition, sealed).json()


def unseal(document: str, archive_key: str | None) -> Definition:
    """The definition again.

    Raises:
        MissingKeyError: it has options, and there is no key.
        DecryptError: the key is another one.
        JourneyError: it is none.
    """
    try:
        definition = Definition.from_json(document)
        options = options_of(definition)
    except (ValueError, AttributeError):
        raise JourneyError("what was recorded is no definition: it was changed") from None
    ring = open_keyring(archive_key, variable=ARCHIVE_KEY)
    if options and ring is None:
        raise MissingKeyError(
            f"the options of {definition.name} are sealed: set {ARCHIVE_KEY} to the key that it "
            f"went to sleep with"
        )
    opened = {k: _opened(v, ring) for k, v in options.items() if ring}
    if lost := [k for k, v in opened.items() if v is None]:
        raise DecryptError([f"option {name}" for name in lost], key=ARCHIVE_KEY)
    return _with_options(definition, opened)


def check_place(document: str, place: MwaaPlace) -> None:
    """Refuse a place that the recorded environment is not made at: nobody would look for it there.

    Raises:
        JourneyError: its name, region or account is another one.
    """
    made = Definition.from_json(document)
    account = (place.role_arn or "").split(":")[4:5]
    asked = (place.name, place.region or made.region, account[0] if account else made.account)
    if asked == (made.name, made.region, made.account):
        return
    raise JourneyError(
        f"what sleeps is {made.name} in {made.region} of the account {made.account}: it is made "
        f"there again, and not as {asked[0]} in {asked[1]} of {asked[2]}. Wake it first, or add "
        f"the other one under another name"
    )


def options_of(definition: Definition) -> dict[str, str]:
    """Airflow's settings that its owner has changed; their values may be secret."""
    return {str(k): str(v) for k, v in (definition.told.get(OPTIONS) or {}).items()}


def held(definition: Definition, *, begins_active: bool) -> Definition:
    """The same, made so that nothing of it runs yet.

    Args:
        begins_active: of its DAGs one says that it is not paused when it is created.
    """
    options, names = options_of(definition), (PAUSED, SCHEDULES) if begins_active else (PAUSED,)
    more = {n: _HELD[n] for n in names if _is_true(options, n) != (_HELD[n] == "True")}
    if not more:
        return definition
    owed = ",".join(f"{n}={options[n]}" if n in options else n for n in more)
    return _with_options(definition, {**options, **more, OWED: owed})


def given_back(definition: Definition) -> Definition:
    """The same, what is held as its owner wants it, but for what somebody has changed since."""
    options = options_of(definition)
    for one in options.pop(OWED, "").split(","):
        name, is_given, wish = one.partition("=")
        if name in _HELD and options.get(name) == _HELD[name]:
            del options[name]
            options |= {name: wish} if is_given else {}
    return _with_options(definition, options)


def _is_true(options: Mapping[str, str], name: str) -> bool:
    return options.get(name, "True").strip().lower() not in ("false", "f", "0")


def _opened(value: str, ring: Keyring) -> str | None:
    content = ring.decrypt(value.removeprefix(_SEALED).encode())
    return None if content is None else content.decode()


def _with_options(definition: Definition, options: Mapping[str, Any]) -> Definition:
    told = {name: value for name, value in definition.told.items() if name != OPTIONS}
    return Definition({**told, OPTIONS: dict(options)} if options else told)
