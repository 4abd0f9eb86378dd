from portal.core.errors import Conflict, Forbidden, Gone, Invalid, PortalError


class OutOfScope(Forbidden):
    """The role would do; the access token was given less."""

    code = "scope_missing"


class OrgMoved(PortalError):
    """No failure: the organisation has another slug now, and the caller may see it under that one."""

    status = 307
    code = "org_moved"
    public = "This organisation has another address now."

    def __init__(self, slug: str) -> None:
        super().__init__()
        self.slug = slug


class AlreadySuspended(Conflict):
    code = "already_suspended"
    public = "This organisation is suspended already."


class NotSuspended(Conflict):
    code = "not_suspended"
    public = "This organisation is not suspended."


class SlugTaken(Conflict):
    """Somebody else founded an organisation of the same name in the same instant: try once more."""

    code = "slug_taken"
    public = "An organisation of this name was created just now. Send the form again."


class AlreadyTold(Conflict):
    """The same message was sent to the same owners before: a form that was sent twice."""

    code = "already_told"
    public = "The owners have this message already."


class SlugUsed(Invalid):
    code = "slug_used"
    public = "Another organisation has this address, or had it once. Choose another."

    def __init__(self) -> None:
        super().__init__(field="slug")


class BadSlug(Invalid):
    code = "bad_slug"
    public = "Use 1 to 50 lower-case letters a to z, digits and hyphens, such as acme-weather."

    def __init__(self) -> None:
        super().__init__(field="slug")


class LastOwner(Conflict):
    code = "last_owner"
    public = "An organisation has at least one owner. Make somebody else an owner first."


class JoinedMeanwhile(Conflict):
    code = "joined_meanwhile"
    public = (
        "You joined an organisation meanwhile. Look at what becomes of it, and send the form again."
    )


class IsMember(Conflict):
    code = "is_member"
    public = "This person is a member already."


class IsInvited(Conflict):
    code = "is_invited"
    public = "This address has an open invitation. You can send it again, or revoke it."


class InvitationOver(Gone):
    code = "invitation_over"
    public = (
        "This invitation was used already, revoked or sent again since, or its time is over. "
        "Ask for a new one."
    )


class InvitationAnswered(Conflict):
    code = "invitation_answered"
    public = "This invitation was accepted or revoked in the meantime."


class NotYourInvitation(Forbidden):
    code = "not_your_invitation"
    public = (
        "This invitation was sent to another address than the one that you are signed in with. "
        "Sign out, then open its link again."
    )


class SignInFirst(Conflict):
    code = "sign_in_first"
    public = "You have an account with this address. Sign in, and you can accept."


class IsOwner(Conflict):
    code = "is_owner"
    public = "This person is an owner already. You can step down by changing your own role."
