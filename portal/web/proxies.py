"""The caller's own address, where a proxy of the operator's stands between (EXACT 36)."""

import re
from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
# Set in the environment of a request that some proxy passed on without a word from one of ours of who called.
UNBELIEVED = "plimsoll.forwarded_unbelieved"
# What proxies add, beside X-Forwarded-…: a caller cannot keep them from it.
_TRACES = {"HTTP_FORWARDED", "HTTP_VIA", "HTTP_X_REAL_IP"}
_WITH_PORT = re.compile(
    r"\[(?P<six>[^\]]+)\](?::\d{1,5})?|(?P<four>\d+\.\d+\.\d+\.\d+):\d{1,5}", re.ASCII
)


class TrustedProxies:
    """Believes `X-Forwarded-For` as far as trusted proxies wrote it, and nobody else's."""

    def __init__(self, app: "WSGIApplication", networks: Sequence[Network]) -> None:
        self._app = app
        self._networks = networks

    def __call__(
        self, environ: "WSGIEnvironment", start_response: "StartResponse"
    ) -> Iterable[bytes]:
        said = environ.pop("HTTP_X_FORWARDED_FOR", "")
        peer = environ.get("REMOTE_ADDR", "")
        environ["REMOTE_ADDR"] = self.caller(peer, said)
        environ[UNBELIEVED] = (bool(said) or _is_passed_on(environ)) and not (
            self._believes(peer) and _address(said.rpartition(",")[2])
        )
        return self._app(environ, start_response)

    def caller(self, peer: str, said: str) -> str:
        """The first address, from our side outwards, that is no proxy of ours."""
        found = _address(peer)
        if found is None:  # a socket file has none, so nobody knows who wrote the header
            return peer
        for hop in reversed(said.split(",")):
            before = _address(hop) if self._is_trusted(found) else None
            if before is None:
                break
            found = before
        return str(found)

    def _believes(self, peer: str) -> bool:
        found = _address(peer)
        return found is not None and self._is_trusted(found)

    def _is_trusted(self, address: Address) -> bool:
        return any(address in network for network in self._networks)


def _is_passed_on(environ: "WSGIEnvironment") -> bool:
    return any(name in _TRACES or name.startswith("HTTP_X_FORWARDED_") for name in environ)


def _address(text: str) -> Address | None:
    """An address as proxies write it: some add a port, some write IPv4 as IPv6, some name an interface."""
    text = text.strip()
    if match := _WITH_PORT.fullmatch(text):
        text = match["six"] or match["four"]
    try:
        found = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return (found.ipv4_mapped or found) if isinstance(found, IPv6Address) else found
