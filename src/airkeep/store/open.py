"""Turn a URL into a store.

    ./lake  /data/lake  file:///data/lake     a folder of this machine (percent-decoded in file:)
    s3://bucket/prefix                        Amazon S3, and what speaks its language
    gs://bucket/prefix                        Google Cloud Storage
    az://container/prefix                     Azure Blob Storage
    memory://                                 this process's memory; a new one every time

Prefixes are taken literally: spaces, unicode and `%` stand for themselves, none is decoded.

**Credentials** are found by obstore. On S3: `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` and
`AWS_SESSION_TOKEN`; else a web identity (`AWS_WEB_IDENTITY_TOKEN_FILE`, `AWS_ROLE_ARN`); else
the container's role (ECS, EKS, and so a worker of MWAA or a job of Glue, by
`AWS_CONTAINER_CREDENTIALS_*`); else the instance's role (EC2). Roles are renewed as they
expire. *Profiles in `~/.aws` and SSO are not read*: `AWS_PROFILE` has no effect, and
`eval "$(aws configure export-credentials --profile NAME --format env)"` sets the variables.
On Google `GOOGLE_APPLICATION_CREDENTIALS` or the machine's account, on Azure
`AZURE_STORAGE_ACCOUNT_NAME` with `AZURE_STORAGE_ACCOUNT_KEY`, a SAS or an identity.

**S3** takes its region from `AWS_REGION` or `AWS_DEFAULT_REGION` (us-east-1 when unset) and an
endpoint from `AWS_ENDPOINT_URL` (http is taken at its word), in path style. Encryption
at rest is the bucket's, or asked for by `AWS_SERVER_SIDE_ENCRYPTION` (`AES256`, `aws:kms`),
`AWS_SSE_KMS_KEY_ID`, `AWS_SSE_BUCKET_KEY_ENABLED`. A lifecycle rule should abort incomplete
multipart uploads: a killed process cannot.
"""

from __future__ import annotations

import re
import urllib.parse
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

from airkeep.errors import ConfigError, StoreAccessError
from airkeep.store.failure import names_no_credentials, no_credentials
from airkeep.store.interface import Store
from airkeep.store.local import LocalStore
from airkeep.store.objects import DEFAULT_MULTIPART_BYTES, Clients, ObjectStore
from airkeep.store.retry import Retry

if TYPE_CHECKING:
    from obstore.store import ObjectStore as Client

_SCHEME: Final = re.compile(r"([a-zA-Z][a-zA-Z0-9+.-]*)://(.*)", re.DOTALL)
# A drive's letter is left to be a folder: nobody means a cloud by it.
_ONE_SLASH: Final = re.compile(r"([a-zA-Z][a-zA-Z0-9+.-]+):/(?!/)")
_QUERY: Final = re.compile(r"\?.*=", re.DOTALL)
_UNKNOWN_OPTION: Final = re.compile(r"Configuration key: '([A-Za-z0-9_]{1,80})'")

SILENCE: Final = timedelta(seconds=60)  # without an answer, or without its next byte
# One request may carry a file of DEFAULT_MULTIPART_BYTES (at 0.5 MB/s it takes this long) or
# wait for a copy of S3_COPY_BYTES inside S3.
SLOW: Final = timedelta(minutes=10)
S3_COPY_BYTES: Final = 5 << 30  # S3 copies at most this much in one request, obstore sends one


def open_store(
    url: str,
    *,
    options: Mapping[str, str] | None = None,
    retry: Retry | None = None,
    multipart_bytes: int = DEFAULT_MULTIPART_BYTES,
) -> Store:
    """Open the store at a URL; nothing is asked of it yet, and no folder is made.

    Args:
        options: settings of the cloud's client, over those of the environment, by obstore's
            names (`aws_region`, `aws_endpoint_url`, `aws_access_key_id`,
            `aws_server_side_encryption`, `aws_sse_kms_key_id`, ...). On S3-like stores that
            do not know a conditional multipart copy, `copy_if_not_exists` says what they
            know. Left alone by folders and memory.
        retry: how long a silent store is waited for.
        multipart_bytes: larger files are sent in parts, in an object store.

    Raises:
        ConfigError: the URL or an option is not understood.
        StoreAccessError: credentials are incomplete.
    """
    given = _SCHEME.fullmatch(url)
    if given is None:
        return _folder(url)
    scheme, rest = given[1].lower(), given[2]
    if scheme == "file":
        return _folder_of_url(url, rest)
    if scheme != "memory" and scheme not in _CLIENTS:
        raise ConfigError(f"{scheme}:// is no place for a lake: expected a folder, or {_schemes()}")
    retry = retry or Retry()
    clients = _clients(scheme, rest, options or {}, retry)
    shown = f"{scheme}://{rest.rstrip('/')}"
    return ObjectStore(shown, clients, retry=retry, multipart_bytes=multipart_bytes)


def is_folder(url: str) -> bool:
    """Whether a URL names a folder of this machine."""
    given = _SCHEME.fullmatch(url)
    return given is None or given[1].lower() == "file"


def _folder(path: str) -> Store:
    if not path.strip():
        raise ConfigError(f"no lake was named: expected a folder, or {_schemes()}")
    if odd := _ONE_SLASH.match(path):
        scheme = odd[1].lower()
        meant = "file:///absolute/path" if scheme == "file" else f"{scheme}://bucket"
        raise ConfigError(
            f"{scheme}:/ has one slash: did you mean {meant}? A folder of that name is "
            f"./{scheme}:/..."
        )
    return LocalStore(Path(path).expanduser(), url=path)


def _folder_of_url(url: str, rest: str) -> Store:
    host, slash, path = rest.partition("/")
    if host not in {"", "localhost"} or not slash:
        raise ConfigError(
            "a file:// URL names a folder and no host: expected file:///absolute/path"
        )
    return LocalStore(Path("/" + urllib.parse.unquote(path)), url=url)


def _clients(scheme: str, rest: str, options: Mapping[str, str], retry: Retry) -> Clients:
    from obstore.exceptions import BaseError

    if scheme == "memory":
        return _memory()
    bucket, _, prefix = rest.partition("/")
    prefix = prefix.strip("/")
    # First, before anything repeats the URL: a secret key may hold a slash, a SAS is a query.
    if set(bucket) & set(":@?#") or _QUERY.search(prefix):
        raise ConfigError(
            f"a {scheme}:// URL takes a bucket and a prefix only: keys and options belong "
            f"in the environment"
        )
    if not bucket:
        raise ConfigError(f"{scheme}://{rest} names no bucket: expected {scheme}://bucket/prefix")
    make = _CLIENTS[scheme]
    try:
        quick, slow, patient = (
            make(bucket, prefix or None, options, client)
            for client in (
                _client({"read_timeout": SILENCE}),
                _client({"timeout": SLOW}),
                _patient(retry),
            )
        )
    except (BaseError, ValueError) as error:
        raise _wrong_settings(f"{scheme}://{rest}", str(error), options) from None
    return Clients(quick, slow, patient, bucket, S3_COPY_BYTES if scheme in _S3 else None)


def _client(timeouts: Mapping[str, timedelta]) -> dict[str, Any]:
    # allow_http: an endpoint is https unless someone wrote http. obstore's own end of any
    # request, a large download's too, is 30 s.
    always = {"allow_http": True, "timeout": timedelta(days=1)}
    return {"retry_config": {"max_retries": 0}, "client_options": {**always, **timeouts}}


def _patient(retry: Retry) -> dict[str, Any]:
    backoff = {
        "init_backoff": timedelta(seconds=retry.first_wait_s),
        "max_backoff": timedelta(seconds=retry.longest_wait_s),
    }
    limits = {
        "max_retries": retry.attempts - 1,
        "retry_timeout": timedelta(seconds=retry.total_s),
        "backoff": backoff,
    }
    return {**_client({"read_timeout": SILENCE}), "retry_config": limits}


_Make = Callable[[str, str | None, Mapping[str, str], dict[str, Any]], "Client"]


def _s3(
    bucket: str, prefix: str | None, options: Mapping[str, str], client: dict[str, Any]
) -> Client:
    from obstore.store import S3Store

    known = {"copy_if_not_exists", "aws_copy_if_not_exists"} & options.keys()
    config = dict(options) if known else {"copy_if_not_exists": "multipart", **options}
    return S3Store(bucket, prefix=prefix, config=cast("Any", config), **client)


def _gs(
    bucket: str, prefix: str | None, options: Mapping[str, str], client: dict[str, Any]
) -> Client:
    from obstore.store import GCSStore

    return GCSStore(bucket, prefix=prefix, config=cast("Any", dict(options)), **client)


def _az(
    bucket: str, prefix: str | None, options: Mapping[str, str], client: dict[str, Any]
) -> Client:
    from obstore.store import AzureStore

    return AzureStore(bucket, prefix=prefix, config=cast("Any", dict(options)), **client)


def _memory() -> Clients:
    from obstore.store import MemoryStore

    memory = MemoryStore()
    return Clients(memory, memory, memory, bucket="")


_S3: Final = frozenset({"s3", "s3a"})
_CLIENTS: Final[Mapping[str, _Make]] = {
    "s3": _s3,
    "s3a": _s3,
    "gs": _gs,
    "az": _az,
}


def _wrong_settings(
    url: str, said: str, options: Mapping[str, str]
) -> ConfigError | StoreAccessError:
    unknown = _UNKNOWN_OPTION.search(said)
    if unknown:
        return ConfigError(f"{unknown[1]} is no option of {url}")
    if names_no_credentials(said):
        return no_credentials(url)
    if "Account must be specified" in said:
        return ConfigError(f"{url} needs an account: set AZURE_STORAGE_ACCOUNT_NAME")
    if "Could not parse path" in said:
        return ConfigError(f"{url} has an empty, '.' or '..' part in its prefix")
    given = f", options {', '.join(sorted(options))}" if options else ""
    return ConfigError(f"the settings of {url} are not understood (its environment{given})")


def _schemes() -> str:
    return ", ".join(f"{scheme}://" for scheme in ("s3", "gs", "az", "file"))
