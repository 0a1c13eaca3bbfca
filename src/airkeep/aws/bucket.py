"""How the lake's bucket should be set up: the JSON that `aws s3api` takes. Pure.

A lifecycle rule moves and deletes what lies below the prefix of dated exports, a lake's `csv/`,
which are read now and then. Snapshots are not below it: one in Glacier is not restored before it is
brought back, and one that has expired is gone, with every increment on it.
"""

from __future__ import annotations

from typing import Any

IA_DAYS, GLACIER_DAYS, EXPIRE_DAYS = 30, 90, 365
READY = "exports"  # the prefix of the ready DAGs' lake
_UPLOAD_DAYS = 7  # a killed process cannot abort its multipart upload


def bucket_settings(bucket: str, *, exports: str, kms_key: str | None = None) -> dict[str, Any]:
    """For each command of `aws s3api` what its `--cli-input-json` takes.

    Args:
        exports: the prefix of dated exports.
        kms_key: the ARN of the key to encrypt with; None for S3's own.
    """
    return {
        "put-bucket-encryption": {
            "Bucket": bucket,
            "ServerSideEncryptionConfiguration": {"Rules": [_encryption(kms_key)]},
        },
        "put-public-access-block": {
            "Bucket": bucket,
            "PublicAccessBlockConfiguration": {
                "BlockPublicAcls": True,
                "IgnorePublicAcls": True,
                "BlockPublicPolicy": True,
                "RestrictPublicBuckets": True,
            },
        },
        "put-bucket-lifecycle-configuration": {
            "Bucket": bucket,
            "LifecycleConfiguration": {"Rules": _rules(exports)},
        },
    }


def covers(exports: str, lake: str) -> bool:
    """Whether the lifecycle of the exports' prefix would take more of a lake than its CSV files."""
    ends, kept = f"{exports.strip('/')}/", f"{lake.strip('/')}/".lstrip("/")
    is_csv = ends.startswith(f"{kept}csv/")
    return ends == "/" or kept.startswith(ends) or (ends.startswith(kept) and not is_csv)


def _encryption(kms_key: str | None) -> dict[str, Any]:
    if kms_key is None:
        return {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}
    default = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": kms_key}
    return {"ApplyServerSideEncryptionByDefault": default, "BucketKeyEnabled": True}


def _rules(exports: str) -> list[dict[str, Any]]:
    return [
        {
            "ID": "airkeep-exports",
            "Status": "Enabled",
            "Filter": {"Prefix": f"{exports.strip('/')}/"},
            "Transitions": [
                {"Days": IA_DAYS, "StorageClass": "STANDARD_IA"},
                {"Days": GLACIER_DAYS, "StorageClass": "GLACIER"},
            ],
            "Expiration": {"Days": EXPIRE_DAYS},
        },
        {
            "ID": "airkeep-uploads",
            "Status": "Enabled",
            "Filter": {"Prefix": ""},
            "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": _UPLOAD_DAYS},
        },
    ]
