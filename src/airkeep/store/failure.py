"""What a failure of obstore or of the operating system is called here.

Errors are rebuilt, never passed on: obstore's messages hold whole requests and answers.
Only a status, an error code of letters and the path come out of them.
"""

from __future__ import annotations

import errno
import os
import re
import urllib.parse
from typing import Final

from airkeep.errors import (
    AlreadySavedError,
    DiskFullError,
    NotFoundError,
    StoreAccessError,
    StoreError,
    UnavailableError,
)

_STATUS: Final = re.compile(r"status code: (\d{3})")
_CODE: Final = re.compile(r"<Code>([A-Za-z0-9.]{1,80})</Code>")
# Azure's answer for one of many that are deleted has no code.
_NO_CONTAINER: Final = "The specified container does not exist"
_OF_EC2: Final = "//169.254.169.254"  # where it gives a role's keys
_REQUEST: Final = re.compile(r"Error performing [A-Z]+ (\S+)")

_AGAIN_CODES: Final = frozenset(
    # The last two are 409s for a create that met another one still under way: S3 asks for
    # another attempt, obstore reports them as "already exists".
    {"RequestTimeout", "SlowDown", "OperationAborted", "ConditionalRequestConflict"}
)
_AGAIN_STATUSES: Final = frozenset({408, 425, 429})

_ADVICE: Final = {
    "NoSuchBucket": "the bucket does not exist: make it first, or correct its name",
    "ContainerNotFound": "the container does not exist: make it first, or correct its name",
    "InvalidAccessKeyId": "the access key is unknown there: check AWS_ACCESS_KEY_ID",
    "SignatureDoesNotMatch": (
        "the secret key is not the access key's: check AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN"
    ),
    "ExpiredToken": "the session token has expired: get new credentials",
    "InvalidToken": "the session token is wrong: check AWS_SESSION_TOKEN",
    "RequestTimeTooSkewed": "this machine's clock is wrong: set it",
    "PermanentRedirect": "the bucket is in another region: set AWS_REGION to it",
    "AuthorizationHeaderMalformed": "the bucket is in another region: set AWS_REGION to it",
}
_CREDENTIALS: Final = {
    "gs": "Set GOOGLE_APPLICATION_CREDENTIALS to the file of a service account",
    "az": (
        "Set AZURE_STORAGE_ACCOUNT_KEY or AZURE_STORAGE_SAS_TOKEN, or give the machine an identity"
    ),
}
_AWS_CREDENTIALS: Final = (
    "Set them; a profile is not "
    'read: eval "$(aws configure export-credentials --profile NAME --format env)" sets them'
)
_RIGHTS: Final = {
    "gs": "the role Storage Object User has these rights",
    "az": "the role Storage Blob Data Contributor has these rights",
}
_AWS_RIGHTS: Final = (
    "s3:ListBucket, GetObject, PutObject, DeleteObject, AbortMultipartUpload; the KMS key's too"
)


_INCOMPLETE: Final = re.compile(r"Failed to read (EKS )?token file|Missing [A-Za-z]*Key")


def names_no_credentials(said: str) -> bool:
    """Whether obstore says that the credentials are not all there."""
    return bool(_INCOMPLETE.search(said))


def no_credentials(url: str) -> StoreAccessError:
    """What is said where none were found, with the way out of the URL's cloud."""
    way = _CREDENTIALS.get(_cloud(url), _AWS_CREDENTIALS)
    return StoreAccessError(
        f"{url} cannot be used: no credentials were found in the environment or from a role. {way}"
    )


def explain(error: Exception, *, path: str, url: str, bucket: str) -> StoreError:
    """Rebuild what obstore raised.

    Args:
        bucket: the name that every request to the store itself carries; a request that
            failed without it was one for credentials.
    """
    text = str(error)
    status = int(_found(_STATUS, text) or 0)
    code = _found(_CODE, text) or ("ContainerNotFound" if _NO_CONTAINER in text else "")
    # To Google obstore writes the bucket `my%2Dbucket`.
    request = urllib.parse.unquote(_found(_REQUEST, text))
    said = " ".join(filter(None, [str(status or ""), code])) or "no answer"
    if code in _AGAIN_CODES or status in _AGAIN_STATUSES or status >= 500:
        return UnavailableError(_unavailable(url, said))
    if names_no_credentials(text):
        return no_credentials(url)
    # Looked for first: its paths hold words that name buckets too, `latest`, `api`.
    if _OF_EC2 in request or (request and bucket not in request):
        return _credentials_error(request, url, said, status)
    if code in _ADVICE or code.startswith("KMS."):
        advice = _ADVICE.get(code, "the key of the server-side encryption cannot be used")
        return StoreAccessError(f"{url} cannot be used ({said}): {advice}")
    if status == 301:
        return StoreAccessError(f"{url} cannot be used ({said}): {_ADVICE['PermanentRedirect']}")
    return _by_type(error, path=path, url=url, said=said, answered=bool(status))


def _by_type(error: Exception, *, path: str, url: str, said: str, answered: bool) -> StoreError:
    from obstore import exceptions as obs

    if isinstance(error, FileNotFoundError):
        return NotFoundError(path, url)
    if isinstance(error, obs.AlreadyExistsError):
        return AlreadySavedError(path, url)
    denied = (obs.PermissionDeniedError, obs.UnauthenticatedError)
    if isinstance(error, denied) or said.startswith(("401", "403")):
        rights = _RIGHTS.get(_cloud(url), _AWS_RIGHTS)
        return StoreAccessError(
            f"{url} cannot be used ({said}): check the credentials, and that they may list, read, "
            f"write and delete there ({rights})"
        )
    if "HTTP error: builder error" in str(error):
        return StoreAccessError(f"{url} cannot be used: its endpoint is no http(s) URL")
    if not answered and "HTTP error" in str(error):
        return UnavailableError(_unavailable(url, said))
    kind = f"{type(error).__name__}, {said}" if answered else type(error).__name__
    return StoreError(f"{path or 'a listing'} in {url} failed ({kind}), for a reason unknown here")


def _credentials_error(request: str, url: str, said: str, status: int) -> StoreError:
    # The last place looked at: no answer there means that this machine is not on EC2, and
    # waiting will not help.
    if status or _OF_EC2 in request:
        return no_credentials(url)
    return UnavailableError(f"{url} cannot be used: the role's credentials were not had ({said})")


def _unavailable(url: str, said: str) -> str:
    return (
        f"{url} did not serve ({said}) and the retries are used up: "
        f"check the network and the endpoint, then try again"
    )


def _cloud(url: str) -> str:
    return url.partition("://")[0]


def _found(pattern: re.Pattern[str], text: str) -> str:
    found = pattern.search(text)
    return found[1] if found else ""


_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_NO_ACCESS: Final = frozenset(
    {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EISDIR, errno.ELOOP}
)


def explain_os(error: OSError, where: str) -> StoreError:
    """Rebuild what the operating system said about a file of this machine."""
    why = os.strerror(error.errno) if error.errno else type(error).__name__
    if error.errno in _FULL:
        return DiskFullError(f"{where} cannot be written ({why}): free some space, then try again")
    if error.errno in _NO_ACCESS:
        return StoreAccessError(
            f"{where} cannot be used ({why}): expected a folder that this user may read and write"
        )
    if error.errno in {errno.EIO, errno.ESTALE, errno.ETIMEDOUT}:
        return UnavailableError(f"{where} did not answer ({why}): check the disk or its network")
    return StoreError(f"{where} cannot be used ({why})")
