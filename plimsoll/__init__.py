"""Limits that are published, enforced as published, and changed only with notice.

`plimsoll` is what a gateway embeds: it keeps a verified copy of the portal's state and decides
about each request on its own. `plimsoll.contract` is the meaning that gateway and portal share.
"""

__version__ = "0.1.0"
