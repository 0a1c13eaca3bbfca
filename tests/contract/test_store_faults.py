"""An S3 server that slows down, goes away, answers too late, or says no."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from random import Random

import pytest

from airkeep.errors import (
    AlreadySavedError,
    StoreAccessError,
    StoreError,
    UnavailableError,
)
from airkeep.store import UPLOADS, Retry, Store, open_store
from contract.places import MULTIPART_BYTES, QUICK, Microburst, refusals
from contract.proxy import Fault, Proxy
from s3_server import S3Server, free_ports, without_clouds

ONCE = Retry(attempts=1, total_s=5)


@pytest.fixture
def large(tmp_path: Path) -> Path:
    file = tmp_path / "large"
    file.write_bytes(Random(1).randbytes(MULTIPART_BYTES + 1))
    return file


# --- AWS's own words, by microburst (which drops Content-Length, so that no load passes it) ---


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("SlowDown", 503),
        ("InternalError", 500),
        ("ServiceUnavailable", 503),
        ("RequestTimeout", 400),
        ("ConditionalRequestConflict", 409),
        ("OperationAborted", 409),
    ],
)
def test_a_refusal_that_passes_is_waited_out(
    s3_by_microburst: Store, s3: Store, microburst: Microburst, code: str, status: int
) -> None:
    error = {"code": code, "status": status}
    microburst.rules({"service": "s3", "times": 2, "error": error})
    s3_by_microburst.save("a", b"a")
    microburst.rules({"service": "s3", "times": 2, "error": error})
    s3_by_microburst.delete(["a"])
    assert list(s3.list()) == []
    assert len(microburst.fired()) == 4


def test_a_refusal_that_stays_ends_after_a_few_attempts(
    s3_by_microburst: Store, s3: Store, microburst: Microburst, large: Path
) -> None:
    microburst.rules({"service": "s3", "error": {"code": "SlowDown", "status": 503}})
    deeds: list[Callable[[], object]] = [
        lambda: s3_by_microburst.save("a", b"a"),
        lambda: s3_by_microburst.save_file("a", large),
        lambda: s3_by_microburst.load("a"),
        lambda: s3_by_microburst.load_file("a", large.with_name("new")),
        lambda: list(s3_by_microburst.list()),
        lambda: s3_by_microburst.delete(["a"]),
    ]
    for deed in deeds:
        with pytest.raises(UnavailableError, match=r"\(503( SlowDown)?\) and the retries are"):
            deed()
    assert not large.with_name("new").exists()
    microburst.clear()
    assert list(s3.list()) == []


def test_a_large_file_gets_through_a_flaky_network(
    s3_by_microburst: Store, s3: Store, microburst: Microburst, large: Path
) -> None:
    # Its names: every POST to an object is a CreateMultipartUpload, every part a PutObject.
    posts, puts = (
        {"service": "s3", "operation": o} for o in ("CreateMultipartUpload", "PutObject")
    )
    microburst.rules(
        {**posts, "times": 2, "error": {"code": "SlowDown", "status": 503}},
        {**posts, "times": 1, "reset": True},
        {**puts, "times": 2, "error": {"code": "SlowDown", "status": 503}},
        {**puts, "times": 1, "reset": True},
    )
    s3_by_microburst.save_file("big", large)
    assert s3.load("big") == large.read_bytes()
    assert [e.path for e in s3.list()] == ["big"]
    assert len(microburst.fired()) == 6


# --- what the server did although its answer was lost, by our own proxy -----------------------


@pytest.mark.parametrize("fault", [Fault.RESET_BEFORE, Fault.RESET_AFTER, Fault.ERROR_AFTER])
def test_every_question_is_asked_again(
    s3_by_proxy: Store, s3: Store, proxy: Proxy, tmp_path: Path, fault: Fault
) -> None:
    s3.save("f/a", b"a")
    questions: list[tuple[str, Callable[[], object]]] = [
        ("GET", lambda: s3_by_proxy.load("f/a")),
        ("GET", lambda: s3_by_proxy.load_file("f/a", tmp_path / "new")),
        ("GET", lambda: list(s3_by_proxy.list())),
        ("GET", s3_by_proxy.folders),
        ("HEAD", lambda: s3_by_proxy.head("f/a")),
    ]
    for method, question in questions:
        proxy.seen.clear()
        proxy.fail(method, fault, times=2)
        question()
        assert [r.method for r in proxy.seen] == [method] * 3


@pytest.mark.parametrize("fault", [Fault.RESET_BEFORE, Fault.RESET_AFTER, Fault.ERROR_AFTER])
def test_a_save_whose_answer_was_lost_succeeds(
    s3_by_proxy: Store, s3: Store, proxy: Proxy, fault: Fault
) -> None:
    proxy.fail("PUT", fault)
    s3_by_proxy.save("a", b"mine")
    assert s3.load("a") == b"mine"
    assert [r.method for r in proxy.seen if r.method == "PUT"] == ["PUT", "PUT"]


@pytest.mark.parametrize("fault", [Fault.RESET_BEFORE, Fault.RESET_AFTER, Fault.ERROR_AFTER])
def test_what_someone_else_saved_is_not_taken_for_ours(
    s3_by_proxy: Store, s3: Store, proxy: Proxy, tmp_path: Path, fault: Fault
) -> None:
    s3.save("a", b"other")
    (tmp_path / "mine").write_bytes(b"mine!")  # as many bytes as the other
    deeds: list[Callable[[], None]] = [
        lambda: s3_by_proxy.save("a", b"mine!"),
        lambda: s3_by_proxy.save_file("a", tmp_path / "mine"),
    ]
    for deed in deeds:
        proxy.fail("PUT", fault)
        with pytest.raises(AlreadySavedError, match="nothing was overwritten"):
            deed()
    assert s3.load("a") == b"other"


def test_equal_bytes_of_someone_else_are_refused_when_the_answer_came(
    s3_by_proxy: Store, s3: Store
) -> None:
    s3.save("a", b"same")
    with pytest.raises(AlreadySavedError):
        s3_by_proxy.save("a", b"same")


@pytest.mark.parametrize("fault", [Fault.RESET_AFTER, Fault.ERROR_AFTER])
@pytest.mark.parametrize("size", [100_000, MULTIPART_BYTES + 1])
def test_a_file_whose_answers_were_lost_is_saved(
    s3_by_proxy: Store, s3: Store, proxy: Proxy, tmp_path: Path, fault: Fault, size: int
) -> None:
    file = tmp_path / "file"
    file.write_bytes(Random(size).randbytes(size))
    for method in ("PUT", "POST"):
        proxy.fail(method, fault, times=2)
    proxy.fail("POST", fault, target="big?uploadId")  # the copy is completed, and no one hears
    s3_by_proxy.save_file("big", file)
    proxy.forgive()
    assert s3.load("big") == file.read_bytes()
    assert [e.path for e in s3.list()] == ["big"]


def test_an_upload_that_broke_at_its_end_is_sent_again(
    s3_by_proxy: Store, s3: Store, proxy: Proxy, large: Path
) -> None:
    proxy.fail("POST", Fault.CUT_BODY, target="uploadId")
    s3_by_proxy.save_file("big", large)
    assert s3.load("big") == large.read_bytes()
    assert [e.path for e in s3.list()] == ["big"]


def test_a_large_file_of_someone_else_is_not_taken_for_ours(
    s3_by_proxy: Store, s3: Store, proxy: Proxy, large: Path
) -> None:
    other = bytes(large.stat().st_size)
    proxy.before("POST", "big?uploads", lambda: s3.save("big", other))
    proxy.fail("POST", Fault.RESET_BEFORE, target="big?uploadId")
    with pytest.raises(AlreadySavedError):
        s3_by_proxy.save_file("big", large)
    assert s3.load("big") == other
    assert [e.path for e in s3.list()] == ["big"]


def test_a_body_cut_in_the_middle_is_read_to_its_end(
    s3_by_proxy: Store, s3: Store, proxy: Proxy, tmp_path: Path
) -> None:
    data = Random(2).randbytes(3_000_000)
    s3.save("a", data)
    proxy.fail("GET", Fault.CUT_BODY)
    assert s3_by_proxy.load("a") == data
    proxy.fail("GET", Fault.CUT_BODY, times=2)
    s3_by_proxy.load_file("a", tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == data


def test_a_listing_cut_in_the_middle_tells_everything_once(
    s3_by_proxy: Store, s3: Store, proxy: Proxy
) -> None:
    for number in range(1_020):  # two pages
        s3.save(f"{number:04}", b"")
    stream = s3_by_proxy.list()
    found = [next(stream).path]
    proxy.fail("GET", Fault.CUT_BODY, times=2)
    found += [e.path for e in stream]
    assert found == [f"{number:04}" for number in range(1_020)]


@pytest.mark.parametrize("fault", [Fault.RESET_BEFORE, Fault.RESET_AFTER, Fault.CUT_BODY])
def test_a_delete_is_repeated(s3_by_proxy: Store, s3: Store, proxy: Proxy, fault: Fault) -> None:
    s3.save("a", b"")
    proxy.fail("POST", fault)
    s3_by_proxy.delete(["a"])
    assert list(s3.list()) == []


def test_a_saver_killed_in_mid_upload_leaves_nothing_at_the_path(
    s3_server: S3Server, s3_url: str, s3: Store, proxy: Proxy, large: Path
) -> None:
    proxy.fail("PUT", Fault.STALL, target="partNumber", times=9)
    code = (
        "import sys, pathlib; from airkeep.store import open_store;"
        f"open_store({s3_url!r}, multipart_bytes=1000)"
        f".save_file('big', pathlib.Path({str(large)!r}))"
    )
    environ = s3_server.environ() | {"AWS_ENDPOINT_URL": proxy.endpoint}
    process = subprocess.Popen([sys.executable, "-c", code], env=environ)
    proxy.wait_for("PUT", "partNumber")
    process.kill()
    process.wait()
    assert [e for e in s3.list() if not e.path.startswith(UPLOADS)] == []
    s3.save_file("big", large)


@pytest.mark.parametrize(
    ("deed", "method"),
    [
        ("s.load('a')", "GET"),
        ("list(s.list())", "GET"),
        ("s.save('a', b'a')", "PUT"),
        ("s.save_file('a', pathlib.Path(sys.argv[1]))", "PUT"),
        ("s.load_file('a', pathlib.Path(sys.argv[1] + '.new'))", "GET"),
    ],
)
def test_ctrl_c_is_heard_while_the_server_says_nothing(
    s3_server: S3Server, s3_url: str, proxy: Proxy, large: Path, deed: str, method: str
) -> None:
    proxy.fail(method, Fault.STALL, times=9)
    code = (
        "import sys, pathlib; from airkeep.store import open_store;"
        f"s = open_store({s3_url!r}, multipart_bytes=1000); {deed}"
    )
    environ = s3_server.environ() | {"AWS_ENDPOINT_URL": proxy.endpoint}
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(large)], env=environ, stderr=subprocess.PIPE
    )
    proxy.wait_for(method, "")
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=10)[1]
    assert b"KeyboardInterrupt" in said
    assert not large.with_name("large.new").exists()


# --- no ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"aws_access_key_id": "no-such-key"}, "InvalidAccessKeyId.*AWS_ACCESS_KEY_ID"),
        ({"aws_secret_access_key": "wrong-secret"}, "SignatureDoesNotMatch.*AWS_SECRET_ACCESS_KEY"),
    ],
)
def test_wrong_keys_are_told_in_one_line(
    s3_server: S3Server, s3_url: str, large: Path, change: dict[str, str], words: str
) -> None:
    store = open_store(s3_url, options={**s3_server.options, **change}, multipart_bytes=1000)
    for said in refusals(store, large):
        assert_one_line_without(said, "wrong-secret", s3_server.secret_key, s3_server.endpoint)
    with pytest.raises(StoreAccessError, match=words):
        store.save("a", b"")


def test_a_missing_bucket_is_told_by_every_method(s3_server: S3Server, large: Path) -> None:
    store = open_store("s3://no-such-bucket/x", options=s3_server.options, multipart_bytes=1000)
    for said in refusals(store, large):
        assert "NoSuchBucket" in said
        assert "make it first" in said
        assert_one_line_without(said, s3_server.secret_key)


def test_no_credentials_are_told_with_the_way_out(s3_server: S3Server) -> None:
    [port] = free_ports(1)
    role = {
        "aws_endpoint_url": s3_server.endpoint,
        "aws_container_credentials_full_uri": f"http://127.0.0.1:{port}/role",
        "aws_container_authorization_token_file": "/no/such/file",
    }
    with pytest.raises(StoreAccessError, match=r"no credentials .*aws configure export-cred"):
        open_store("s3://bucket/x", options=role, retry=ONCE).load("a")
    half = {"aws_endpoint_url": s3_server.endpoint, "aws_access_key_id": "only-this"}
    with pytest.raises(StoreAccessError, match="no credentials"):
        open_store("s3://bucket/x", options=half, retry=ONCE).load("a")


def test_the_role_of_a_container_is_taken(s3_server: S3Server, s3_url: str, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("t")
    with container_role(s3_server) as url:
        role = {
            "aws_endpoint_url": s3_server.endpoint,
            "aws_container_credentials_full_uri": url,
            "aws_container_authorization_token_file": str(tmp_path / "token"),
        }
        store = open_store(s3_url, options=role)
        store.save("a", b"by role")
        assert store.load("a") == b"by role"


def test_no_server_at_all_is_told_after_the_retries() -> None:
    [port] = free_ports(1)
    options = {
        "aws_endpoint_url": f"http://127.0.0.1:{port}",
        "aws_access_key_id": "k",
        "aws_secret_access_key": "wrong-secret",
    }
    store = open_store("s3://bucket/x", options=options, retry=QUICK)
    with pytest.raises(UnavailableError, match="check the network and the endpoint") as caught:
        store.save("a", b"")
    assert_one_line_without(str(caught.value), "wrong-secret")
    assert caught.value.retryable


# --- settings -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "headers"),
    [
        (
            {"aws_server_side_encryption": "AES256"},
            {"x-amz-server-side-encryption": "AES256"},
        ),
        (
            {
                "aws_server_side_encryption": "aws:kms",
                "aws_sse_kms_key_id": "arn:aws:kms:us-east-1:1:key/k",
                "aws_sse_bucket_key_enabled": "true",
            },
            {
                "x-amz-server-side-encryption": "aws:kms",
                "x-amz-server-side-encryption-aws-kms-key-id": "arn:aws:kms:us-east-1:1:key/k",
                "x-amz-server-side-encryption-bucket-key-enabled": "true",
            },
        ),
    ],
)
def test_encryption_is_asked_for_with_every_file(
    s3_server: S3Server,
    s3_url: str,
    proxy: Proxy,
    large: Path,
    options: dict[str, str],
    headers: dict[str, str],
) -> None:
    options = {**s3_server.options, "aws_endpoint_url": proxy.endpoint, **options}
    store = open_store(s3_url, options=options, multipart_bytes=MULTIPART_BYTES, retry=ONCE)
    accepted = options["aws_server_side_encryption"] == "AES256"  # SeaweedFS has no KMS here
    deeds: list[Callable[[], None]] = [
        lambda: store.save("a", b"a"),
        lambda: store.save_file("b", large),
    ]
    for deed in deeds:
        if accepted:
            deed()
        else:
            with pytest.raises(StoreError):
                deed()
    creating = [
        r
        for r in proxy.seen
        if (r.method == "PUT" and "partNumber" not in r.target) or r.target.endswith("?uploads=")
    ]
    assert len(creating) == (3 if accepted else 2)
    for request in creating:
        assert headers.items() <= dict(request.headers).items()
    if accepted:
        assert store.load("b") == large.read_bytes()


def test_the_environment_is_enough(s3_server: S3Server, s3_url: str, s3: Store) -> None:
    code = (
        "from airkeep.store import open_store;"
        f"s = open_store({s3_url!r}); s.save('a', b'by environment'); print(s.url)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=s3_server.environ(),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == f"{s3_url}\n"
    assert s3.load("a") == b"by environment"


def test_opening_asks_nothing_and_says_no_secret(s3_server: S3Server) -> None:
    store = open_store("s3://no-such-bucket/x/", options=s3_server.options)
    assert store.url == "s3://no-such-bucket/x"
    assert s3_server.secret_key not in repr(store) + str(vars(store))


def assert_one_line_without(said: str, *secrets: str) -> None:
    assert "\n" not in said
    for secret in (*secrets, "X-Amz-Signature", "<Error>", "Debug source"):
        assert secret not in said


@contextmanager
def container_role(server: S3Server) -> Iterator[str]:
    """What ECS, EKS and so MWAA's workers offer: credentials over HTTP."""
    body = json.dumps(
        {
            "AccessKeyId": server.access_key,
            "SecretAccessKey": server.secret_key,
            "Token": "",
            "Expiration": "2099-01-01T00:00:00Z",
        }
    ).encode()

    class Role(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Role) as http:
        threading.Thread(target=http.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{http.server_port}/role"
        http.shutdown()


def test_a_profile_alone_is_told_as_no_credentials(s3_server: S3Server) -> None:
    code = (
        "from airkeep.store import open_store, Retry\n"
        "from airkeep.errors import StoreAccessError\n"
        "try: open_store('s3://b/x', retry=Retry(attempts=2)).load('a')\n"
        "except StoreAccessError as e: print(e)\n"
    )
    environ = without_clouds(os.environ) | {
        "AWS_PROFILE": "dev",
        "AWS_ENDPOINT_URL": s3_server.endpoint,
        "AWS_METADATA_ENDPOINT": "http://169.254.169.254.invalid",
    }
    done = subprocess.run(
        [sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=False
    )
    assert "no credentials were found" in done.stdout, done.stderr
