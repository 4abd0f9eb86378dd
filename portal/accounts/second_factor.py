"""The commands of the second factor: on, off, new recovery codes, and codes as they are used, at sign-in too.

`key` is the portal's secret key, which the app's secret is encrypted with.
"""

from datetime import datetime

from sqlalchemy import delete, update
from sqlalchemy.orm import Session

from portal.accounts import mails, totp
from portal.accounts.commands import end_half_sign_ins, end_sessions, signing_in
from portal.accounts.errors import (
    ConfirmAddressFirst,
    FactorIsOff,
    FactorIsOn,
    SignInOver,
    WrongCode,
)
from portal.accounts.models import RecoveryCode, SecondFactor, User
from portal.accounts.queries import (
    count_recovery_codes,
    find_factor,
    find_half_sign_in,
    get_user,
)
from portal.core import clock
from portal.core.actor import Actor
from portal.core.encryption import decrypt, encrypt
from portal.core.ids import new_id
from portal.core.outbox import Message, queue_mail
from portal.journal.commands import record


def turn_on(
    session: Session, *, actor: Actor, user: User, secret: str, code: str, key: str
) -> tuple[str, ...]:
    """Turn it on for a locked person by a first code of their app; returns the recovery codes.

    Not before the address is confirmed: whoever signs up with a stranger's address must not be able to
    shut the owner out with a code that only they have. Every session ends: the password alone let them
    in, and from now on that is not enough, least of all for the rights of the staff.
    Raises ConfirmAddressFirst, FactorIsOn, WrongCode.
    """
    if user.email_confirmed_at is None:
        raise ConfirmAddressFirst
    if find_factor(session, user.id):
        raise FactorIsOn
    now = clock.now()
    step = totp.matching_step(secret, code, at=now, last_step=0)
    if step is None:
        raise WrongCode
    encrypted = encrypt(secret, key=key, purpose=_purpose(user.id))
    session.add(SecondFactor(user_id=user.id, secret=encrypted, confirmed_at=now, last_step=step))
    codes = _new_codes(session, user.id)
    end_sessions(session, user_id=user.id)
    record(session, actor, "user:second_factor:enabled", subject_id=user.id)
    _mail(session, user, mails.second_factor_on(to=user.email))
    return codes


def turn_off(session: Session, *, actor: Actor, user: User) -> None:
    """Turn it off for a locked person. Raises FactorIsOff."""
    _remove(session, user)
    record(session, actor, "user:second_factor:disabled", subject_id=user.id)
    _mail(session, user, mails.second_factor_off(to=user.email))


def reset(session: Session, *, actor: Actor, user: User) -> None:
    """Take it off a locked person who has lost the device and the recovery codes.

    Every session ends, since the lost device may hold one. Raises FactorIsOff.
    """
    _remove(session, user)
    end_sessions(session, user_id=user.id)
    record(session, actor, "user:second_factor:reset", subject_id=user.id)
    _mail(session, user, mails.second_factor_reset(to=user.email))


def renew_codes(session: Session, *, actor: Actor, user: User) -> tuple[str, ...]:
    """New recovery codes for a locked person; those before count no more. Raises FactorIsOff."""
    if find_factor(session, user.id) is None:
        raise FactorIsOff
    codes = _new_codes(session, user.id)
    record(session, actor, "user:recovery_codes:renewed", subject_id=user.id)
    _mail(session, user, mails.recovery_codes_renewed(to=user.email))
    return codes


def finish_sign_in(session: Session, *, actor: Actor, token: str, code: str, key: str) -> User:
    """Whose sign-in this code completes; the same one completes no second time.

    Raises SignInOver, WrongCode.
    """
    found = find_half_sign_in(session, token)
    if found is None:
        raise SignInOver
    # The person first, as whoever ends all their sign-ins does, or the two could wait for each other.
    user = get_user(session, found.user_id)
    half = find_half_sign_in(session, token, for_update=True)
    if half is None:
        raise SignInOver
    if not use_code(session, actor=signing_in(actor, user), user=user, code=code, key=key):
        raise WrongCode
    half.ended_at = clock.now()
    return user


def use_code(session: Session, *, actor: Actor, user: User, code: str, key: str) -> bool:
    """Whether the code counts, of the app or for recovery; if so it never counts again."""
    factor = find_factor(session, user.id, for_update=True)
    if factor is None:
        return False
    now = clock.now()
    if _use_app_code(session, factor, code, at=now, key=key):
        return True
    digest = totp.recovery_digest(code, user_id=user.id)
    used = session.execute(
        update(RecoveryCode)
        .where(
            RecoveryCode.user_id == user.id,
            RecoveryCode.digest == digest,
            RecoveryCode.used_at.is_(None),
        )
        .values(used_at=now)
    )
    if not used.rowcount:  # type: ignore[attr-defined]
        return False
    left = count_recovery_codes(session, user.id)
    record(session, actor, "user:recovery_code:used", subject_id=user.id, left=left)
    _mail(session, user, mails.recovery_code_used(to=user.email, left=left))
    return True


def _use_app_code(
    session: Session, factor: SecondFactor, code: str, *, at: datetime, key: str
) -> bool:
    secret = decrypt(factor.secret, key=key, purpose=_purpose(factor.user_id))
    if secret is None:  # another secret key than then: recovery codes still count
        return False
    step = totp.matching_step(secret, code, at=at, last_step=factor.last_step)
    if step is None:
        return False
    # The row decides, not what was read: of two at once with the same code, one counts.
    used = session.execute(
        update(SecondFactor)
        .where(SecondFactor.user_id == factor.user_id, SecondFactor.last_step < step)
        .values(last_step=step)
    )
    return bool(used.rowcount)  # type: ignore[attr-defined]


def _new_codes(session: Session, user_id: str) -> tuple[str, ...]:
    session.execute(delete(RecoveryCode).where(RecoveryCode.user_id == user_id))
    codes = totp.new_recovery_codes()
    session.add_all(
        RecoveryCode(
            id=new_id("rec"), user_id=user_id, digest=totp.recovery_digest(code, user_id=user_id)
        )
        for code in codes
    )
    return codes


def _remove(session: Session, user: User) -> None:
    factor = find_factor(session, user.id, for_update=True)
    if factor is None:
        raise FactorIsOff
    session.delete(factor)
    session.execute(delete(RecoveryCode).where(RecoveryCode.user_id == user.id))
    end_half_sign_ins(session, user_id=user.id)  # no code could complete them


def _mail(session: Session, user: User, message: Message) -> None:
    queue_mail(session, message, event=new_id("evt"), person=user.id)


def _purpose(user_id: str) -> str:
    return f"second factor of {user_id}"
