"""Every error that airkeep raises, and the exit status each one has.

    AirkeepError                     1
    ├── ConfigError                  3   a setting is wrong or missing
    ├── MissingExtraError            4   an optional part is not installed
    ├── DatabaseError               10   (the family's own status is for what has no better name)
    │   ├── AddressError            11   the address cannot be understood, or names nothing
    │   ├── ConnectError            12   no such host, refused, wrong password, no such database
    │   ├── NotAirflowError         13   not a database, or not Airflow's
    │   ├── PrivilegeError          14   a right is missing on a table
    │   ├── BusyError               15   a lock was not had in time (may be tried again)
    │   └── LostConnectionError     16   the server went away half way
    ├── StoreError                  20
    │   ├── StoreAccessError        21   no right to read or write there
    │   ├── NotFoundError           22   nothing at that path
    │   ├── AlreadySavedError       23   create-if-absent found something
    │   ├── DiskFullError           24   no space left
    │   └── UnavailableError        25   the store did not answer (may be tried again)
    ├── SnapshotError               30
    │   ├── DamagedFileError        31   a file's bytes are not what its manifest says
    │   ├── MissingFileError        32   a manifest, or a file that it names, is gone
    │   ├── NewerFormatError        33   written by a newer airkeep
    │   ├── NoSuchSnapshotError     34   no snapshot of that name, or more than one
    │   ├── ManifestError           35   a manifest that cannot be understood
    │   └── DifferenceError         36   contents that should be equal are not
    ├── ExportError                 40
    │   ├── PlainSecretError        41   a secret stands in plain text where Airflow encrypts
    │   └── ChangedError            42   the database or the lake changed under the export
    ├── RestoreError                50
    │   ├── OtherRevisionError      51   the target is another Airflow
    │   ├── NotEmptyError           52   the target holds rows already
    │   └── ConflictError           53   the target's row is another one, and nobody said what then
    ├── SecretError                 60
    │   ├── MissingKeyError         61   a key is needed and was not given
    │   ├── DecryptError            62   values that no given key decrypts
    │   └── RekeyError              63   there is nothing that another key could open, or it failed
    ├── AwsError                    70
    │   ├── AwsAccessError          71   no credentials, or no right to do this
    │   ├── AwsUnavailableError     72   AWS did not answer in time (may be tried again)
    │   ├── NoEnvironmentError      73   Amazon MWAA has no environment of that name
    │   ├── EnvironmentStateError   74   an environment that cannot be used, or not any more
    │   └── AirflowRestError        76   Airflow's own REST API refused
    ├── JobError                    77   a job elsewhere was not had, or not had in time
    │   └── JobFailedError          78   a job's command failed; its own status is the exit status
    ├── CatalogError                75   a catalog cannot be used, or holds what it should not
    ├── AdoptError                  80
    │   ├── UnknownLayoutError      81   no backup of a tool that is known
    │   └── BadBackupError          82   a backup that is cut off or changed
    ├── UpgradeError                85
    │   ├── NoWayError              86   no migrations lead from one to the other
    │   ├── UnfitError              87   what is in the snapshot, and no migration takes
    │   ├── MigrationError          88   an Airflow's own migration failed, or there is no Airflow
    │   └── ProofError              89   what should be equal after the migration is not
    ├── PruneError                  90   rows that should have left are still there
    │   └── OtherDatabaseError      91   the snapshot is of another database
    ├── NotifyError                 92   whoever was to be told took no message
    │   └── UnansweredError         93   and did not answer (may be tried again)
    ├── NoPriceError                94   a price that is needed is in no table
    └── JourneyError                95   an environment did not get where it was to go
        ├── HeldError               96   another run is at work on it (may be tried again)
        ├── GateError               97   something speaks against deleting it
        ├── TooLongError            98   a wait has lasted too long (may be tried again)
        └── LocalAirflowError       99   an Airflow on this machine did not start, or has ended

A usage error of the command line exits with 2, SIGHUP with 129, Ctrl-C with 130, SIGTERM with
143, a standard output that nobody reads any more with 141. A message says what was expected, what
was found and what to do next, in one line, and holds no secret.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import ClassVar


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """` (did you mean NEAR?)`, to end a message with; empty where nothing known is near."""
    spelled = {one.lower(): one for one in known}
    near = get_close_matches(name.lower(), spelled, n=1)
    return f" (did you mean {spelled[near[0]]}?)" if near else ""


def shown(value: object, most: int = 100) -> str:
    """A value that was given, for a message: quoted, and the beginning only where it is long."""
    text = repr(value)
    return text if len(text) <= most else f"{text[:most]}... ({len(text):,} characters)"


class AirkeepError(Exception):
    """The root: whatever a user can cause or meet."""

    exit_status: int = 1
    retryable: ClassVar[bool] = False


class ConfigError(AirkeepError):
    """A setting is wrong or missing."""

    exit_status = 3


def no_such_table(flag: str, name: str, where: str, known: Iterable[str]) -> ConfigError:
    """What every command says of a table that is not where it is looked for."""
    return ConfigError(f"{flag} {name}: no such table in {where}{did_you_mean(name, known)}")


class MissingExtraError(AirkeepError):
    """An optional part of airkeep is not installed."""

    exit_status = 4

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(f"{what} needs airkeep[{extra}]: pip install 'airkeep[{extra}]'")


class DatabaseError(AirkeepError):
    """A metadata database could not be used."""

    exit_status = 10


class AddressError(DatabaseError):
    """An address that cannot be understood, or that names nothing."""

    exit_status = 11


class ConnectError(DatabaseError):
    """No connection: host, port, password or database name."""

    exit_status = 12


class NotAirflowError(DatabaseError):
    """Not a database, or not an Airflow metadata database."""

    exit_status = 13


class PrivilegeError(DatabaseError):
    """The database user lacks a right."""

    exit_status = 14


class BusyError(DatabaseError):
    """A lock, or a quiet moment, was not had in time."""

    exit_status = 15
    retryable = True


class LostConnectionError(DatabaseError):
    """The server went away half way."""

    exit_status = 16


class StoreError(AirkeepError):
    """Bytes could not be saved or loaded."""

    exit_status = 20


class StoreAccessError(StoreError):
    """No right to read or write there, or no such bucket."""

    exit_status = 21


class NotFoundError(StoreError):
    """Nothing is saved at that path."""

    exit_status = 22

    def __init__(self, path: str, where: str) -> None:
        self.path = path
        super().__init__(f"{path} is not in {where}")


class AlreadySavedError(StoreError):
    """Something is saved at that path already; nothing was overwritten."""

    exit_status = 23

    def __init__(self, path: str, where: str) -> None:
        self.path = path
        super().__init__(f"{path} is in {where} already; nothing was overwritten")


class DiskFullError(StoreError):
    """No space left on the device."""

    exit_status = 24


class UnavailableError(StoreError):
    """The store did not answer, and the retries are used up."""

    exit_status = 25
    retryable = True


class SnapshotError(AirkeepError):
    """A snapshot could not be used."""

    exit_status = 30


class DamagedFileError(SnapshotError):
    """A file's bytes differ from what its manifest recorded."""

    exit_status = 31

    def __init__(self, path: str, *, expected: str, found: str, advice: str = "") -> None:
        self.path, self.expected, self.found = path, expected, found
        way_out = advice or "Restore another snapshot, or leave this table out with --skip."
        super().__init__(
            f"{path} has {found}, its manifest says {expected}: the file changed after it was "
            f"exported. {way_out}"
        )


class MissingFileError(SnapshotError):
    """A manifest, or a file that it names, is not in the lake."""

    exit_status = 32

    def __init__(self, path: str, message: str = "") -> None:
        self.path = path
        super().__init__(
            message
            or f"{path} is named by its manifest and is not in the lake. "
            f"Restore another snapshot, or leave this table out with --skip."
        )


class NewerFormatError(SnapshotError):
    """The snapshot was written by a newer airkeep."""

    exit_status = 33

    def __init__(self, path: str, *, found: int, known: int) -> None:
        super().__init__(
            f"{path} has format {found}, this airkeep reads up to {known}: "
            f"pip install --upgrade airkeep"
        )


class NoSuchSnapshotError(SnapshotError):
    """No snapshot has that name, or more than one has."""

    exit_status = 34


class ManifestError(SnapshotError):
    """A manifest that cannot be understood."""

    exit_status = 35


class DifferenceError(SnapshotError):
    """Contents that should be equal are not."""

    exit_status = 36


class ExportError(AirkeepError):
    """An export was refused or gave up; no snapshot was made."""

    exit_status = 40


class PlainSecretError(ExportError):
    """Secrets stand in plain text in columns that this Airflow encrypts."""

    exit_status = 41

    def __init__(self, names: Sequence[str]) -> None:
        self.names = tuple(names)
        shown = ", ".join(self.names[:10]) + (", ..." if len(self.names) > 10 else "")
        super().__init__(
            f"secrets stand in plain text where Airflow encrypts ({len(self.names)}): {shown}. "
            f"Use --secrets seal or drop, or take them along with --allow-plain."
        )


class ChangedError(ExportError):
    """The database or the lake changed under the export."""

    exit_status = 42


class RestoreError(AirkeepError):
    """A restore was refused or gave up; the target is as it was."""

    exit_status = 50


class OtherRevisionError(RestoreError):
    """The target is another Airflow than the snapshot's."""

    exit_status = 51


class NotEmptyError(RestoreError):
    """The target holds rows that the snapshot does not."""

    exit_status = 52


class ConflictError(RestoreError):
    """The target has a row with other content, and the policy is to fail."""

    exit_status = 53


class SecretError(AirkeepError):
    """Secrets could not be sealed or opened."""

    exit_status = 60


class MissingKeyError(SecretError):
    """A key is needed and was not given."""

    exit_status = 61


class DecryptError(SecretError):
    """Values that no given key decrypts, by name; their content is never shown."""

    exit_status = 62
    shown = 10  # by the message; the command line lists more of them beforehand

    def __init__(self, names: Sequence[str], *, key: str) -> None:
        self.names = tuple(names)
        more = ", ..." if len(self.names) > self.shown else ""
        shown = ", ".join(self.names[: self.shown]) + more
        super().__init__(
            f"{len(self.names)} values are not decrypted by {key}: {shown}. "
            f"Give the key that encrypted them (several, comma-separated, are tried in turn)."
        )


class RekeyError(SecretError):
    """Secrets could not be brought to another key; they are as they were."""

    exit_status = 63


class AwsError(AirkeepError):
    """A service of AWS refused or failed."""

    exit_status = 70


class AwsAccessError(AwsError):
    """No credentials, or no right to do this."""

    exit_status = 71


class AwsUnavailableError(AwsError):
    """AWS did not answer in time, and the retries are used up."""

    exit_status = 72
    retryable = True


class NoEnvironmentError(AwsError):
    """Amazon MWAA has no environment of that name, in this account and region."""

    exit_status = 73

    def __init__(self, name: str, known: Sequence[str]) -> None:
        there = f"there are {', '.join(known)}" if known else "there is none at all"
        super().__init__(
            f"Amazon MWAA has no environment {name}{did_you_mean(name, known)}: {there}, in this "
            f"account and region"
        )


class EnvironmentStateError(AwsError):
    """An environment of Amazon MWAA that cannot be used, or not any more."""

    exit_status = 74

    def __init__(self, name: str, status: str, reason: str) -> None:
        self.name, self.status, self.reason = name, status, reason
        super().__init__(f"the environment {name} is {status}{f': {reason}' if reason else ''}")


class AirflowRestError(AwsError):
    """Airflow's own REST API refused.

    Attributes:
        status: HTTP's, such as 404.
    """

    exit_status = 76

    def __init__(self, doing: str, status: int, words: str) -> None:
        self.status = status
        super().__init__(f"{doing}: it answered {status}{f', {words}' if words else ''}")


class JobError(AirkeepError):
    """A job elsewhere could not be had, ended without a result, or took too long."""

    exit_status = 77


class JobFailedError(JobError):
    """The command of a job failed there; the exit status is that command's own."""

    exit_status = 78

    def __init__(self, status: int, words: str, logs: str) -> None:
        self.exit_status = status if 0 < status < 256 else type(self).exit_status
        super().__init__(f"the job's command ended with {status}: {words} (logs: {logs})")


class CatalogError(AirkeepError):
    """A catalog of tables cannot be used, or holds what it should not."""

    exit_status = 75


class AdoptError(AirkeepError):
    """A backup of another tool could not be adopted; no snapshot was made of it."""

    exit_status = 80


class UnknownLayoutError(AdoptError):
    """There is no backup, or none of a layout that is known, or more than one."""

    exit_status = 81


class BadBackupError(AdoptError):
    """A backup's file is cut off, or not what its tool writes."""

    exit_status = 82


class UpgradeError(AirkeepError):
    """A snapshot could not be made a newer Airflow's; no snapshot was made."""

    exit_status = 85


class NoWayError(UpgradeError):
    """No migrations lead from the snapshot to the version that was asked for."""

    exit_status = 86


class UnfitError(UpgradeError):
    """Rows of the snapshot that the migrations would fail at, by name."""

    exit_status = 87


class MigrationError(UpgradeError):
    """An Airflow's migration failed, or there is no such Airflow here."""

    exit_status = 88


class ProofError(UpgradeError):
    """What should be equal before and after the migration is not."""

    exit_status = 89


class PruneError(AirkeepError):
    """A prune was refused, or others were in its way; what it deleted is in the lake."""

    exit_status = 90


class OtherDatabaseError(PruneError):
    """The snapshot is of another database than the one to prune."""

    exit_status = 91


class NotifyError(AirkeepError):
    """Whoever was to be told of a journey took no message."""

    exit_status = 92


class UnansweredError(NotifyError):
    """Whoever was to be told did not answer."""

    exit_status = 93
    retryable = True


class NoPriceError(AirkeepError):
    """A price that is needed is in no table, ours or the user's."""

    exit_status = 94


class JourneyError(AirkeepError):
    """An environment did not get where it was to go; its journal tells how far it came."""

    exit_status = 95


class HeldError(JourneyError):
    """Another run is at work on the environment."""

    exit_status = 96
    retryable = True


class GateError(JourneyError):
    """Something speaks against deleting an environment; it is as it was."""

    exit_status = 97

    def __init__(self, name: str, reasons: Sequence[str]) -> None:
        self.reasons = tuple(reasons)
        super().__init__(
            f"{name} was not deleted: {'; '.join(self.reasons)}. --force deletes it all the same"
        )


class TooLongError(JourneyError):
    """What was waited for has not come."""

    exit_status = 98
    retryable = True


class LocalAirflowError(JourneyError):
    """An Airflow on this machine did not start, or has ended."""

    exit_status = 99
