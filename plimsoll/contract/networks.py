"""From where a key may be used: one rule for gateways and for the portal, which answers in their stead."""

from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import TypeAlias

Network: TypeAlias = IPv4Network | IPv6Network


def parse_networks(names: Iterable[str] | None) -> tuple[Network, ...] | None:
    """The networks of a key; None where it may be used from any. Raises ValueError for what is no CIDR."""
    return None if names is None else tuple(map(ip_network, names))


def allows_address(networks: Iterable[Network] | None, client_ip: str | None) -> bool:
    """Whether a key may be used from an address; one for any network asks for none."""
    if networks is None:
        return True
    try:
        address = ip_address(client_ip or "")
    except ValueError:
        return False
    # An IPv4 caller seen through an IPv6 socket is still that caller.
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return any(address in network for network in networks)
