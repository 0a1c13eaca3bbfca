"""Where a database is: every way that people and Airflow write it, and never its password."""

from __future__ import annotations

import json
import pickle
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from airkeep.database.address import SSL_MODES, Address, parse_address, resolve_address
from airkeep.database.libpq import libpq, passfile_line
from airkeep.errors import AddressError

DATABASE = "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"
CORE = "AIRFLOW__CORE__SQL_ALCHEMY_CONN"
MWAA = {
    "DB_SECRETS": json.dumps({"username": "adminuser", "password": "p@ss:w/rd"}),
    "POSTGRES_HOST": "db.internal",
    "POSTGRES_PORT": "5433",
    "POSTGRES_DB": "AirflowMetadata",
}

texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=30)
names = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=20)
hosts = st.one_of(
    st.from_regex(r"[a-z][a-z0-9.-]{0,20}", fullmatch=True),
    st.ip_addresses().map(str),
    st.from_regex(r"/[a-z /@]{1,20}", fullmatch=True),
)
addresses = st.builds(
    Address,
    kind=st.just("postgresql"),
    database=names,
    host=hosts,
    port=st.none() | st.integers(1, 65535),
    user=names,
    password=texts,
    options=st.dictionaries(
        st.sampled_from(["connect_timeout", "options", "sslrootcert"]), names
    ).map(lambda options: tuple(sorted(options.items()))),
)


def postgres(**given: object) -> Address:
    parts = {"database": "db", "host": "h", "user": "u", "password": "p"} | given
    return Address("postgresql", **parts)  # type: ignore[arg-type]


class TestURL:
    def test_all_parts(self) -> None:
        url = "postgresql://me:secret@db.example.com:6543/airflow?sslmode=require"
        assert parse_address(url) == Address(
            "postgresql",
            database="airflow",
            host="db.example.com",
            port=6543,
            user="me",
            password="secret",
            options=(("sslmode", "require"),),
        )

    @pytest.mark.parametrize(
        "scheme",
        ["postgres", "postgresql", "postgresql+psycopg2", "postgresql+asyncpg", "postgres+psycopg2",
         "postgresql+psycopg", "PostgreSQL"],
    )  # fmt: skip
    def test_drivers_do_not_matter(self, scheme: str) -> None:
        assert parse_address(f"{scheme}://u:p@h/db") == postgres()

    @pytest.mark.parametrize(
        ("written", "meant"),
        [
            ("p%40ss%3Aw%2Frd%23%25", "p@ss:w/rd#%"),
            ("p@ss:w/rd#?x", "p@ss:w/rd#?x"),
            ("12/34", "12/34"),
            ("100%", "100%"),
            ("a+b c", "a+b c"),
            ("[x]", "[x]"),
            ("ü€", "ü€"),
            ("%FF", "\udcff"),
            ("", ""),
        ],
    )
    def test_a_password_is_read_percent_encoded_or_raw(self, written: str, meant: str) -> None:
        assert parse_address(f"postgresql://u:{written}@h/db") == postgres(password=meant)

    @pytest.mark.parametrize(
        "url",
        [
            "postgresql://u:p@h/db?options=a@b",
            "postgresql://u:p@x?options=q@h/db",
        ],
    )
    def test_a_text_with_two_meanings_is_refused(self, url: str) -> None:
        with pytest.raises(AddressError, match="more than one way: write @"):
            parse_address(url)

    def test_ipv6(self) -> None:
        assert parse_address("postgresql://u:p@[::1]:5433/db") == postgres(host="::1", port=5433)
        assert parse_address("postgresql://u:p@[fe80::1]/db") == postgres(host="fe80::1")

    @pytest.mark.parametrize(
        "url",
        ["postgresql://u:p@/db?host=/var/run/postgresql",
         "postgresql://u:p@%2Fvar%2Frun%2Fpostgresql/db",
         "postgresql:///db?host=/var/run/postgresql&user=u&password=p"],
    )  # fmt: skip
    def test_a_socket(self, url: str) -> None:
        assert parse_address(url) == postgres(host="/var/run/postgresql")

    def test_libpqs_options_are_kept_and_the_drivers_are_not(self) -> None:
        url = (
            "postgresql+psycopg2://u:p@h/db?sslmode=verify-full&sslrootcert=/ca.pem"
            "&connect_timeout=5&options=-c%20search_path%3Dairflow&application_name=x"
            "&prepared_statement_cache_size=0"
        )
        assert parse_address(url).options == (
            ("connect_timeout", "5"),
            ("options", "-c search_path=airflow"),
            ("sslmode", "verify-full"),
            ("sslrootcert", "/ca.pem"),
        )

    @pytest.mark.parametrize("mode", SSL_MODES)
    def test_asyncpgs_ssl_is_an_sslmode(self, mode: str) -> None:
        assert parse_address(f"postgresql+asyncpg://u:p@h/db?ssl={mode}").options == (
            ("sslmode", mode),
        )

    @pytest.mark.parametrize(
        ("url", "words"),
        [
            ("postgresql://u:p@h:port/db", "a port that is no number"),
            ("postgresql://u:p@h:0/db", "a port that is no number"),
            ("postgresql://u:p@h:70000/db", "a port that is no number"),
            ("postgresql://u:p@h/db?port=x", "a port that is no number"),
            ("postgresql://u:p@h/db?sslmode=on", "an sslmode that is none of disable,"),
            ("postgresql://u:p@h/db?sslmod=require", "did you mean sslmode?"),
            ("postgresql://u:p@h/db?zzzzz=1", "an option that is not known"),
            ("postgresql://u:p@h/db?sslmode=require&sslmode=disable", "an option twice"),
            ("postgresql://u:p@h/db?options=%00", "a NUL character"),
            ("postgresql://u:p@h/a/b", "no single database name"),
            ("postgresql://u:p@h1:1,h2:2/db", "several hosts"),
            ("postgresql://u:p@[::1/db", "no host that can be read"),
            ("postgresql://u:p@h h/db", "no host that can be read"),
            ("postgresql://u:p@h/db#x", "no host that can be read"),
            ("mysql://u:p@h/db", "MySQL is not supported yet"),
            ("mysql+mysqldb://u:p@h/db", "MySQL is not supported yet"),
            ("mssql://u:p@h/db", "must begin with postgresql://"),
            ("sqlite://", "three slashes"),
            ("sqlite:///", "must name a file"),
            ("sqlite:///:memory:", "must name a file"),
        ],
    )  # fmt: skip
    def test_what_cannot_be_understood_says_why(self, url: str, words: str) -> None:
        with pytest.raises(AddressError) as caught:
            parse_address(url)
        assert words in str(caught.value)
        assert "\n" not in str(caught.value)

    @pytest.mark.parametrize(
        ("url", "path"),
        [
            ("sqlite:///airflow.db", "airflow.db"),
            ("sqlite:////opt/airflow/airflow.db", "/opt/airflow/airflow.db"),
            ("sqlite+aiosqlite:////a b/100%25/#1/x.db?mode=ro", "/a b/100%25/#1/x.db"),
        ],
    )
    def test_sqlite(self, url: str, path: str) -> None:
        assert parse_address(url) == Address("sqlite", path)

    @given(addresses)
    def test_what_is_written_is_read_back(self, address: Address) -> None:
        assert parse_address(address.reveal()) == address
        assert parse_address(str(address)) == replace(address, password="")


class TestVariables:
    def test_airflows_own_come_first_in_its_order(self) -> None:
        environ = {DATABASE: "postgresql://u:p@h/db", CORE: "sqlite:///x.db", **MWAA}
        assert resolve_address("env:", environ) == postgres()
        del environ[DATABASE]
        assert resolve_address("env:", environ) == Address("sqlite", "x.db")

    @pytest.mark.parametrize("text", [None, "", "airflow-db-not-allowed:///"])
    def test_mwaas_are_used_where_airflow_is_kept_from_the_database(self, text: str | None) -> None:
        environ = MWAA if text is None else {DATABASE: text, CORE: text, **MWAA}
        assert resolve_address("env:", environ) == Address(
            "postgresql",
            database="AirflowMetadata",
            host="db.internal",
            port=5433,
            user="adminuser",
            password="p@ss:w/rd",
        )

    def test_the_port_may_be_missing(self) -> None:
        environ = {name: value for name, value in MWAA.items() if name != "POSTGRES_PORT"}
        assert resolve_address("env:", environ).port == 5432

    def test_nothing_found_says_what_was_looked_for(self) -> None:
        with pytest.raises(AddressError) as caught:
            resolve_address("env:", {"PATH": "/bin"})
        for name in (DATABASE, CORE, "DB_SECRETS", "POSTGRES_HOST", "POSTGRES_PORT", "POSTGRES_DB"):
            assert name in str(caught.value)

    @pytest.mark.parametrize("variant", ["_CMD", "_SECRET"])
    @pytest.mark.parametrize("name", [DATABASE, CORE])
    def test_a_command_is_named_and_never_run(
        self, name: str, variant: str, tmp_path: Path
    ) -> None:
        made = tmp_path / "made"
        with pytest.raises(AddressError, match=f"{name}{variant} is not supported"):
            resolve_address("env:", {f"{name}{variant}": f"touch {made}"})
        assert not made.exists()

    def test_a_command_beside_mwaas_variables_does_no_harm(self) -> None:
        assert resolve_address("env:", {f"{DATABASE}_CMD": "x", **MWAA}).host == "db.internal"

    def test_a_bad_url_is_named_by_its_variable(self) -> None:
        with pytest.raises(AddressError, match=f"^{CORE}: MySQL is not supported yet"):
            resolve_address("env:", {CORE: "mysql://u:p@h/db"})

    @pytest.mark.parametrize(
        ("changed", "words"),
        [
            ({"DB_SECRETS": "{hunter2"}, "DB_SECRETS is no JSON object"),
            ({"DB_SECRETS": '["hunter2"]'}, "DB_SECRETS is no JSON object"),
            ({"DB_SECRETS": '{"password": "hunter2"}'}, "with a username and a password"),
            ({"POSTGRES_HOST": ""}, "POSTGRES_HOST missing"),
            ({"POSTGRES_HOST": "", "POSTGRES_DB": ""}, "POSTGRES_HOST and POSTGRES_DB missing"),
            ({"POSTGRES_PORT": "hunter2"}, "POSTGRES_PORT is no number"),
        ],
    )
    def test_damaged_variables_are_named_without_their_value(
        self, changed: dict[str, str], words: str
    ) -> None:
        with pytest.raises(AddressError) as caught:
            resolve_address("env:", MWAA | changed)
        assert words in str(caught.value)
        assert "hunter2" not in str(caught.value)


class TestFile:
    def test_a_path_is_a_sqlite_file(self, tmp_path: Path) -> None:
        odd = tmp_path / "no suffix"
        odd.touch()
        assert resolve_address(str(odd), {}) == Address("sqlite", str(odd))
        assert resolve_address("not/there/yet.db", {}) == Address("sqlite", "not/there/yet.db")

    def test_what_is_nothing_is_named(self) -> None:
        with pytest.raises(AddressError, match=r"^nosuch is neither a URL"):
            resolve_address("nosuch", {})

    @pytest.mark.parametrize("text", ["u:hunter2@host/db", "host=h password=hunter2", ""])
    def test_what_may_hold_a_password_is_not_repeated(self, text: str) -> None:
        with pytest.raises(AddressError, match=r"^the database is neither") as caught:
            resolve_address(text, {})
        assert "hunter2" not in str(caught.value)


class TestPassword:
    @given(addresses)
    @example(postgres(password="100%"))
    def test_it_is_never_shown(self, address: Address) -> None:
        assume_tellable(address)
        copy = pickle.loads(pickle.dumps(address))
        assert copy == address
        for shown in (str(address), repr(address), f"{address}", f"{address:>9}", repr(copy),
                      repr([address])):  # fmt: skip
            assert address.password not in shown
            assert quote(address.password, safe="") not in shown

    @given(texts, st.sampled_from(["h/db", "h:x/db", "h/a/b", "h/db?zzz=1", "h/db?a@b", "h h", ""]))
    @example("?host=x", "h:x/db")
    @example("12@h?sslmode=hunter2", "h/db")
    def test_it_is_in_no_error(self, password: str, place: str) -> None:
        assume(len(password) > 3 and password not in EXPECTED_WORDS)
        for written in (password, quote(password, safe="")):
            for scheme in ("postgresql", "mysql", "oracle", "sqlite"):
                text = f"{scheme}://u:{written}@{place}"
                for ask in (parse_address, lambda text: resolve_address("env:", {CORE: text})):
                    try:
                        address = ask(text)
                    except AddressError as error:
                        spoken = str(error)
                        cause = error.__cause__
                    else:
                        spoken, cause = "", None
                        assert address.kind in ("postgresql", "sqlite")
                    assert password not in spoken
                    assert written not in spoken
                    assert cause is None

    @given(texts)
    def test_a_password_file_reads_as_libpq_reads_it(self, password: str) -> None:
        assume(not set(password) & set("\n\r"))
        line = passfile_line(password).decode()
        assert line.endswith("\n")
        assert unescape(line[:-1].removeprefix("*:*:*:*:")) == password

    @pytest.mark.parametrize("mark", ["\0", "\n", "\r"])
    def test_what_no_password_file_can_hold_is_refused(self, mark: str) -> None:
        address = postgres(password=f"hunter2{mark}x")
        with pytest.raises(AddressError, match="NUL or a line break") as caught, libpq(address):
            pass
        assert "hunter2" not in str(caught.value)


class TestLibpq:
    def test_the_password_lies_in_a_private_file_for_as_long_as_the_block_runs(
        self, tmp_path: Path
    ) -> None:
        with libpq(postgres(password=r"a:b\c"), folder=tmp_path) as connection:
            [file] = tmp_path.iterdir()
            assert file.stat().st_mode & 0o777 == 0o600
            assert file.read_text() == "*:*:*:*:a\\:b\\\\c\n"
            assert "a:b" not in connection.conninfo + connection.uri + repr(connection)
        assert list(tmp_path.iterdir()) == []

    def test_the_file_is_removed_on_ctrl_c(self, tmp_path: Path) -> None:
        with pytest.raises(KeyboardInterrupt), libpq(postgres(), folder=tmp_path):
            raise KeyboardInterrupt
        assert list(tmp_path.iterdir()) == []

    def test_without_a_password_no_file_is_made(self, tmp_path: Path) -> None:
        with libpq(postgres(password=""), folder=tmp_path) as connection:
            assert list(tmp_path.iterdir()) == []
        assert "pass" not in connection.conninfo

    def test_both_spellings(self, tmp_path: Path) -> None:
        address = postgres(
            host="::1", port=5433, user="o'neil", password="",
            options=(("options", "-c a=b"), ("sslmode", "require")),
        )  # fmt: skip
        with libpq(address, settings={"lock_timeout": "30s", "search_path": "a b"}) as connection:
            pass
        assert connection.conninfo == (
            r"host='::1' port='5433' user='o\'neil' dbname='db' connect_timeout='10' "
            r"options='-c a=b -c lock_timeout=30s -c search_path=a\\ b' "
            r"sslmode='require' application_name='airkeep'"
        )
        assert connection.uri == (
            "postgresql://?host=%3A%3A1&port=5433&user=o%27neil&dbname=db&connect_timeout=10&"
            "options=-c%20a%3Db%20-c%20lock_timeout%3D30s%20-c%20search_path%3Da%5C%20b&"
            "sslmode=require&application_name=airkeep"
        )

    def test_a_file_is_no_server(self) -> None:
        with (
            pytest.raises(ValueError, match=r"no use for sqlite:///x\.db"),
            libpq(Address("sqlite", "x.db")),
        ):
            pass


# What our own errors say; a random password that is a word of them proves nothing.
EXPECTED_WORDS = (
    "the database's URL must begin with postgresql:// or sqlite:/// (a driver such as "
    "postgresql+psycopg2:// is fine) can be read in more than one way: write @ / ? # in its "
    "password as %40 %2F %3F %23; expected postgresql://user:password@host:port/database "
    "has no host that can be read has a port that is no number from 1 to 65535 "
    "AIRFLOW__CORE__SQL_ALCHEMY_CONN: MySQL is not supported yet: airkeep reads PostgreSQL"
)


def assume_tellable(address: Address) -> None:
    """Skip passwords too short, or that stand in the other parts as well."""
    others = replace(address, password="")
    rest = f"{others!s} {others!r} {others.reveal()}"
    assume(len(address.password) > 3)
    assume(address.password not in rest)
    assume(quote(address.password, safe="") not in rest)


def unescape(text: str) -> str:
    """Read a field of a password file as libpq's passwordFromFile does."""
    found, rest = "", text
    while rest and rest[0] != ":":
        if rest[0] == "\\" and len(rest) > 1:
            rest = rest[1:]
        found, rest = found + rest[0], rest[1:]
    return found
