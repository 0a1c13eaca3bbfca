"""Settings: who wins, what is refused and how it is said, and what is never shown."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airkeep.config import BY_NAME, SETTINGS, Settings, load_settings
from airkeep.errors import ConfigError

EXAMPLES: dict[str, tuple[str, str, str, str]] = {
    # three different values that each setting takes, and the field's value of the first
    "environment": ("prod", "dev", "test", "prod"),
    "lake": ("s3://a/b", "/lake", "other", "s3://a/b"),
    "database": ("env:", "a.db", "b.db", "env:"),
    "fernet_key": ("k1", "k2", "k3", "k1"),
    "source_fernet_key": ("k1", "k2", "k3", "k1"),
    "archive_key": ("k1", "k2", "k3", "k1"),
    "secrets": ("seal", "drop", "plain", "seal"),
    "memory": ("1GB", "2GB", "3GB", "1000000000"),
    "threads": ("3", "4", "5", "3"),
    "spool": ("/a", "/b", "/c", "/a"),
    "lock_timeout_s": ("1", "2", "3", "1"),
    "statement_timeout_s": ("1", "2", "3", "1"),
    "athena_database": ("a", "b_1", "c", "a"),
    "athena_workgroup": ("a", "B.b", "c", "a"),
    "athena_output": ("s3://a/b", "s3://b/", "s3://c/d/", "s3://a/b/"),
    "glue_role": ("r1", "r2", "arn:aws:iam::123456789012:role/r3", "r1"),
    "glue_job": ("j1", "j2", "j3", "j1"),
    "glue_connection": ("c1", "c2", "c3", "c1"),
    "job_minutes": ("1", "2", "3", "1"),
    "notify": ("n1", "n2", "n3", "n1"),
}
FILE_SETTINGS = [setting.name for setting in SETTINGS if not setting.is_secret]
FIELDS = {setting.name: setting.field for setting in SETTINGS}
VARIABLES = {setting.name: setting.variables for setting in SETTINGS}


def value_of(settings: Settings, name: str) -> str:
    return str(getattr(settings, FIELDS[name]))


def test_every_field_is_described_and_has_an_example() -> None:
    described = {setting.field for setting in SETTINGS} | {"store"}
    assert described == {field.name for field in dataclasses.fields(Settings)}
    assert [setting.name for setting in SETTINGS] == list(EXAMPLES)
    for setting in SETTINGS:
        assert setting.help.endswith(".")
        assert setting.variables[0] == f"AIRKEEP_{setting.name.upper()}"


def test_without_anything_the_defaults_hold() -> None:
    settings = load_settings({}, {}, None)
    assert settings == Settings()
    assert settings.environment is None
    assert settings.secrets is None
    assert settings.memory_bytes is None
    assert settings.threads in (1, 2)
    assert (settings.lock_timeout_s, settings.statement_timeout_s) == (30, 3600)


@pytest.mark.parametrize("name", FILE_SETTINGS)
def test_a_flag_wins_over_the_environment_that_over_the_file(name: str) -> None:
    first, second, third, _ = EXAMPLES[name]
    environ, file = {VARIABLES[name][0]: second}, f'{name} = "{third}"'
    expected = [
        value_of(load_settings({name: text}, {}, None), name) for text in EXAMPLES[name][:3]
    ]

    assert value_of(load_settings({name: first}, environ, file), name) == expected[0]
    assert value_of(load_settings({name: None}, environ, file), name) == expected[1]
    assert value_of(load_settings({}, {VARIABLES[name][0]: ""}, file), name) == expected[2]


@pytest.mark.parametrize("name", EXAMPLES)
def test_each_is_read_from_each_of_its_variables_in_turn(name: str) -> None:
    first, second, _, expected = EXAMPLES[name]
    for variable in VARIABLES[name]:
        assert value_of(load_settings({}, {variable: first}, None), name) == expected
    both = dict(zip(VARIABLES[name], (first, second), strict=False))
    assert value_of(load_settings({}, both, None), name) == expected


def test_mwaas_environment_name_wins_over_the_file() -> None:
    environ = {"AIRFLOW_ENV_NAME": "mwaa-prod"}
    assert load_settings({}, environ, 'environment = "file"').environment == "mwaa-prod"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("400MB", 400_000_000),
        ("1.5 gb", 1_500_000_000),
        ("512MiB", 512 << 20),
        ("1GiB", 1 << 30),
        ("200000000", 200_000_000),
        ("150MB", 150_000_000),
        (" 200000kb ", 200_000_000),
    ],
)
def test_memory_is_a_size(text: str, expected: int) -> None:
    assert load_settings({"memory": text}, {}, None).memory_bytes == expected
    assert load_settings({}, {}, "memory = 200_000_000").memory_bytes == 200_000_000


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("environment", ["a b", "a/b", "ü", "a" * 81, "a\n"]),
        ("secrets", ["Keep", "yes"]),
        ("memory", ["149MB", "lots", "400 bananas", "-400MB", "1e9", "0x10", "nan"]),
        ("threads", ["0", "257", "two", "1.5", "-1", "٣"]),
        ("lock_timeout_s", ["-1", "30s", "2000001"]),
    ],
)
def test_a_wrong_value_is_named_with_its_place_and_what_was_expected(
    name: str, values: list[str]
) -> None:
    variable = VARIABLES[name][0]
    for value in values:
        with pytest.raises(ConfigError) as caught:
            load_settings({}, {variable: value}, None)
        assert str(caught.value).startswith(f"{variable}: expected ")
        assert str(caught.value).endswith(f"found {value!r}")
        with pytest.raises(ConfigError, match=f"^{BY_NAME[name].flag}: expected"):
            load_settings({name: value}, {}, None)
    with pytest.raises(ConfigError, match=rf"^{name} in airkeep\.toml: expected .*found True"):
        load_settings({}, {}, f"{name} = true")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("memroy = 1", "'memroy', which is no setting (did you mean memory?): known"),
        ("zzz = 1", "'zzz', which is no setting: known are environment, lake,"),
        ('fernet_key = "hunter2"', "the secret fernet_key: take it out and set AIRKEEP_FERNET_KEY"),
        ('archive_key = "hunter2"', "set AIRKEEP_ARCHIVE_KEY"),
        ('database = "postgresql://u:hunter2@h/db"', "a password in database: take it out"),
        ('database = "postgresql://h/db?password=hunter2"', "a password in database: take it out"),
        ('lake = "s3://key:hunter2@bucket"', "a password in lake: take it out"),
        ("[store]\naws_secret_access_key = 'hunter2'", "set AIRKEEP_STORE_AWS_SECRET_ACCESS_KEY"),
        ("[store]\nazure_storage_sas_token = 'hunter2'", "the secret store.azure_storage_sas"),
        ("[store]\naccess_key = 'hunter2'", "the secret store.access_key"),
        ("[store.more]\na = 1", "store.more must be a text"),
        ("store = 1", "store must be a table: [store]"),
        ("lake = hunter2", "is no TOML: line 1, column"),
        ("lake = 'hunter2", "is no TOML: "),
        ("[environment]\nx = 1", "environment in airkeep.toml: expected"),
    ],
)
def test_what_the_file_may_not_hold_is_refused_and_not_repeated(text: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_settings({}, {}, text)
    assert words in str(caught.value)
    assert "hunter2" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_database_without_a_password_may_stand_in_the_file() -> None:
    url = "postgresql://me@host:5432/airflow?sslmode=require"
    assert load_settings({}, {}, f'database = "{url}"').database == url


def test_the_stores_options_are_joined_name_by_name() -> None:
    settings = load_settings(
        {"store": {"aws_region": "flag"}},
        {"AIRKEEP_STORE_AWS_REGION": "variable", "AIRKEEP_STORE_AWS_ENDPOINT": "variable",
         "AIRKEEP_STORE_EMPTY": ""},
        "[store]\nAWS_REGION = 'file'\naws_endpoint = 'file'\naws_allow_http = true\nretries = 3\n"
        "aws_access_key_id = 'AKIA'\naws_sse_kms_key_id = 'id'",
    )  # fmt: skip
    assert dict(settings.store) == {
        "aws_region": "flag",
        "aws_endpoint": "variable",
        "aws_allow_http": "true",
        "retries": "3",
        "aws_access_key_id": "AKIA",
        "aws_sse_kms_key_id": "id",
    }


@given(st.text(min_size=9).filter(lambda text: "\0" not in text))
def test_no_secret_is_shown(text: str) -> None:
    secret = f"hunter2-{text}"
    settings = load_settings(
        {},
        {
            "AIRKEEP_FERNET_KEY": secret,
            "AIRKEEP_ARCHIVE_KEY": secret,
            "AIRKEEP_DATABASE": f"postgresql://u:{secret}@h/db",
            "AIRKEEP_STORE_AWS_SECRET_ACCESS_KEY": secret,
        },
        None,
    )
    assert settings.fernet_key == secret
    assert "hunter2" not in repr(settings)
    assert "hunter2" not in str(settings)


def test_a_wrong_secret_is_not_repeated() -> None:
    for variable in ("AIRKEEP_FERNET_KEY", "AIRKEEP_DATABASE"):
        with pytest.raises(ConfigError, match=f"^{variable}: expected") as caught:
            load_settings({}, {variable: "hunter2\0"}, None)
        assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        (
            "environment",
            "no environment is set: give --environment, AIRKEEP_ENVIRONMENT, "
            "or environment in airkeep.toml",
        ),
        ("archive_key", "no archive_key is set: give AIRKEEP_ARCHIVE_KEY"),
    ],
)
def test_what_is_needed_and_missing_names_every_place(name: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_settings({}, {}, None).need(name)
    assert str(caught.value) == words
    assert load_settings({name: "x"}, {}, None).need(name) == "x"


def test_a_flag_that_is_no_setting_is_our_own_mistake() -> None:
    with pytest.raises(ValueError, match="no setting is called memroy"):
        load_settings({"memroy": "1GB"}, {}, None)


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Settings().threads = 3  # type: ignore[misc]
