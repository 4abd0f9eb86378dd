"""The proxy harms what it is told to harm, and nothing else."""

import contextlib
import http.client
import random
import socket
import threading
import time

import pytest

from tests.faults.processes import ProxyProcess
from tests.faults.proxy import Answers, Faults, LineHarm
from tests.support.product import eventually

LINES = [b'{"t":"hello"}\n', *(b'{"t":"put","rev":%d}\n' % each for each in range(40))]


class Upstream:
    """Answers every request with the lines, chunk by chunk, and holds the connection open."""

    def __init__(self):
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.port = self.listening.getsockname()[1]
        self.more = threading.Event()
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        with contextlib.suppress(OSError):
            while True:
                link, _ = self.listening.accept()
                threading.Thread(target=self._answer, args=(link,), daemon=True).start()

    def _answer(self, link):
        with contextlib.suppress(OSError), link:
            while b"\r\n\r\n" not in link.recv(4096):
                pass
            link.sendall(
                b"HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\n"
                b"Transfer-Encoding: chunked\r\n\r\n"
            )
            for line in LINES:
                link.sendall(b"%x\r\n%b\r\n" % (len(line), line))
            self.more.wait(10)
            link.sendall(b"0\r\n\r\n")

    def close(self):
        self.more.set()
        self.listening.close()


@pytest.fixture(scope="module")
def upstream():
    made = Upstream()
    yield made
    made.close()


@pytest.fixture(scope="module")
def shared(upstream, tmp_path_factory):
    made = ProxyProcess(upstream.port, lanes=1, seed=7, folder=tmp_path_factory.mktemp("proxy"))
    made.start()
    yield made
    made.close()


@pytest.fixture
def proxy(shared):
    shared.harm(0)
    shared.events()
    return shared


@contextlib.contextmanager
def stream(proxy, timeout=5.0):
    link = http.client.HTTPConnection("127.0.0.1", proxy.ports[0], timeout=timeout)
    with contextlib.closing(link):
        link.request("GET", "/")
        yield link.getresponse()


def test_without_faults_every_byte_passes_and_hello_and_end_are_noted(proxy):
    with stream(proxy) as answer:
        assert [answer.readline() for _ in LINES] == LINES
        assert [event[3] for event in proxy.events()] == ["hello"]

    assert [event[3] for event in eventually(proxy.events)] == ["closed"]


def test_slices_arrive_whole(proxy):
    proxy.harm(0, sliced=True)

    with stream(proxy) as answer:
        assert [answer.readline() for _ in LINES] == LINES


def test_a_half_open_connection_stays_silent_and_goes_on_when_mended(proxy):
    with stream(proxy) as answer:
        proxy.harm(0, half_open=True)
        with pytest.raises(TimeoutError), stream(proxy, timeout=0.3):
            pass
        proxy.harm(0)

        assert [answer.readline() for _ in LINES] == LINES


@pytest.mark.parametrize("faults", [{"latency": 0.3}, {"hold": 0.3}])
def test_what_is_late_is_late_and_whole(proxy, faults):
    proxy.harm(0, **faults)
    began = time.monotonic()

    with stream(proxy) as answer:
        assert [answer.readline() for _ in LINES] == LINES

    assert time.monotonic() - began >= 0.3


def test_a_reset_is_an_rst(proxy):
    with stream(proxy) as answer:
        answer.readline()
        proxy.reset(0)

        with pytest.raises(ConnectionResetError):
            answer.read()


def harmed(**faults):
    harm = LineHarm(lambda: Faults(**faults), random.Random(3))  # noqa: S311 - chance by a seed
    return [line for each in LINES for line in harm.feed(each)] + harm.end()


def test_dropped_lines_are_gone_and_the_others_stand():
    found = harmed(drop=0.3)

    assert 0 < len(found) < len(LINES)
    assert [line for line in LINES if line in found] == found


def test_duplicated_lines_follow_each_other():
    found = harmed(duplicate=0.3)

    assert len(found) > len(LINES)
    assert list(dict.fromkeys(found)) == LINES


def test_swapped_lines_are_all_there_in_another_order():
    found = harmed(swap=0.3)

    assert found != LINES
    assert sorted(found) == sorted(LINES)


def test_a_flip_turns_one_bit_of_a_line():
    found = harmed(flip=1.0)

    assert len(found) == len(LINES)
    for before, after in zip(LINES, found, strict=True):
        assert sum((a ^ b).bit_count() for a, b in zip(before, after, strict=True)) == 1


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_answers_of_a_kept_connection_pass_in_whatever_pieces_they_come(size):
    whole = (
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab\r\nc"
        b"HTTP/1.1 204 No Content\r\n\r\n"
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Type: text/plain\r\n\r\n"
        b"3\r\nx\ny\r\n0\r\n\r\n"
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
    )
    answers = Answers(lambda: pytest.fail("no stream"), lambda: None)

    passed = b"".join(
        answers.feed(whole[place : place + size]) for place in range(0, len(whole), size)
    )

    assert passed == whole
