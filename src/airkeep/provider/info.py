"""What Airflow asks a provider about itself, by the entry point `apache_airflow_provider`.

Nothing of Airflow is imported: it asks in every process that it starts.
"""

from __future__ import annotations

from typing import Any

from airkeep.version import __version__

_NAME = "airkeep"
_ROOM = "airkeep.provider"


def get_provider_info() -> dict[str, Any]:
    """The provider as Airflow's schema of providers wants it described."""
    return {
        "package-name": _NAME,
        "name": _NAME,
        "description": "Verified snapshots of the metadata database: export, verify, restore, "
        "prune, report.",
        "versions": [__version__],
        "integrations": [{"integration-name": _NAME, "tags": ["software"]}],
        "operators": [{"integration-name": _NAME, "python-modules": [f"{_ROOM}.operators"]}],
        "hooks": [{"integration-name": _NAME, "python-modules": [f"{_ROOM}.hook"]}],
        "triggers": [{"integration-name": _NAME, "python-modules": [f"{_ROOM}.glue"]}],
    }
