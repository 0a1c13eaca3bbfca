"""Values that AWS Secrets Manager keeps. What is read here is said in no message."""

from __future__ import annotations

import json

from airkeep.aws.session import HERE, AwsPlace, client, explained
from airkeep.errors import ConfigError


def variables(secret: str, place: AwsPlace = HERE) -> dict[str, str]:
    """The variables of a secret that is a JSON object of texts.

    Args:
        secret: its name or ARN.

    Raises:
        ConfigError: it is something else.
        AwsError: AWS refused or failed.
    """
    secrets = client("secretsmanager", place)
    with explained(f"reading the secret {secret}"):
        text = secrets.get_secret_value(SecretId=secret).get("SecretString", "")
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, dict) or not all(isinstance(v, str) for v in found.values()):
        raise ConfigError(f"the secret {secret} is no JSON object of texts, such as AIRKEEP_...")
    return found
