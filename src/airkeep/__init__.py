"""airkeep: verified snapshots of Apache Airflow metadata databases.

    import airkeep

    snapshot = airkeep.export("postgresql://...", "s3://bucket/lake", environment="prod")
    airkeep.verify("s3://bucket/lake", "prod/latest")
    airkeep.restore("s3://bucket/lake", "prod/latest", "postgresql://...", create_schema=True)
    airkeep.Lake("s3://bucket/lake")["latest"].tables
    airkeep.query("s3://bucket/lake", "SELECT * FROM lost_hours")
    airkeep.report("s3://bucket/lake", "report.html")
    airkeep.cost_by("s3://bucket/lake", airkeep.Paid(Decimal("449.11")), by="owner")
    airkeep.adopt("s3://bucket/old-exports", "s3://bucket/lake", environment="retired")
    airkeep.prune("postgresql://...", "s3://bucket/lake", older_than=timedelta(days=90))

Nothing here prints, reads the environment or imports a heavy library before it is needed.
"""

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING

from airkeep.errors import AirkeepError
from airkeep.version import __version__

if TYPE_CHECKING:
    from airkeep.adopt.run import adopt
    from airkeep.cost.estimate import Usage, estimate
    from airkeep.cost.period import month_of
    from airkeep.cost.prices import load_prices
    from airkeep.database.address import Address, resolve_address
    from airkeep.database.limits import ReadLimits
    from airkeep.environment.sleep_history import Bill, plan_sleep
    from airkeep.export.csv import export_csv
    from airkeep.export.run import export
    from airkeep.lake.compact import compact
    from airkeep.models.catalog import Model
    from airkeep.models.query import list_models, query
    from airkeep.prune.run import prune
    from airkeep.rekey.run import rekey
    from airkeep.rekey.snapshot import rekey_snapshot
    from airkeep.report.cost import Paid, Priced, cost_by
    from airkeep.report.run import report
    from airkeep.restore.run import restore
    from airkeep.snapshot.clean import clean
    from airkeep.snapshot.lake import Lake, Snapshot
    from airkeep.snapshot.verify import compare, diff, verify, verify_csv
    from airkeep.upgrade.into import restore_upgraded
    from airkeep.upgrade.run import upgrade

__all__ = [
    "Address",
    "AirkeepError",
    "Bill",
    "Lake",
    "Model",
    "Paid",
    "Priced",
    "ReadLimits",
    "Snapshot",
    "Usage",
    "__version__",
    "adopt",
    "clean",
    "compact",
    "compare",
    "cost_by",
    "diff",
    "estimate",
    "export",
    "export_csv",
    "list_models",
    "load_prices",
    "month_of",
    "plan_sleep",
    "prune",
    "query",
    "rekey",
    "rekey_snapshot",
    "report",
    "resolve_address",
    "restore",
    "restore_upgraded",
    "upgrade",
    "verify",
    "verify_csv",
]

# Imported when they are asked for: all of them together take a quarter of a second.
_LATER = {
    "Address": "airkeep.database.address",
    "Bill": "airkeep.environment.sleep_history",
    "Lake": "airkeep.snapshot.lake",
    "Model": "airkeep.models.catalog",
    "Paid": "airkeep.report.cost",
    "Priced": "airkeep.report.cost",
    "ReadLimits": "airkeep.database.limits",
    "Snapshot": "airkeep.snapshot.lake",
    "Usage": "airkeep.cost.estimate",
    "clean": "airkeep.snapshot.clean",
    "compact": "airkeep.lake.compact",
    "compare": "airkeep.snapshot.verify",
    "cost_by": "airkeep.report.cost",
    "diff": "airkeep.snapshot.verify",
    "estimate": "airkeep.cost.estimate",
    "export_csv": "airkeep.export.csv",
    "list_models": "airkeep.models.query",
    "load_prices": "airkeep.cost.prices",
    "month_of": "airkeep.cost.period",
    "plan_sleep": "airkeep.environment.sleep_history",
    "query": "airkeep.models.query",
    "rekey_snapshot": "airkeep.rekey.snapshot",
    "resolve_address": "airkeep.database.address",
    "restore_upgraded": "airkeep.upgrade.into",
    "verify": "airkeep.snapshot.verify",
    "verify_csv": "airkeep.snapshot.verify",
}

# Functions whose names are those of packages, too, which the import system sets here.
_NAMED_AS_PACKAGES = ("adopt", "export", "prune", "rekey", "report", "restore", "upgrade")


class _Library(ModuleType):
    """This module: what is named as a package is the function, whichever is imported first."""


def _function(name: str) -> property:
    def get(_: ModuleType) -> object:
        return getattr(import_module(f"airkeep.{name}.run"), name)

    def keep(_: ModuleType, package: object) -> None:
        """The package stays in `sys.modules` alone."""

    return property(get, keep)


for _name in _NAMED_AS_PACKAGES:
    setattr(_Library, _name, _function(_name))
sys.modules[__name__].__class__ = _Library

if not TYPE_CHECKING:  # a type checker would take it for a yes to any name

    def __getattr__(name: str) -> object:
        if name not in _LATER:
            raise AttributeError(f"module 'airkeep' has no attribute {name!r}")
        return getattr(import_module(_LATER[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
