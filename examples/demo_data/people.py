"""Who there is: organisations, the people in them, and how they came."""

from functools import partial
from typing import NamedTuple

from sqlalchemy import select
from sqlalchemy.orm import Session

from examples.demo_data.world import STAFF, Scene, World, address
from portal.accounts import commands as accounts
from portal.accounts.models import LinkPurpose
from portal.accounts.queries import find_user_by_email
from portal.accounts.resets import set_password
from portal.core.actor import CLI, Actor
from portal.core.outbox import Mail
from portal.orgs import invitations, members
from portal.orgs.models import Invitation, Role
from portal.orgs.people import get_member
from portal.orgs.queries import list_orgs_of
from portal.tiers.commands import SignUp, sign_up

# A stranger's, until the mailed link has said who it is.
_STRANGER = Actor(ip="198.51.100.9")


class Founding(NamedTuple):
    """An organisation, who signs up for it and how many days before the end."""

    org: str
    name: str
    owner: str
    days_before: float
    is_confirmed: bool = True


class Joining(NamedTuple):
    """Somebody whom an owner invites; they come some hours later."""

    org: str
    by: str
    who: str
    role: Role
    days_before: float


FOUNDINGS = (
    Founding("tidewater", "Tidewater Maps", "mara", 70),
    Founding("nightwatch", "Nightwatch Research", "oskar", 68),
    Founding("fathom", "Fathom Analytics", "ines", 66),
    Founding("harbour", "Harbour Clinic", "tomas", 63),
    Founding("quiet", "Quiet Cove", "yuki", 61),
    Founding("saltmarsh", "Saltmarsh Games", "leo", 58),
    Founding("sextant", "Sextant Tutors", "amara", 55),
    Founding("lanternfish", "Lanternfish Studio", "nils", 52),
    Founding("kelp", "Kelp Forest Labs", "dana", 49),
    Founding("brightwork", "Brightwork Furniture", "petra", 47),
    Founding("mole", "Old Mole Radio", "hugo", 45),
    Founding("barnacle", "Barnacle Bots", "vic", 30),
    Founding("gullwing", "Gullwing Courier", "sofia", 6),
    Founding("pilot", "Pilot Light", "emre", 1.4, is_confirmed=False),
)
JOININGS = (
    Joining("tidewater", "mara", "jonas", Role.MANAGER, 67),
    Joining("tidewater", "mara", "priya", Role.DEVELOPER, 66),
    Joining("tidewater", "jonas", "ken", Role.VIEWER, 40),
    Joining("tidewater", "mara", "ruth", Role.DEVELOPER, 62),
    Joining("nightwatch", "oskar", "freya", Role.DEVELOPER, 60),
    Joining("fathom", "ines", "bela", Role.MANAGER, 59),
    Joining("kelp", "dana", "mika", Role.DEVELOPER, 33),
    # Somebody who is at home in two organisations.
    Joining("sextant", "amara", "priya", Role.VIEWER, 20),
)


def bring_staff(world: World) -> None:
    """Two of the provider's staff, as the command line makes them: each chooses a password by a link."""
    for name in ("admin", STAFF):
        with world.act() as session:
            person = accounts.create_person(
                session, actor=CLI, email=address(name), password_hash=None
            )
            accounts.make_admin(session, actor=CLI, user=person)
            token = accounts.make_link(session, user=person, purpose=LinkPurpose.SET_PASSWORD)
            world.come(name, person.id, is_admin=True)
        with world.act() as session:
            set_password(
                session,
                actor=_STRANGER,
                token=token,
                password_hash=world.password_hash,
                url=world.settings.url,
            )


def _found(world: World, founding: Founding) -> None:
    with world.act() as session:
        request = SignUp(
            email=address(founding.owner),
            password_hash=world.password_hash,
            organisation=founding.name,
        )
        origin = accounts.Origin(browser=founding.owner, url=world.settings.url)
        sign_up(session, actor=_STRANGER, request=request, origin=origin)
    with world.act() as session:
        person = find_user_by_email(session, address(founding.owner))
        if person is None:
            raise RuntimeError(f"{founding.owner} could not sign up")
        world.come(founding.owner, person.id)
        (org,) = list_orgs_of(session, person.id)
        world.orgs[founding.org] = org.id
        if founding.is_confirmed:
            token = _mailed(session, address(founding.owner), "/confirm/")
            accounts.confirm_email(session, actor=_STRANGER, token=token, browser=founding.owner)


def _invite(world: World, joining: Joining) -> None:
    with world.act() as session:
        invitations.invite(
            session,
            actor=world.people[joining.by],
            org=world.org(session, joining.org),
            email=address(joining.who),
            role=joining.role,
            url=world.settings.url,
        )


def _join(world: World, joining: Joining) -> None:
    with world.act() as session:
        token = _mailed(session, address(joining.who), "/invitations/")
        known = world.people.get(joining.who)
        if known is not None:
            invitations.accept(session, actor=known, token=token)
            return
        joined = invitations.accept_as_newcomer(
            session, actor=_STRANGER, token=token, password_hash=world.password_hash
        )
        world.come(joining.who, joined.user.id)


def _mailed(session: Session, to: str, path: str) -> str:
    """The token of the newest link that was mailed to somebody."""
    mails = select(Mail.text).where(Mail.to == to, Mail.text.contains(path))
    text = session.scalars(mails.order_by(Mail.id.desc()).limit(1)).one()
    return str(text).partition(path)[2].split()[0]


def _part(world: World) -> None:
    """Ruth leaves Tidewater; her keys stay until they are looked at."""
    with world.act() as session:
        org = world.org(session, "tidewater")
        member = get_member(session, org, world.people["ruth"].user_id)
        members.remove_member(session, actor=world.people["mara"], org=org, member=member)


def _ask_two_more(world: World) -> None:
    """One invitation that is open at the end, and one that was taken back."""
    for who in ("newcomer", "contractor"):
        _invite(world, Joining("tidewater", "jonas", who, Role.DEVELOPER, 0))
    with world.act() as session:
        org = world.org(session, "tidewater")
        query = select(Invitation).where(Invitation.email == address("contractor"))
        invitation = session.scalars(query.with_for_update()).one()
        actor = world.people["jonas"]
        invitations.revoke(session, actor=actor, org=org, invitation=invitation)


SCENES = (
    *(Scene(each.days_before, partial(_found, founding=each)) for each in FOUNDINGS),
    *(Scene(each.days_before, partial(_invite, joining=each)) for each in JOININGS),
    *(Scene(each.days_before - 0.2, partial(_join, joining=each)) for each in JOININGS),
    Scene(21.3, _part),
    Scene(2.6, _ask_two_more),
)
