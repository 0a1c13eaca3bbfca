"""airkeep: verified snapshots of Apache Airflow metadata databases.

    import airkeep

    snapshot = airkeep.export("postgresql://...", "s3://bucket/lake", environment="prod")
    airkeep.verify("s3://bucket/lake", "prod/latest")
    airkeep.restore("s3://bucket/lake", "prod/latest", "postgresql://...", create_schema=True)
    airkeep.Lake("s3://bucket/lake")["latest"].tables

Nothing here prints, reads the environment or imports a heavy library before it is needed.
"""

from airkeep.database.address import Address, resolve_address
from airkeep.database.limits import ReadLimits
from airkeep.errors import AirkeepError
from airkeep.export.csv import export_csv
from airkeep.export.run import export
from airkeep.restore.run import restore
from airkeep.snapshot.lake import Lake, Snapshot
from airkeep.snapshot.verify import clean, compare, diff, verify, verify_csv

__all__ = [
    "Address",
    "AirkeepError",
    "Lake",
    "ReadLimits",
    "Snapshot",
    "clean",
    "compare",
    "diff",
    "export",
    "export_csv",
    "resolve_address",
    "restore",
    "verify",
    "verify_csv",
]
