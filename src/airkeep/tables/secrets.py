"""Which columns hold secrets, in which form, and what each `--secrets` policy does with them.

    holds        what it is                             keep   seal     drop       plain
    ciphertext   Fernet, under the environment's key    as is  sealed*  gone       decrypted
    plain        a secret that nothing protects         as is  sealed   gone       as is
    hash         of a password                          as is  sealed   gone       as is
    token        lets its bearer in                     as is  sealed   gone       as is

    * decrypted with the environment's key first, so that the archive key alone opens it.

Hashes are sealed although nobody can read a password from them: many people may read a lake,
a hash can be attacked at leisure, and a restore needs it back as it was. `plain` was asked for
what Airflow encrypts, and no form of a hash or a token is plainer than another. A dropped
value is NULL, or empty where the column takes no NULL; never `***`, which a restore would
take for a password.

What form a value has is said row by row by a flag column (`is_encrypted`, `is_extra_encrypted`,
which may differ in one row). A value is ciphertext when its flag is set and it has the shape of
a Fernet token. A token without the flag is plain text to Airflow, so to us; a flagged value
without the shape is text in the clear behind a wrong flag, and must not slip through as if it
were encrypted. An empty value or NULL holds no secret whatever its flag says. `trigger.kwargs`
has no flag: it is JSON up to 2.8, Fernet from 2.9, and in 3.x either of them (workers send it
unencrypted, asset watchers encrypt it); every Airflow from 2.9 reads both.

Not handled, and said so to users (`UNHANDLED`): secrets that people wrote where no secret is
expected.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from enum import Enum
from typing import Literal

Policy = Literal["keep", "seal", "drop", "plain"]


class Holds(Enum):
    """The form of one secret value."""

    CIPHERTEXT = "ciphertext"
    PLAIN = "plain"
    HASH = "hash"
    TOKEN = "token"  # noqa: S105


class Deed(Enum):
    """What a policy does with one secret value."""

    KEEP = "keep"
    DECRYPT_AND_SEAL = "decrypt and seal"
    SEAL = "seal"
    DECRYPT = "decrypt"
    DROP = "drop"


@dataclass(frozen=True)
class Secret:
    """One column that holds secrets.

    Attributes:
        table: its table.
        column: its name.
        named_by: the column that names a value in messages; never the value itself.
        holds: the form of its values; CIPHERTEXT means: or plain, see `form_of`.
        flag: the column that says row by row whether the value is encrypted, "" for none.
        dropped: what stands there after `drop` where NULL is not allowed.
    """

    table: str
    column: str
    named_by: str
    holds: Holds
    flag: str = ""
    dropped: str = ""

    def form_of(self, value: str | bytes | None, flag: bool | None = None) -> Holds | None:
        """The form of one value, None where there is nothing to hide.

        Args:
            value: as the database holds it.
            flag: what the row's flag column says; None where there is no such column (Airflow
                before 1.7, `trigger`) or it is NULL.
        """
        if not value:
            return None
        if self.holds is not Holds.CIPHERTEXT:
            return self.holds
        encrypted = (bool(flag) or not self.flag) and looks_like_fernet(value)
        return Holds.CIPHERTEXT if encrypted else Holds.PLAIN


SECRETS = (
    Secret("connection", "password", "conn_id", Holds.CIPHERTEXT, "is_encrypted"),
    Secret("connection", "extra", "conn_id", Holds.CIPHERTEXT, "is_extra_encrypted"),
    Secret("variable", "val", "key", Holds.CIPHERTEXT, "is_encrypted"),
    Secret("trigger", "kwargs", "id", Holds.CIPHERTEXT, dropped="{}"),  # NOT NULL, and read as JSON
    Secret("ab_user", "password", "username", Holds.HASH),
    Secret("ab_register_user", "password", "username", Holds.HASH),
    Secret("ab_register_user", "registration_hash", "username", Holds.TOKEN),
    Secret("user", "password", "username", Holds.HASH),  # 1.6; `users` from 1.7.1
    Secret("users", "password", "username", Holds.HASH),
    Secret("session", "session_id", "id", Holds.TOKEN),  # the cookie's content
    Secret("session", "data", "id", Holds.TOKEN),
    Secret("connection_test_request", "token", "id", Holds.TOKEN),
    Secret(
        "connection_test_request", "password", "connection_id", Holds.CIPHERTEXT, "is_encrypted"
    ),
    Secret(
        "connection_test_request", "extra", "connection_id", Holds.CIPHERTEXT, "is_extra_encrypted"
    ),
    Secret("edge_job", "command", "task_id", Holds.TOKEN),  # a workload with its own token
)

# `drop` leaves these rows out: their one use is the secret, and a second '' in the unique, NOT
# NULL connection_test_request.token would not go in again.
DROPPED_WHOLE = frozenset({"connection_test_request", "session", "edge_job"})

UNHANDLED = (
    ("connection", ("host", "login", "schema"), "Airflow never encrypts them"),
    ("dag_code", ("source_code",), "literals in DAG files"),
    ("serialized_dag", ("data", "data_compressed"), "literals in DAG files"),
    ("dag_pickle", ("pickle",), "literals in DAG files"),
    ("dag_run", ("conf",), "what a caller put in"),
    ("backfill", ("dag_run_conf",), "what a caller put in"),
    ("xcom", ("value",), "what a task returned"),
    ("_xcom_archive", ("value",), "what a task returned"),
    ("rendered_task_instance_fields", ("rendered_fields", "k8s_pod_yaml"), "masked by Airflow"),
    ("task_instance", ("executor_config", "next_kwargs"), "what an operator put in"),
    ("task_instance_history", ("executor_config", "next_kwargs"), "what an operator put in"),
    ("task_state_store", ("value",), "what a task put in"),
    ("asset_state_store", ("value",), "what a watcher put in"),
    ("hitl_detail", ("params", "params_input"), "what people were asked and answered"),
    ("hitl_detail_history", ("params", "params_input"), "what people were asked and answered"),
    ("callback", ("data", "output"), "arguments of a callback"),
    ("callback_request", ("callback_data",), "arguments of a callback"),
    ("deadline", ("callback", "callback_kwargs"), "arguments of a callback"),
    ("deadline_alert", ("callback_def",), "arguments of a callback"),
    ("connection_test_request", ("host", "login", "schema", "result_message"), "as connection"),
    ("log", ("extra",), "command lines and requests, masked by Airflow from 2.7"),
    ("import_error", ("stacktrace",), "lines of DAG files"),
    ("dag_bundle", ("signed_url_template", "template_params"), "signed, not encrypted"),
    ("celery_taskmeta", ("args", "kwargs", "result", "traceback"), "Celery's"),
)

_FERNET = re.compile(r"gAAAAA[A-Za-z0-9_-]+={0,2}")
_HEAD_AND_MAC = 1 + 8 + 16 + 32  # version, time, initial vector; HMAC
_BLOCK = 16


def secrets_of(table: str, columns: Collection[str]) -> tuple[Secret, ...]:
    """The secrets of a table, of those columns that this Airflow has."""
    return tuple(s for s in SECRETS if s.table == table and s.column in columns)


def encrypts(secret: Secret, columns: Collection[str]) -> bool:
    """Whether this Airflow is expected to encrypt the column, so that plain text there is an alarm.

    True where the flag column exists. False for `trigger.kwargs`: Airflow itself leaves plain
    JSON there, so finding some means nothing. An environment without a Fernet key answers True as
    well, and its plain passwords are refused until somebody says `--allow-plain`.

    Args:
        columns: the names of the table's columns.
    """
    return bool(secret.flag) and secret.flag in columns


def deed(policy: Policy, form: Holds) -> Deed:
    """What the policy does with a value of that form: the table in this module's head."""
    if policy == "drop":
        return Deed.DROP
    encrypted = form is Holds.CIPHERTEXT
    if policy == "seal":
        return Deed.DECRYPT_AND_SEAL if encrypted else Deed.SEAL
    return Deed.DECRYPT if policy == "plain" and encrypted else Deed.KEEP


def looks_like_fernet(value: str | bytes) -> bool:
    """Whether the value has the shape of a Fernet token; no key is needed, so it may be none.

    That is URL-safe base64 of a 0x80, eight bytes of time (which begins with zeros until the
    year 2106: hence gAAAAA), sixteen bytes of vector, whole blocks of sixteen, and the HMAC.
    """
    if isinstance(value, bytes):
        value = value.decode("ascii", errors="replace")
    if len(value) % 4 or not _FERNET.fullmatch(value):
        return False
    size = len(value) // 4 * 3 - value.count("=")
    return size >= _HEAD_AND_MAC + _BLOCK and (size - _HEAD_AND_MAC) % _BLOCK == 0
