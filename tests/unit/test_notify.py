"""Whom a schedule tells: a webhook, over real HTTP; the address is a secret."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from airkeep.cli.main import cli
from airkeep.environment.news import News, text
from airkeep.environment.notify import Hook, Topic, send, target
from airkeep.errors import ConfigError, JourneyError, NotifyError, UnansweredError
from airkeep.store.retry import Retry
from s3_server import free_ports

TOKEN = "T0KEN"
DONE = News(
    environment="prod",
    journey="down",
    outcome="done",
    due_at=datetime(2026, 11, 23, 19, tzinfo=UTC),
    snapshot="prod/20261123T190000Z",
    took_s=900,
)
RETRY = Retry(attempts=3, first_wait_s=0.01)


@dataclass
class Listener:
    """A server that answers with statuses, one after the other, and keeps what it was sent."""

    port: int = 0
    statuses: list[int] = field(default_factory=list)
    bodies: list[dict[str, object]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)

    @property
    def hook(self) -> Hook:
        found = target(f"http://127.0.0.1:{self.port}/hooks/{TOKEN}")
        assert isinstance(found, Hook)
        return found


@pytest.fixture
def listener() -> Iterator[Listener]:
    told = Listener()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            told.paths.append(self.path)
            told.bodies.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            status = told.statuses.pop(0) if told.statuses else 200
            self.send_response(status)
            if status == 302:
                self.send_header("Location", f"http://127.0.0.1:{told.port}/elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def do_GET(self) -> None:
            raise AssertionError("a redirect was followed")

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    told.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield told
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_webhook_is_sent_all_of_it_as_json_and_a_sentence(listener: Listener) -> None:
    send(listener.hook, DONE)
    assert listener.bodies == [
        {
            "text": "airkeep: prod is asleep (due 2026-11-23 19:00 UTC, took 15 min, snapshot "
            "prod/20261123T190000Z)",
            "environment": "prod",
            "journey": "down",
            "outcome": "done",
            "due_at": "2026-11-23T19:00:00Z",
            "snapshot": "prod/20261123T190000Z",
            "why": "",
            "took_s": 900.0,
            "saved": None,
        }
    ]
    assert listener.paths == [f"/hooks/{TOKEN}"]


@pytest.mark.parametrize(
    ("took_s", "told"), [(13.4, "13 s"), (89.6, "90 s"), (90, "2 min"), (1500, "25 min")]
)
def test_a_short_journey_took_seconds(took_s: float, told: str) -> None:
    assert f", took {told}, snapshot" in text(msgspec.structs.replace(DONE, took_s=took_s))


def test_a_webhook_that_is_busy_is_asked_again(listener: Listener) -> None:
    listener.statuses = [503, 429]
    send(listener.hook, DONE, retry=RETRY)
    assert len(listener.bodies) == 3


@pytest.mark.parametrize("status", [302, 403, 404])
def test_a_refusal_is_told_at_once_and_without_the_address(listener: Listener, status: int) -> None:
    listener.statuses = [status] * 5
    with pytest.raises(NotifyError, match=f"at 127.0.0.1 refused with status {status}") as told:
        send(listener.hook, DONE, retry=RETRY)
    assert TOKEN not in str(told.value)
    assert len(listener.bodies) == 1


def test_a_webhook_that_is_gone_is_given_up_and_its_address_stays_a_secret() -> None:
    [port] = free_ports(1)
    hook = target(f"http://127.0.0.1:{port}/{TOKEN}")
    with pytest.raises(UnansweredError, match="not reached") as told:
        send(hook, DONE, retry=RETRY)
    assert TOKEN not in f"{told.value}{told.value.__context__}{hook!r}"


@pytest.mark.parametrize(
    "text",
    [f"http://example.com/{TOKEN}", f"ftp://x/{TOKEN}", TOKEN, f"https://x:port/{TOKEN}",
     f"sns:{TOKEN}", "https://"],
)  # fmt: skip
def test_an_address_that_is_none_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(ConfigError, match="--notify: expected") as told:
        target(text)
    assert TOKEN not in str(told.value)


@pytest.mark.parametrize("path", ["größe", "a b", "a\n", "\x00"])
def test_an_address_that_no_request_can_hold_is_refused_before_anything_is_done(path: str) -> None:
    with pytest.raises(ConfigError, match="percent-encoded") as told:
        target(f"https://hooks.example.com/{path}/{TOKEN}")
    assert TOKEN not in str(told.value)


def test_a_topic_is_named_by_its_arn() -> None:
    arn = "arn:aws:sns:eu-central-1:123456789012:airflow"
    assert target(f"sns:{arn}") == Topic(arn, "eu-central-1")


def test_a_webhook_is_never_kept_in_the_lake(tmp_path: Path) -> None:
    from airkeep.environment.events import MwaaPlace, Placed
    from airkeep.environment.journal import Journal
    from airkeep.store.local import LocalStore

    Journal(LocalStore(tmp_path), "prod").append(Placed(MwaaPlace("prod")))
    asked = ["schedule", "prod", "--lake", str(tmp_path), "--up", "0 6 * * *"]
    done = CliRunner().invoke(cli, [*asked, "--notify", f"https://hooks.example.com/{TOKEN}"])
    assert isinstance(done.exception, ConfigError)
    assert TOKEN not in str(done.exception)
    assert TOKEN not in "".join(p.read_text() for p in tmp_path.rglob("*.json"))


def test_who_runs_a_schedule_is_told_by_its_variable_and_the_address_is_not_printed(
    tmp_path: Path, listener: Listener
) -> None:
    """A local environment that is not there cannot be put to sleep: a journey that fails."""
    from airkeep.environment.events import LocalPlace, Placed, Scheduled
    from airkeep.environment.journal import Author, Journal
    from airkeep.environment.local.folder import Folder
    from airkeep.store.local import LocalStore

    week_ago = datetime.now(UTC) - timedelta(days=7)
    journal = Journal(LocalStore(tmp_path), "here", Author(clock=lambda: week_ago))
    folder = Folder(tmp_path / "none")
    folder.make()
    folder.make_secrets()
    journal.append(Placed(LocalPlace(str(folder.path), "3.1.8", str(tmp_path))))
    journal.append(Scheduled("0 20 * * *", None))
    url = f"http://127.0.0.1:{listener.port}/{TOKEN}"
    listener.statuses = [403]
    for told in (["refused with status 403"], []):
        ran = CliRunner().invoke(
            cli,
            ["schedule", "run", "--lake", str(tmp_path), "--attempts", "9"],
            env={"AIRKEEP_NOTIFY": url},
        )
        assert isinstance(ran.exception, JourneyError)
        assert all(words in ran.stderr for words in told)
        assert TOKEN not in ran.output
    assert [body["outcome"] for body in listener.bodies] == ["failed"]
