"""Whom to tell of a journey: a topic of SNS, or a webhook.

A webhook's address is a secret, for many hold a token: it is in no message, only its host is. It is
tried again within bounds where it does not answer; redirects are not followed, so that the token
goes nowhere else.
"""

from __future__ import annotations

import http.client
import re
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from airkeep.aws.session import HERE, AwsPlace
from airkeep.environment.events import MwaaPlace, Place
from airkeep.environment.news import News, document, headline, text
from airkeep.errors import ConfigError, NotifyError, UnansweredError
from airkeep.store.retry import Retry
from airkeep.version import __version__

TIMEOUT_S = 10.0
RETRY = Retry(attempts=4, total_s=60.0, first_wait_s=1.0)
_TOPIC = re.compile(r"sns:(arn:aws[\w-]*:sns:([a-z0-9-]+):\d{12}:[\w-]{1,256}(?:\.fifo)?)")
_HERE = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True)
class Topic:
    """A topic of SNS; its region is its own."""

    arn: str
    region: str


@dataclass(frozen=True)
class Hook:
    """A webhook."""

    url: str = field(repr=False)

    @property
    def host(self) -> str:
        return urlsplit(self.url).hostname or ""


def target(text: str) -> Topic | Hook:
    """Who is meant by `sns:arn:...` or `https://...`.

    Raises:
        ConfigError: it is neither, or cannot stand in a request; the message does not repeat it.
    """
    if found := _TOPIC.fullmatch(text):
        return Topic(found[1], found[2])
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:
        parts = urlsplit("")
    if not all("!" <= c <= "~" for c in text):
        raise ConfigError(
            "--notify: the address has a blank or a character that is not ASCII: give it percent-"
            "encoded (it is not shown, it may hold a token)"
        )
    is_plain = parts.scheme == "http" and parts.hostname in _HERE
    if not parts.hostname or not (parts.scheme == "https" or is_plain):
        raise ConfigError(
            "--notify: expected sns:arn:aws:sns:REGION:ACCOUNT:TOPIC or https://... (the address "
            "that was given is not shown, it may hold a token)"
        )
    return Hook(text)


def send(to: Topic | Hook, news: News, *, place: AwsPlace = HERE, retry: Retry = RETRY) -> None:
    """Tell of a journey.

    Args:
        place: whose AWS a topic is in.

    Raises:
        AwsError: SNS did not take it.
        NotifyError: the webhook did not.
    """
    if isinstance(to, Hook):
        retry.run(lambda: _post(to, document(news)))
        return
    from airkeep.aws.sns import publish

    there = AwsPlace(to.region, place.profile, place.role_arn, place.external_id)
    publish(to.arn, headline(news), text(news), there)


class _Stay(urllib.request.HTTPRedirectHandler):
    """A redirect is an answer like any other."""

    def redirect_request(self, *_: Any) -> None:
        return None


def _post(hook: Hook, body: bytes) -> None:
    head = {"Content-Type": "application/json", "User-Agent": f"airkeep/{__version__}"}
    request = urllib.request.Request(hook.url, body, head, method="POST")  # noqa: S310 - see target
    try:
        with urllib.request.build_opener(_Stay).open(request, timeout=TIMEOUT_S):
            return
    except urllib.error.HTTPError as error:
        with error:
            told = _refused(hook, error.code)
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", error)
        told = UnansweredError(
            f"the webhook at {hook.host} was not reached ({type(reason).__name__}): nobody was told"
        )
    raise told


def _refused(hook: Hook, status: int) -> NotifyError:
    if status == http.client.TOO_MANY_REQUESTS or status >= http.client.INTERNAL_SERVER_ERROR:
        return UnansweredError(f"the webhook at {hook.host} answers with status {status} only")
    return NotifyError(
        f"the webhook at {hook.host} refused with status {status}: look at AIRKEEP_NOTIFY"
    )


def place_of(place: Place | None) -> AwsPlace:
    """Whose AWS an environment's topic is in: the environment's own."""
    if not isinstance(place, MwaaPlace):
        return HERE
    return AwsPlace(place.region, place.profile, place.role_arn, place.external_id)
