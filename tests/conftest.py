"""What all tests share: servers, databases, real data, and what a skip means.

A test skips only for want of `../shared` (the header says whether it is there), of root to become
somebody else, or of what a make target fetches: a PostgreSQL that knows TLS, Azurite, Chromium,
axe, dclint, Spark 4 (slow tests only). In CI (`CI=true`) every skip is a failure, so that a green
run means that everything ran.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import pytest

from airkeep.database.address import parse_address
from airkeep.database.programs import embedded_programs
from airkeep.database.server import Cluster, Server
from aws_server import AwsServer, aws_server
from azure_server import azure_server
from gs_server import gs_server
from mwaa_environments import made
from mwaa_journeys import Way
from mwaa_server import MwaaServer, running_mwaa
from rewound import Rewound
from s3_server import s3_server
from servers import (
    OPTIONS,
    SHARED,
    Databases,
    Templates,
    airflow_sqlite,
    in_ci,
    postgres16_programs,
    reachable_folder,
)

__all__ = ["aws_server", "azure_server", "gs_server", "s3_server"]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--dsn",
        metavar="URL",
        help="a PostgreSQL to test against, with a user that may create databases "
        "(default: one of our own, started for the session)",
    )


def pytest_configure() -> None:
    """Hear signals as a terminal's programs do: nohup and background jobs hand on ignored ones."""
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_report_header(config: pytest.Config) -> list[str]:
    dsn = config.getoption("--dsn")
    server = str(parse_address(dsn)) if dsn else "our own, started when a test needs it"
    shared = str(SHARED) if SHARED.is_dir() else f"not at {SHARED}: tests that need it skip"
    skips = " (CI: a skip is a failure)" if in_ci() else ""
    return [f"postgresql: {server}", f"shared: {shared}{skips}"]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if in_ci() and report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"skipped in CI, where everything must run: {reason}"
    return report


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder beside the project with what is not ours to keep."""
    if not SHARED.is_dir():
        pytest.skip(f"{SHARED} is not there")
    return SHARED


@pytest.fixture(scope="session")
def server(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """PostgreSQL 18 of our own, or the one that `--dsn` names."""
    dsn = request.config.getoption("--dsn")
    if dsn:
        yield Cluster(parse_address(dsn), embedded_programs())
        return
    with Server.start(options=OPTIONS) as own:
        yield own


@pytest.fixture(scope="session")
def server16() -> Iterator[Cluster]:
    """PostgreSQL 16: another major version, as Amazon MWAA has."""
    with Server.start(binaries=postgres16_programs(), options=OPTIONS) as own:
        yield own


@pytest.fixture(scope="session")
def templates(server: Cluster) -> Iterator[Templates]:
    made = Templates(server)
    yield made
    made.drop()


@pytest.fixture(scope="session")
def templates16(server16: Cluster) -> Iterator[Templates]:
    made = Templates(server16)
    yield made
    made.drop()


@pytest.fixture(scope="module")
def world(templates: Templates, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rewound]:
    """Airflow 3.3.2's rows with a snapshot, to be had again as they were then."""
    made = Rewound(templates, "airflow-332", tmp_path_factory.mktemp("world"))
    yield made
    made.drop()


@pytest.fixture
def databases(templates: Templates) -> Iterator[Databases]:
    """As many databases as the test asks for, on `server`."""
    made = Databases(templates)
    yield made
    made.drop()


@pytest.fixture
def databases16(templates16: Templates) -> Iterator[Databases]:
    """As many databases as the test asks for, on `server16`."""
    made = Databases(templates16)
    yield made
    made.drop()


@pytest.fixture
def new_database(databases: Databases) -> str:
    """The URL of an empty database."""
    return databases.empty()


@pytest.fixture
def airflow_dump(databases: Databases) -> Callable[[str], str]:
    """`airflow_dump("airflow-332")`: the URL of a fresh database with those rows."""
    return databases.airflow


@pytest.fixture
def airflow_file(tmp_path: Path) -> Callable[[str], Path]:
    """`airflow_file("airflow-3.3.2")`: that SQLite database, unpacked for this test."""
    return lambda name: airflow_sqlite(name, tmp_path)


@pytest.fixture
def server_folder() -> Iterator[Path]:
    """A folder for a server of the test's own; `tmp_path` is closed to other users."""
    with reachable_folder() as folder:
        yield folder


@pytest.fixture
def mwaa(aws_server: AwsServer, server: Cluster, databases: Databases) -> Iterator[MwaaServer]:
    """An MWAA whose environments have Airflow 3.3.2's rows."""
    with running_mwaa(aws_server, server, databases, "airflow-332") as running:
        yield running


@pytest.fixture
def way(mwaa: MwaaServer, tmp_path: Path) -> Way:
    """`prod`, an environment of MWAA at rest, known to a lake."""
    return made(mwaa, tmp_path, "prod")
