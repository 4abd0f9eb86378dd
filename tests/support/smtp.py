"""A mail server that keeps what it is given: enough of RFC 5321 for `smtplib`."""

import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass
class Received:
    """One mail: the envelope, and the message as it came."""

    sender: str
    recipients: list[str]
    data: bytes


@dataclass
class Sink:
    """`url` is what PORTAL_SMTP_URL takes. While `refuses` is set, each recipient is turned away."""

    url: str = ""
    mails: list[Received] = field(default_factory=list)
    refuses: bool = False


@contextmanager
def running() -> Iterator[Sink]:
    """A server on a free port of this machine, stopped at the end of the block."""
    sink = Sink()

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            _Talk(self, sink).run()

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        sink.url = f"smtp://127.0.0.1:{server.server_address[1]}"
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        try:
            yield sink
        finally:
            server.shutdown()


class _Talk:
    """One connection."""

    def __init__(self, handler: socketserver.StreamRequestHandler, sink: Sink) -> None:
        self._in, self._out, self._sink = handler.rfile, handler.wfile, sink
        self._mail = Received("", [], b"")

    def run(self) -> None:
        self._say("220 sink")
        for line in self._in:
            verb = line[:4].upper()
            if verb == b"QUIT":
                self._say("221 bye")
                return
            self._say(self._answer(verb, line.decode().strip()))

    def _answer(self, verb: bytes, line: str) -> str:
        address = line.partition("<")[2].partition(">")[0]
        if verb == b"MAIL":
            self._mail = Received(address, [], b"")
        elif verb == b"RCPT":
            if self._sink.refuses:
                return "450 not now"
            self._mail.recipients.append(address)
        elif verb == b"DATA":
            self._say("354 go on")
            self._mail.data = self._body()
            self._sink.mails.append(self._mail)
        return "250 ok"

    def _body(self) -> bytes:
        lines = []
        for line in self._in:
            if line == b".\r\n":
                break
            lines.append(line.removeprefix(b".") if line.startswith(b"..") else line)
        return b"".join(lines)

    def _say(self, text: str) -> None:
        self._out.write(f"{text}\r\n".encode())
