"""A snapshot becomes a newer Airflow's: by that Airflow's own migrations, in a scratch database.

Nothing is saved before all is seen to be right. The way is planned, the rows are looked at for what
is known to make a migration fail, the Airflows are found or installed; then the scratch database is
made, migrated and compared with the snapshot, and only then exported, its manifest last. The source
is never written to; a run that is killed leaves garbage in the lake at most.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

from airkeep.database.address import open_address
from airkeep.database.limits import ReadLimits
from airkeep.database.reader import open_reader
from airkeep.errors import ConfigError, MigrationError, UnfitError
from airkeep.export.describe import UpgradeOrigin
from airkeep.export.plan import ExportOptions
from airkeep.export.rows import Since, cutoff
from airkeep.export.run import check_case, export, export_backup
from airkeep.snapshot import manifest as m
from airkeep.snapshot import names
from airkeep.snapshot.choose import choose_entries, named
from airkeep.snapshot.folder import private_folder
from airkeep.snapshot.lake import Lake, LakePlace, Snapshot, open_lake
from airkeep.snapshot.progress import Progress, Step, silent
from airkeep.snapshot.read import SnapshotReader
from airkeep.snapshot.seal import SOURCE_KEY, SecretsWay, open_keyring
from airkeep.tables.revisions import version_order
from airkeep.upgrade.airflow import Airflow, Airflows
from airkeep.upgrade.masks import Masks, Unmasking
from airkeep.upgrade.plan import MigrationStep, plan_path, read_version
from airkeep.upgrade.preflight import in_the_way, look_at, look_at_skip
from airkeep.upgrade.proof import prove
from airkeep.upgrade.scratch import Scratch, as_stored, scratch_of
from airkeep.upgrade.tables import tables_after

CACHE = ".cache/airkeep/airflow"  # below the home folder


@dataclass(frozen=True)
class UpgradeResult:
    """What came of an upgrade; of a dry run no more than the way.

    Attributes:
        source: the snapshot that it began with.
        steps: which Airflows' migrations run.
        snapshot: the new one.
    """

    source: str
    airflow_version: str
    to: str
    environment: str
    steps: tuple[MigrationStep, ...]
    notes: tuple[str, ...] = ()
    snapshot: Snapshot | None = None
    took_s: float = 0.0


def upgrade(
    lake: LakePlace,
    snapshot: str | Snapshot,
    *,
    to: str,
    airflows: Sequence[Path] = (),
    environment: str | None = None,
    into: LakePlace | None = None,
    since: Since = None,
    skip: Sequence[str] = (),
    dry_run: bool = False,
    fernet_key: str | None = None,
    cache: Path | None = None,
    limits: ReadLimits | None = None,
    spool: Path | None = None,
    progress: Progress = silent,
) -> UpgradeResult:
    """Make a snapshot as a newer Airflow would have it, by that Airflow's own migrations.

    Args:
        to: an Airflow's version, or a minor one for its last patch.
        airflows: virtual environments that have an Airflow of the way; others are made with uv.
        environment: whose the new snapshot is; by default the old name with the version behind it.
        into: another lake for the new snapshot.
        since: only the runs of this window, counted back from the snapshot's instant.
        skip: tables that stay behind; of Airflow's own the empty table goes along.
        dry_run: find the way and look at the rows, and make nothing.
        fernet_key: the environment's own: Airflow before 2.9 did not encrypt triggers.
        cache: where virtual environments are kept.

    Raises:
        AirkeepError: see `airkeep.errors`; no snapshot was made.
    """
    began = monotonic()
    opened = open_lake(lake)
    found = opened.find(snapshot, complete=True) if isinstance(snapshot, str) else snapshot
    wanted = read_version(to)
    target = open_lake(into) if into is not None else opened
    name = _environment(found, wanted, environment, target)
    steps = plan_path(found.manifest.revisions, wanted)
    places = Airflows(airflows, cache or Path.home() / CACHE)
    _check_of_use(places, steps)
    open_keyring(fernet_key, variable=SOURCE_KEY)  # refused early, if it is none
    choose_entries(found.manifest, (), named(skip))  # refused early, if there is no such table
    asked = _Asked(found, wanted, steps, name, named(skip), fernet_key)
    with private_folder(spool) as folder:
        run = _Upgrade(asked, folder, limits or ReadLimits(), progress)
        window = run.window(since)
        if window is None:
            run.look(found)
        else:
            run.look_at_skip()
        if dry_run:
            run.foresee(places)
            return run.result(None, 0.0)
        made = run.run(target, places, window)
    return run.result(made, round(monotonic() - began, 3))


def _environment(snapshot: Snapshot, to: str, environment: str | None, target: Lake) -> str:
    name = environment or f"{snapshot.environment}-{to}"
    if len(name) > 80:
        raise ConfigError(f"{name} is too long for an environment: name one with -o")
    names.check_environment(name)
    if name == snapshot.environment:
        raise ConfigError(
            f"-o {name}: the snapshot is of that environment, whose newest snapshot would be of "
            f"another Airflow than its database. Name another one"
        )
    check_case(name, target.environments())
    return name


def _check_of_use(places: Airflows, steps: Sequence[MigrationStep]) -> None:
    needed = list(dict.fromkeys(step.airflow for step in steps))
    for version in places.given_versions:
        if version not in needed:
            raise ConfigError(
                f"--airflow: the way needs Airflow {' and '.join(needed)}, the given one is "
                f"{version}: name another one, or leave it out (then uv makes what is needed)"
            )


@dataclass(frozen=True)
class _Asked:
    """What is to be done."""

    source: Snapshot
    to: str
    steps: tuple[MigrationStep, ...]
    environment: str
    skip: tuple[str, ...]
    fernet_key: str | None


class _Upgrade:
    """One run; its methods are its steps, in order."""

    def __init__(self, asked: _Asked, folder: Path, limits: ReadLimits, progress: Progress) -> None:
        self.asked, self.folder, self.limits, self.progress = asked, folder, limits, progress
        self.notes: list[str] = []
        is_sealed = asked.source.manifest.secrets.mode == "seal"
        self.masks = Masks() if is_sealed else None

    def look(self, source: Snapshot) -> None:
        """Refuse what a migration is known to end at, all of it at once."""
        self.progress(Step("looking at the rows", 0, 0))
        with self.reader(source) as reader:
            found = look_at(reader, self.asked.steps, skip=self.skip(source))
        self.notes += found.notes
        _refuse(source, found.against)

    def look_at_skip(self) -> None:
        """Refuse what cannot be left behind, before only the window is left of the rest."""
        source = self.asked.source
        with self.reader(source) as reader:
            _refuse(source, tuple(look_at_skip(reader, self.asked.skip)))

    def run(self, target: Lake, places: Airflows, window: m.WindowEntry | None) -> Snapshot:
        source = self.asked.source
        if window is not None:
            source = self.slim(window)
            self.look(source)
        airflows = self.airflows(places)
        with self.scratch(source) as scratch:
            logged = "log" in source.manifest.labels
            newest = scratch.newest_event() if logged else 0
            steps = tuple(
                self.migrate(scratch, step, airflow)
                for step, airflow in zip(self.asked.steps, airflows, strict=True)
            )
            scratch.forget_events(newest)
            if aligned := scratch.align(self.asked.to):
                self.notes.append(
                    f"{', '.join(aligned)}: jsonb, as a new database of {self.asked.to} has it"
                )
            tables, proof = self.compare(scratch, source)
            origin = self.origin(steps, tables, proof, window)
            made = self.save(scratch, target, origin)
        masks = self.masks
        if masks is not None and masks.gone:
            self.notes.append(
                f"{masks.gone:,} of {len(masks.hidden):,} sealed values are in no row after the "
                f"migrations: compare their tables' rows above"
            )
        return made

    def scratch(self, source: Snapshot) -> AbstractContextManager[Scratch]:
        skip = self.skip(source)
        return scratch_of(
            source,
            self.folder,
            skip=skip,
            without=in_the_way(source.manifest, skip),
            masks=self.masks,
            limits=self.limits,
            progress=self.progress,
        )

    def skip(self, source: Snapshot) -> tuple[str, ...]:
        """What stays behind of a snapshot; of the window's it has stayed behind already."""
        return self.asked.skip if source is self.asked.source else ()

    def window(self, since: Since) -> m.WindowEntry | None:
        cut = cutoff(since, names.id_time(self.asked.source.id))
        return None if cut is None else m.WindowEntry(cut)

    def slim(self, window: m.WindowEntry) -> Snapshot:
        """The runs of the window and what hangs on them, as a snapshot in the private folder."""
        source = self.asked.source
        with self.scratch(source) as whole:
            made = export(
                whole.url,
                Lake(str(self.folder / "window")),
                environment=source.environment,
                since=window.cutoff,
                allow_plain=True,
                limits=self.limits,
                spool=self.folder,
                progress=self.progress,
            )
        if self.masks is not None:
            self.masks.start_anew()
        runs = [
            t.rows for t in (made.manifest.table("dag_run"), source.manifest.table("dag_run")) if t
        ]
        self.notes.append(
            f"{made.manifest.rows:,} of {source.manifest.rows:,} rows, {runs[0]:,} of "
            f"{runs[-1]:,} runs, are of the window since {window.cutoff:%Y-%m-%dT%H:%M:%SZ}; the "
            f"others stay in {source.name}"
        )
        return made

    @property
    def fab(self) -> bool:
        """Whether FAB's users and roles are to be migrated."""
        return self.asked.source.manifest.table("ab_user") is not None

    def foresee(self, places: Airflows) -> None:
        """Which Airflows are not there yet."""
        versions = dict.fromkeys(step.airflow for step in self.asked.steps)
        self.notes += filter(None, (places.to_be_made(v, fab=self.fab) for v in versions))

    def airflows(self, places: Airflows) -> list[Airflow]:
        """All of them before the first one runs: what is missing is told at once."""
        fab, found = self.fab, []
        for step in self.asked.steps:
            self.progress(Step(f"finding Airflow {step.airflow}", 0, 0))
            found.append(places.get(step.airflow, fab=fab))
        without = {
            a.version for a in found if fab and not a.fab and version_order(a.version) >= (3,)
        }
        if without:
            self.notes.append(
                f"the Airflow {', '.join(sorted(without))} that was given has no FAB provider: "
                f"ab_* and session stay as they were"
            )
        return found

    def migrate(
        self, scratch: Scratch, step: MigrationStep, airflow: Airflow
    ) -> m.UpgradeStepEntry:
        """One run of an Airflow, judged by what `alembic_version` holds afterwards.

        Its status is not asked: 2.6 and older end with 1 after they have done their work.
        """
        self.progress(Step(str(step), 0, 0))
        began = monotonic()
        # Sealed values are tokens of ours meanwhile: an Airflow that could encrypt would hide them.
        key = "" if self.masks is not None else self.asked.fernet_key or ""
        variables = {
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": scratch.airflow_url,
            "AIRFLOW__CORE__SQL_ALCHEMY_CONN": scratch.airflow_url,
            "AIRFLOW__CORE__FERNET_KEY": key,
        }
        hide = (*scratch.secrets, key)
        ended = airflow.run(self.folder, variables, *_words(step), hide=hide)
        found = scratch.revisions()
        if found != step.revisions:
            said = "; ".join(ended.complaints) or f"status {ended.status}, no complaint"
            raise MigrationError(
                f"{step} did not reach its end: the database is at "
                f"{', '.join(sorted(found)) or 'no revision'}, expected "
                f"{', '.join(sorted(step.revisions))}. It said: {said}"
            )
        return m.UpgradeStepEntry(
            airflow.version, step.deed, step.to, round(monotonic() - began, 3)
        )

    def compare(
        self, scratch: Scratch, source: Snapshot
    ) -> tuple[tuple[m.UpgradedTableEntry, ...], tuple[m.ProofEntry, ...]]:
        address, limits = open_address(scratch.url), self.limits
        with (
            open_reader(address, self.folder, limits) as after,
            self.reader(as_stored(source)) as before,
        ):
            after.fix(lambda labels: labels)
            skip = self.skip(source)
            hidden = {} if self.masks is None else self.masks.by_value
            proof = prove(before, after, hidden=hidden, skip=skip, progress=self.progress)
            return tables_after(source.manifest, after, skip), proof

    def reader(self, source: Snapshot) -> SnapshotReader:
        limits = self.limits
        return SnapshotReader(
            source, folder=self.folder, memory_bytes=limits.memory_bytes, threads=limits.threads
        )

    def origin(
        self,
        steps: tuple[m.UpgradeStepEntry, ...],
        tables: tuple[m.UpgradedTableEntry, ...],
        proof: tuple[m.ProofEntry, ...],
        window: m.WindowEntry | None,
    ) -> UpgradeOrigin:
        source = self.asked.source
        entry = m.UpgradedEntry(
            environment=source.environment,
            id=source.id,
            manifest_sha256=source.manifest_sha256,
            airflow_version=source.manifest.airflow_version,
            to=self.asked.to,
            steps=steps,
            tables=tables,
            proof=proof,
            notes=tuple(self.notes),
        )
        return UpgradeOrigin(entry, source.manifest, window)

    def save(self, scratch: Scratch, target: Lake, origin: UpgradeOrigin) -> Snapshot:
        mode: m.SecretsMode = "keep" if self.masks is None else "seal"
        keep = SecretsWay("keep")
        return export_backup(
            scratch.url,
            target,
            origin,
            ExportOptions(environment=self.asked.environment, secrets=mode, allow_plain=True),
            keep if self.masks is None else Unmasking("seal", masks=self.masks),
            limits=self.limits,
            spool=self.folder,
            progress=self.progress,
        )

    def result(self, made: Snapshot | None, took_s: float) -> UpgradeResult:
        asked = self.asked
        return UpgradeResult(
            source=str(asked.source.name),
            airflow_version=asked.source.manifest.airflow_version,
            to=asked.to,
            environment=asked.environment,
            steps=asked.steps,
            notes=tuple(self.notes),
            snapshot=made,
            took_s=took_s,
        )


def _refuse(source: Snapshot, against: Sequence[str]) -> None:
    if against:
        raise UnfitError(f"{source.name} cannot be migrated: {'; '.join(against)}")


def _words(step: MigrationStep) -> tuple[str, ...]:
    """How this release spells it."""
    if step.deed == "merge heads":
        return ("alembic", "upgrade", *step.revisions)
    if step.deed == "downgrade":
        return ("airflow", "db", "downgrade", "--to-version", step.to, "-y")
    order = version_order(step.airflow)
    if order < (2,):
        return ("airflow", "upgradedb")
    return ("airflow", "db", "migrate" if order >= (2, 7) else "upgrade")
