"""The caller's own address, where a proxy of the operator's stands between (EXACT 36)."""

from collections.abc import Iterable, Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

Network = IPv4Network | IPv6Network


class TrustedProxies:
    """Believes `X-Forwarded-For` as far as trusted proxies wrote it, and nobody else's."""

    def __init__(self, app: "WSGIApplication", networks: Sequence[Network]) -> None:
        self._app = app
        self._networks = networks

    def __call__(
        self, environ: "WSGIEnvironment", start_response: "StartResponse"
    ) -> Iterable[bytes]:
        said = environ.pop("HTTP_X_FORWARDED_FOR", "")
        environ["REMOTE_ADDR"] = self.caller(environ.get("REMOTE_ADDR", ""), said)
        return self._app(environ, start_response)

    def caller(self, peer: str, said: str) -> str:
        """The first address, from our side outwards, that is no proxy of ours."""
        for hop in reversed(said.split(",")):
            if not self._is_trusted(peer) or not _is_address(hop.strip()):
                break
            peer = hop.strip()
        return peer

    def _is_trusted(self, address: str) -> bool:
        return _is_address(address) and any(
            ip_address(address) in network for network in self._networks
        )


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
