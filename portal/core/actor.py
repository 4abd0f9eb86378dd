"""Who acts: handed to every query and command, so that none of them asks the request."""

from dataclasses import dataclass
from enum import StrEnum


class Via(StrEnum):
    WEB = "web"
    CLI = "cli"
    JOB = "job"
    API = "api"
    TOKEN = "token"  # noqa: S105 -- how somebody came, and no secret


@dataclass(frozen=True, kw_only=True)
class Bearer:
    """An access token that acts: it cuts what its person may do, or has an organisation and a role of its own."""

    id: str
    name: str
    scopes: frozenset[str]
    org_id: str | None = None
    role: str | None = None


@dataclass(frozen=True, kw_only=True)
class Actor:
    """A person, a token, the command line or a job, with what authorisation and the journal need to know."""

    user_id: str | None = None
    name: str = ""
    is_admin: bool = False
    ip: str | None = None
    via: Via = Via.WEB
    token: Bearer | None = None

    @property
    def id(self) -> str | None:
        """Whose act it is: the person's, or where there is none the token's of an organisation."""
        return self.user_id or (self.token.id if self.token else None)


CLI = Actor(name="command line", is_admin=True, via=Via.CLI)
JOB = Actor(name="portal", is_admin=True, via=Via.JOB)
