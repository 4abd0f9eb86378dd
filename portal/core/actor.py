"""Who acts: handed to every query and command, so that none of them asks the request."""

from dataclasses import dataclass
from enum import StrEnum


class Via(StrEnum):
    WEB = "web"
    CLI = "cli"
    JOB = "job"
    API = "api"


@dataclass(frozen=True, kw_only=True)
class Actor:
    """A person, the command line or a job, with what authorisation and the journal need to know."""

    user_id: str | None = None
    name: str = ""
    is_admin: bool = False
    ip: str | None = None
    via: Via = Via.WEB


CLI = Actor(name="command line", is_admin=True, via=Via.CLI)
JOB = Actor(name="portal", is_admin=True, via=Via.JOB)
