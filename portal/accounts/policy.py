"""Pure rules about addresses, passwords and how long things last."""

import unicodedata
from datetime import datetime, timedelta

from email_validator import EmailNotValidError, validate_email

from portal.accounts.errors import BadAddress, LinkUsedOrOver, WeakPassword
from portal.accounts.models import EMAIL_MAX, LinkPurpose, MailLink

PASSWORD_MIN = 10
PASSWORD_MAX = 200
_SOME_TLD = ".example"
SESSION_LASTS = timedelta(days=30)
PROOF_LASTS = timedelta(minutes=15)
HALF_SIGN_IN_LASTS = timedelta(minutes=10)
EMAIL_CHANGE_LASTS = timedelta(hours=24)
ADDRESSES_KEPT = timedelta(days=90)  # network addresses, of sessions as of the journal
LINK_LASTS = {
    LinkPurpose.CONFIRM_EMAIL: timedelta(hours=48),
    LinkPurpose.SET_PASSWORD: timedelta(hours=24),
    LinkPurpose.RESET_PASSWORD: timedelta(hours=1),
}


def normal_address(text: str) -> str:
    """An e-mail address as it is stored: the domain in lower case, an international one as `xn--…`.

    Whether a mail arrives there is for the confirmation to prove, so that `ada@localhost` will do.
    Raises BadAddress.
    """
    text = unicodedata.normalize("NFC", text).strip(" ")
    if len(text) > EMAIL_MAX:
        raise BadAddress(f"Use at most {EMAIL_MAX} characters.")
    try:
        # The library refuses the names that only a private network has; under another name it
        # checks all else about them.
        found = validate_email(text + _SOME_TLD, allow_smtputf8=False, check_deliverability=False)
    except EmailNotValidError as error:
        raise BadAddress from error
    return (found.ascii_email or found.normalized).removesuffix(_SOME_TLD)


def must_be_strong(password: str, *, email: str) -> None:
    """Raises WeakPassword. Length does the work; character classes are not asked for (NIST SP 800-63B)."""
    if not PASSWORD_MIN <= len(password) <= PASSWORD_MAX:
        raise WeakPassword(f"Use {PASSWORD_MIN} to {PASSWORD_MAX} characters.")
    if password.lower() in {email.lower(), email.lower().partition("@")[0]}:
        raise WeakPassword("Use something else than your address.")
    if len(set(password)) == 1:
        raise WeakPassword("Use more than one character.")


PASSWORD_LINKS = (LinkPurpose.SET_PASSWORD, LinkPurpose.RESET_PASSWORD)


def must_be_usable(link: MailLink | None, *purposes: LinkPurpose, at: datetime) -> MailLink:
    """The link, if it may be used now for one of these. Raises LinkUsedOrOver."""
    if link is None or link.purpose not in purposes or link.used_at or link.expires_at <= at:
        raise LinkUsedOrOver
    return link


def is_fresh(proven_at: datetime | None, *, at: datetime) -> bool:
    """Whether a session's last proof is recent enough for an act that a borrowed screen must not do."""
    return proven_at is not None and at < proven_at + PROOF_LASTS


def may_act_as_staff(*, is_admin: bool, has_second_factor: bool, is_development: bool) -> bool:
    """Whether somebody has the rights of the staff now: in production only with a second factor."""
    return is_admin and (has_second_factor or is_development)


def is_local(target: str | None) -> bool:
    """Whether `target` is a path of this portal, so that `next` leads nowhere else.

    Browsers read a backslash as a slash and drop tabs and line ends, so that none of these may stand in it.
    """
    if not target or not target.startswith("/") or target.startswith("//"):
        return False
    return target.isprintable() and "\\" not in target
