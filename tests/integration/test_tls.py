"""TLS as MWAA's databases ask for it, against Debian's PostgreSQL and certificates made here.

The server of the wheel is built without OpenSSL; `make test` installs Debian's. Its own user comes
in without TLS, to make databases with the wheel's programs; the user `app` only with it, and the
user `robot` only with a certificate of its own.
"""

from __future__ import annotations

import os
import pwd
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import quote, urlencode

import pytest

import airkeep
from airkeep.database.address import parse_address
from airkeep.database.programs import unprivileged_user
from airkeep.database.server import Server
from airkeep.errors import AirkeepError, ConnectError
from certificates import Authority
from compare import AS_IT_WAS, data_of
from servers import OPTIONS, Databases, Templates, debian_programs, query, reachable_folder

PASSWORD = "p@ss:w/rd#%41 'ü"
ACCESS = """\
host    all  airkeep  127.0.0.1/32  scram-sha-256
hostssl all  app      127.0.0.1/32  scram-sha-256
hostssl all  robot    127.0.0.1/32  cert
"""
VERIFIED = ("verify-ca", "verify-full")


@dataclass(frozen=True)
class Secured:
    """A server that wants TLS, and the certificates on the client's side."""

    server: Server
    ours: Authority
    stranger: Authority

    def log(self) -> str:
        return (self.server.data / "server.log").read_text()


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    programs = debian_programs()
    if programs is None:
        pytest.skip("there is no PostgreSQL of Debian's: apt-get install postgresql")
    folder = tmp_path_factory.mktemp("certificates")
    ours, stranger = Authority(folder / "ours"), Authority(folder / "stranger")
    with reachable_folder() as home:
        key, certificate = ours.issue("127.0.0.1", home / "server")
        own(key, unprivileged_user())
        (home / "pg_hba.conf").write_text(ACCESS)
        options = {
            "ssl": "on",
            "ssl_key_file": str(key),
            "ssl_cert_file": str(certificate),
            "ssl_ca_file": str(ours.certificate(home / "server")),
            "hba_file": str(home / "pg_hba.conf"),
            "log_connections": "on",
            "log_line_prefix": "%a ",
        }
        with Server.start(home / "data", binaries=programs, options=OPTIONS | options) as server:
            yield Secured(server, ours, stranger)


@pytest.fixture
def secured_databases(secured: Secured) -> Iterator[Databases]:
    templates = Templates(secured.server)
    databases = Databases(templates)
    yield databases
    databases.drop()
    templates.drop()


def own(path: Path, user: pwd.struct_passwd | None) -> None:
    """Give a key to the user who runs the server; it is refused when others may read it."""
    if user is not None:
        os.chown(path, user.pw_uid, user.pw_gid)


def as_app(url: str, **options: str) -> str:
    """The same database for the user who may not come without TLS."""
    given = replace(parse_address(url), user="app", password="", options=()).reveal()
    before, _, after = given.partition("app@")
    return f"{before}app:{quote(PASSWORD, safe='')}@{after}?{urlencode(options)}"


def make_users(url: str) -> None:
    query(
        url,
        "DO $$ BEGIN "
        "IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'app') THEN "
        f"CREATE ROLE app LOGIN SUPERUSER PASSWORD '{PASSWORD.replace(chr(39), chr(39) * 2)}'; "
        "CREATE ROLE robot LOGIN SUPERUSER; END IF; END $$",
    )


@pytest.mark.parametrize("mode", [None, "prefer", "require", *VERIFIED])
def test_out_and_back_are_encrypted(
    mode: str | None, secured: Secured, secured_databases: Databases, tmp_path: Path
) -> None:
    plain, plain_target = secured_databases.airflow("airflow-263"), secured_databases.empty()
    make_users(plain)
    options = {} if mode is None else {"sslmode": mode}
    if mode in VERIFIED:
        options["sslrootcert"] = str(secured.ours.certificate(tmp_path))
    source, target = as_app(plain, **options), as_app(plain_target, **options)
    before = len(secured.log())

    snapshot = airkeep.export(source, str(tmp_path / "lake"), environment="tls")
    airkeep.restore(str(tmp_path / "lake"), snapshot, target, create_schema=True, **AS_IT_WAS)
    assert airkeep.compare(str(tmp_path / "lake"), snapshot, target).equal

    said = secured.log()[before:]
    connections = re.findall(r"connection authorized: user=app .*", said)
    assert len(connections) >= 3
    assert all("SSL enabled" in line and "application_name=airkeep" in line for line in connections)
    assert data_of(plain_target) == data_of(plain)


def test_a_certificate_of_ones_own_stands_for_a_password(
    secured: Secured, secured_databases: Databases, tmp_path: Path
) -> None:
    plain = secured_databases.airflow("airflow-263")
    make_users(plain)
    key, certificate = secured.ours.issue("robot", tmp_path)
    place = replace(parse_address(plain), user="robot", password="").reveal()
    given = urlencode({
        "sslmode": "verify-full",
        "sslrootcert": str(secured.ours.certificate(tmp_path)),
        "sslkey": str(key),
        "sslcert": str(certificate),
    })  # fmt: skip
    snapshot = airkeep.export(f"{place}?{given}", str(tmp_path / "lake"), environment="tls")
    assert snapshot.manifest.complete


@pytest.mark.parametrize("mode", ["disable", *VERIFIED])
@pytest.mark.parametrize("way", ["export", "restore"])
def test_what_does_not_agree_is_said_in_one_line_without_the_password(
    mode: str, way: str, secured: Secured, secured_databases: Databases, tmp_path: Path
) -> None:
    plain, lake = secured_databases.airflow("airflow-263"), str(tmp_path / "lake")
    make_users(plain)
    options = {"sslmode": mode}
    if mode in VERIFIED:
        options["sslrootcert"] = str(secured.stranger.certificate(tmp_path))
    address = as_app(plain if way == "export" else secured_databases.empty(), **options)

    def go() -> None:
        if way == "export":
            airkeep.export(address, lake, environment="tls")
        else:
            airkeep.restore(lake, "latest", address, **AS_IT_WAS)

    if way == "restore":
        airkeep.export(plain, lake, environment="tls")
    with pytest.raises(ConnectError, match="do not agree on TLS") as refused:
        go()
    assert_is_one_clean_line(refused.value)


def test_another_host_than_the_certificate_names_is_refused(
    secured: Secured, secured_databases: Databases, tmp_path: Path
) -> None:
    plain = secured_databases.airflow("airflow-263")
    make_users(plain)
    root = str(secured.ours.certificate(tmp_path))
    named = as_app(plain, sslmode="verify-full", sslrootcert=root).replace("127.0.0.1", "localhost")
    with pytest.raises(ConnectError, match="do not agree on TLS"):
        airkeep.export(named, str(tmp_path / "lake"), environment="tls")


def assert_is_one_clean_line(error: AirkeepError) -> None:
    assert "\n" not in str(error)
    assert PASSWORD not in str(error)
    assert quote(PASSWORD, safe="") not in str(error)
