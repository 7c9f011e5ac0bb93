"""What the page's server refuses before the page sees it: names, sizes, times, numbers, files."""

import asyncio
import json
import socket
import threading
import time

import pytest

pytest.importorskip("gradio", reason="the page needs gradio, so Python 3.10: requirements-web")

import contextlib

from starlette.formparsers import MultiPartException

from system.errors import InputError
from web import protection, server, transfer
from web.kept import Uploads
from web.protection import Hosts, Protection

HOST = ("host", "127.0.0.1:7860")
FUNCTIONS = {"predict"}
LOCAL = Hosts("127.0.0.1")


class Stub:
    """An application that answers with what it was sent, and reads forms as Gradio does."""

    def __init__(self):
        self.seen, self.left = [], []

    async def __call__(self, scope, receive, send):
        if scope["type"] == "lifespan":
            return
        body, more, status = b"", scope["method"] == "POST", 200
        self.left.append(scope["path"])
        try:
            while more:
                message = await receive()
                body += message.get("body", b"")
                more = message.get("more_body", False)
            self.left.pop()
        except MultiPartException:
            status = 400
            self.left.pop()
        self.seen.append((scope["path"], body))
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": b"served"})


@pytest.fixture
def stub():
    return Stub()


@pytest.fixture
def protect(stub, tmp_path):
    """Makes the protected stub, of hosts, of an upload of 1 MB, and of a prefix."""

    def made(hosts=LOCAL, prefix="", kept=10_000_000):
        return Protection(stub, hosts, Uploads(tmp_path, kept), 1, FUNCTIONS, prefix)

    return made


async def request(app, method, path, headers=(HOST,), parts=(b"",), slowly=False):
    """(status, body) of a request; a part of None never comes, one of ... is a closed line."""
    waiting, sent = list(parts), []

    async def receive():
        if not waiting:
            return {"type": "http.disconnect"}
        part = waiting.pop(0)
        if part is None:
            await asyncio.sleep(60)
        if slowly:
            await asyncio.sleep(0.005)
        if part is ...:
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": part, "more_body": bool(waiting)}

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "method": method, "path": path, "raw_path": path.encode()}
    scope["headers"] = [(name.encode(), value.encode()) for name, value in headers]
    await app(scope, receive, send)
    body = b"".join(message.get("body", b"") for message in sent)
    return sent[0]["status"], body.decode()


def ask(*args, **named):
    return asyncio.run(request(*args, **named))


def sized(size, *more):
    return (HOST, ("content-length", str(size)), *more)


@pytest.mark.parametrize(
    ("served", "host", "status"),
    [
        ("127.0.0.1", "127.0.0.1:7860", 200),
        ("127.0.0.1", "localhost:8080", 200),
        ("127.0.0.1", "LOCALHOST.", 200),
        ("127.0.0.1", "[::1]:7860", 200),
        ("127.0.0.1", "evil.example", 421),
        ("127.0.0.1", "evil.example:7860", 421),
        ("127.0.0.1", "127.0.0.1.evil.example", 421),
        ("127.0.0.1", "localhost.evil.example", 421),
        ("127.0.0.1", "192.168.1.5:7860", 421),
        ("127.0.0.1", "user@127.0.0.1", 421),
        ("127.0.0.1", "127.0.0.1@evil.example", 421),
        ("127.0.0.1", "[::1", 421),
        ("127.0.0.1", "", 421),
        ("127.0.0.1", "depth.example.org", 200),
        ("127.0.0.1", "Depth.Example.org:443", 200),
        ("0.0.0.0", "192.168.1.5:7860", 200),
        ("0.0.0.0", "[fe80::1]:7860", 200),
        ("0.0.0.0", socket.gethostname(), 200),
        ("0.0.0.0", "evil.example", 421),
        ("street.lan", "street.lan:7860", 200),
    ],
)
def test_only_names_of_its_own_are_answered(protect, stub, served, host, status):
    app = protect(Hosts(served, ("depth.example.org",)))
    for method in ("GET", "OPTIONS", "HEAD"):
        assert ask(app, method, "/", [("host", host)])[0] == status
    assert len(stub.seen) == (3 if status == 200 else 0)


def test_one_name_is_asked_for(protect):
    assert ask(protect(), "GET", "/", [])[0] == 421
    assert ask(protect(), "GET", "/", [HOST, HOST])[0] == 421
    assert ask(protect(), "GET", "/", [HOST, ("x-forwarded-host", "evil.example")])[0] == 421


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("http://127.0.0.1:7860", 200),
        ("https://depth.example.org", 200),
        ("http://127.0.0.1:3000", 403),
        ("http://localhost:7860", 403),
        ("https://evil.example", 403),
        ("http://127.0.0.1:7860.evil.example", 403),
        ("http://127.0.0.1:7860@evil.example", 403),
        ("null", 403),
        ("", 403),
        ("file://", 403),
        ("http://[", 403),
        ("chrome-extension://127.0.0.1:7860", 403),
    ],
)
def test_pages_of_others_are_not_answered(protect, origin, status):
    app = protect(Hosts("127.0.0.1", ("depth.example.org",)))
    call = b'{"data": []}'
    for method, path in (("GET", "/config"), ("POST", "/gradio_api/call/predict")):
        headers = [HOST, ("origin", origin)]
        assert ask(app, method, path, headers, (call,))[0] == status


def test_calls_are_bounded(protect, stub):
    path, most = "/gradio_api/queue/join", transfer.MOST_CALL_BYTES
    assert ask(protect(), "POST", path, sized(200_000_000), [b" "] * 9)[0] == 413
    parts = [b'{"data": "' + bytes(most // 2)] * 3  # it does not say how long it is
    assert ask(protect(), "POST", path, parts=parts)[0] == 413
    assert stub.seen == []
    text = json.dumps({"data": ["x" * (most - 100)]}).encode()
    assert ask(protect(), "POST", path, parts=(text[:7], text[7:])) == (200, "served")
    assert stub.seen == [(path, text)]


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b"[" * 100_000, 400),
        (b'{"data": ' * 100_000, 400),
        (b"1" * 5000, 400),
        (b"\xff\xfe", 400),
        (b"", 400),
        (b"[" + b"1," * 3000 + b"1]", 413),
        (b'{"data": [1, "a", null, {"b": [NaN]}]}', 200),
    ],
)
def test_what_a_call_holds_is_bounded(protect, content, status):
    assert ask(protect(), "POST", "/gradio_api/call/predict", parts=(content,))[0] == status


def test_calls_name_files_that_were_uploaded_alone(protect, tmp_path):
    (tmp_path / "a.png").write_bytes(b"a")

    def status(path):
        call = json.dumps({"data": [[{"deep": {"path": path}}]]}).encode()
        return ask(protect(), "POST", "/gradio_api/call/predict", parts=(call,))[0]

    assert status(str(tmp_path / "a.png")) == 200
    for path in ("/etc/passwd", "http://example.org/a.png", f"{tmp_path}/../a.png", "a.png", "\0"):
        assert status(path) == 400


def test_what_nobody_needs_is_closed(protect, stub):
    for path in (
        "run/predict",
        "api/predict",
        "process_recording",
        "component_server",
        "vibe-edit",
    ):
        assert ask(protect(), "POST", f"/gradio_api/{path}")[0] == 405
    assert ask(protect(), "DELETE", "/")[0] == 405
    assert ask(protect(), "POST", "/gradio_api/call/no_such")[0] == 404
    for path in ("deep_link", "proxy=http://a.hf.space/", "file=http://example.org/a.png"):
        assert ask(protect(), "GET", f"/gradio_api/{path}")[0] == 404
    assert stub.seen == []


def test_uploads_are_bounded(protect, stub):
    upload = "/gradio_api/upload"
    assert ask(protect(), "POST", upload)[0] == 411
    assert ask(protect(), "POST", upload, sized("-1"))[0] == 411
    status, words = ask(protect(), "POST", upload, sized(2_000_000), [bytes(1000)] * 2000)
    assert status == 413
    assert "maximum allowed size of 1 megabytes" in words
    assert stub.seen == []
    assert ask(protect(), "POST", upload, sized(6), (b"abc", b"def"))[0] == 200
    assert stub.seen == [(upload, b"abcdef")]


@pytest.mark.parametrize("path", ["/gradio_api/upload", "/gradio_api/queue/join"])
@pytest.mark.parametrize("kind", ["stalled", "trickling"])
def test_a_body_that_does_not_come_is_given_up(protect, stub, monkeypatch, path, kind):
    monkeypatch.setattr(transfer, "GRACE", 0.1)
    monkeypatch.setattr(transfer, "LINGER_SECONDS", 0.1)
    app, started = protect(), time.monotonic()
    parts = (b"{", None) if kind == "stalled" else [b"x"] * 1000
    status, words = ask(app, "POST", path, sized(1000), parts, kind == "trickling")
    assert status == 408
    assert "too slowly" in words
    assert time.monotonic() - started < 2
    assert stub.left == []  # the reader of the form has cleared up
    assert app.uploads.reserve(app.uploads.most_bytes // 2)


def test_a_client_that_goes_away_leaves_nothing(protect, stub):
    app = protect()
    assert ask(app, "POST", "/gradio_api/upload", sized(1000), (b"a", ...))[0] == 400
    assert stub.left == []
    assert app.uploads.reserve(app.uploads.most_bytes // 2)


@pytest.mark.parametrize("path", ["/gradio_api/upload", "/gradio_api/queue/join"])
def test_300_stalled_uploads_do_not_keep_others_out(protect, monkeypatch, path):
    monkeypatch.setattr(transfer, "HURRY", 0.1)
    monkeypatch.setattr(transfer, "LOOK_SECONDS", 0.05)
    monkeypatch.setattr(transfer, "LINGER_SECONDS", 0.01)
    app = protect(kept=200_000_000)

    async def all_of_them():
        stalled = [request(app, "POST", path, sized(1_000_000), (b"a", None)) for _ in range(300)]
        tasks = [asyncio.ensure_future(each) for each in stalled]
        await asyncio.sleep(0)
        page = await request(app, "GET", "/")
        sent = await request(app, "POST", "/gradio_api/upload", sized(3), (b"abc",))
        # Those that were given up have made room already, and linger for their answer.
        while sum(task.done() for task in tasks) < 100 and time.monotonic() - started < 3:
            await asyncio.sleep(0.01)
        for task in tasks:
            task.cancel()
        ends = await asyncio.gather(*tasks, return_exceptions=True)
        return page, sent, [end[0] for end in ends if isinstance(end, tuple)]

    started = time.monotonic()
    page, sent, ends = asyncio.run(all_of_them())
    assert page == sent == (200, "served")
    assert ends.count(408) >= 100  # they went for those that waited
    assert time.monotonic() - started < 3
    assert app._bodies == app._waiting == 0


def test_those_that_cannot_be_taken_are_told_so(protect, monkeypatch):
    monkeypatch.setattr(protection, "ROOM_SECONDS", 0.1)
    app = protect()
    assert app.uploads.reserve(4_900_000)
    assert ask(app, "POST", "/gradio_api/upload", sized(900_000), (b"a",))[0] == 503


def test_a_reader_that_does_not_read_is_given_up(protect, monkeypatch):
    monkeypatch.setattr(transfer, "SEND_SECONDS", 0.05)

    async def read_nothing():
        async def send(_):
            await asyncio.sleep(60)

        scope = {"type": "http", "method": "GET", "path": "/", "headers": [(b"host", b"localhost")]}
        await protect()(scope, None, send)

    with pytest.raises(ConnectionError):
        asyncio.run(read_nothing())


@pytest.mark.parametrize(
    ("path", "seen"),
    [
        ("/depth/config", "/config"),
        ("/config", "/config"),
        ("/depth", "/"),
        ("/depth/", "/"),
        ("/depths", "/depths"),
        ("/depth/depth", "/depth"),
    ],
)
def test_a_prefix_may_come_or_be_taken_off_by_the_proxy(protect, stub, path, seen):
    assert ask(protect(prefix="/depth/"), "GET", path)[0] == 200
    assert stub.seen[0][0] == seen


@pytest.fixture
def served(protect, monkeypatch):
    """The port of the protected stub behind a server of few connections, and short heads."""
    monkeypatch.setattr(server, "HEAD_SECONDS", 0.3)
    monkeypatch.setattr(server, "MOST_CONNECTIONS", 5)
    taken = server.listening("127.0.0.1", 0)
    running = server.server(protect())
    running.config.lifespan = "off"
    thread = threading.Thread(target=lambda: running.run(sockets=[taken]))
    thread.start()
    yield taken.getsockname()[1]
    running.should_exit = True
    thread.join()


def connected(port):
    client = socket.create_connection(("127.0.0.1", port), timeout=5)
    return client


def read_all(client):
    """What comes until the other side closes."""
    content = b""
    try:
        while part := client.recv(1000):
            content += part
    except ConnectionError:
        pass
    return content


GET = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"


@pytest.mark.parametrize("start", [b"", b"GET / HTTP/1.1\r\n", b"GET / HTTP/1.1\r\nHost: "])
def test_a_head_that_does_not_come_is_given_up(served, start):
    with connected(served) as client:
        client.sendall(start)
        started = time.monotonic()
        assert read_all(client) == b""
        assert time.monotonic() - started < 3


def test_a_second_head_is_awaited_likewise(served):
    with connected(served) as client:
        client.sendall(GET.replace(b"Connection: close\r\n", b""))
        answer = b""
        while not answer.endswith(b"served\r\n0\r\n\r\n"):
            answer += client.recv(1000)
        client.sendall(b"GET / HT")
        started = time.monotonic()
        assert read_all(client) == b""
        assert time.monotonic() - started < 3  # less than a connection that says nothing may take


def test_connections_are_bounded_and_come_free(served):
    clients = [connected(served) for _ in range(12)]
    answers = []
    for client in clients:
        with contextlib.suppress(ConnectionError):
            client.sendall(GET)
    answers = [read_all(client) for client in clients]
    assert 5 <= sum(b"served" in answer for answer in answers) < 12
    for client in clients:
        client.close()
    time.sleep(0.1)
    with connected(served) as client:
        client.sendall(GET)
        assert b"served" in read_all(client)


def test_a_large_call_is_refused_so_that_its_sender_sees_why(served):
    head = b"POST /gradio_api/queue/join HTTP/1.1\r\nHost: 127.0.0.1\r\n"
    with connected(served) as client:
        client.sendall(head + b"Content-Length: 20000000\r\n\r\n")
        for _ in range(200):
            client.sendall(bytes(100_000))
        assert b"413" in read_all(client).splitlines()[0]


def test_addresses_that_are_not_here_are_said():
    with pytest.raises(InputError, match=r"--port 7860: cannot be served on 192\.0\.2\.1"):
        server.listening("192.0.2.1", 7860)
