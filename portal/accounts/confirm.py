"""“Confirm it is you”: forms of risky acts ask for a proof where the last one is older than 15 minutes.

The form itself asks, so that nothing typed is lost and no script is needed:

    class IssueKeyForm(ProofForm): …            {{ proof_field(form) }} before its button
    form.prove()                                in the view, before its transaction
    if not form.validate(): …                   refuses as long as nothing is proven
"""

from typing import Any

from wtforms import Field, PasswordField, StringField, ValidationError

from portal.accounts import codes, commands, passwords
from portal.accounts.login import SignedIn, current_actor, viewer
from portal.accounts.models import User
from portal.accounts.policy import is_fresh
from portal.accounts.queries import get_user, has_second_factor
from portal.accounts.second_factor import use_code
from portal.core import clock
from portal.core.db import transaction
from portal.web import throttle
from portal.web.forms import BaseForm, must_be_plain
from portal.web.session import session, settings

PROOF_MAX = 1000  # longer is neither password nor code, and would only cost time
WHY = "Confirm that it is you. This counts for 15 minutes."


class ProofForm(BaseForm):
    """Base of the forms of risky acts. `proof` is the field that asks, None where none is needed."""

    proof_password = PasswordField(
        "Your password",
        description=WHY,
        render_kw={"autocomplete": "current-password"},
    )
    proof_code = StringField(
        "Code from your app",
        description=WHY + " A recovery code works here, too.",
        validators=[must_be_plain],
        render_kw={"autocomplete": "one-time-code", "inputmode": "numeric"},
    )

    def __init__(self, *args: Any, **values: Any) -> None:
        super().__init__(*args, **values)
        asked = _asked_of(viewer())
        for name in {"proof_password", "proof_code"} - {asked}:
            del self[name]
        if asked:
            # Last, as it stands on the page: the focus goes to the first field that is wrong.
            self._fields[asked] = self._fields.pop(asked)
        self._refusal = ""

    @property
    def proof(self) -> Field | None:
        names = ("proof_password", "proof_code")
        return next((self[name] for name in names if name in self), None)

    def prove(self) -> None:
        """Take the proof that was sent. Call it before the act's transaction: it has one of its own, so
        that it stays proven when the act is refused for something else. Raises TooMany."""
        field = self.proof
        person = viewer()
        if field is None or person is None or not field.data:
            return
        is_right = _PROOFS[field.name]
        if is_right(person, field.data[:PROOF_MAX]):
            del self[field.name]
        else:
            self._refusal = _WRONG[field.name]

    def validate_proof_password(self, field: Field) -> None:  # noqa: ARG002
        raise ValidationError(self._refusal or "Enter your password.")

    def validate_proof_code(self, field: Field) -> None:  # noqa: ARG002
        raise ValidationError(self._refusal or "Enter a code.")


def _asked_of(person: SignedIn | None) -> str | None:
    """The field that asks this person for a proof: by the second factor where there is one."""
    if person is None or is_fresh(person.proven_at, at=clock.now()):
        return None
    return "proof_code" if person.has_second_factor else "proof_password"


def _is_password(person: SignedIn, typed: str) -> bool:
    subject = person.email.lower()
    throttle.take("sign_in_account", subject)
    checked = session().get_one(User, person.user_id).password_hash
    if not passwords.is_right(checked, typed):
        return False
    with transaction(session()):
        user = get_user(session(), person.user_id)
        # Meanwhile there may be another password, or a second factor, which counts alone.
        if user.password_hash != checked or has_second_factor(session(), user.id):
            return False
        is_proven = _mark_proven(person)
    throttle.give_back("sign_in_account", subject)
    return is_proven


def _is_code(person: SignedIn, typed: str) -> bool:
    codes.take_try(person.user_id)
    with transaction(session()):
        user, key = get_user(session(), person.user_id), settings().secret_key
        if not use_code(session(), actor=current_actor(), user=user, code=typed, key=key):
            return False
        is_proven = _mark_proven(person)
    codes.give_back(person.user_id)
    return is_proven


def _mark_proven(person: SignedIn) -> bool:
    """Count the person's session as proven from now; inside a transaction."""
    return commands.prove_session(session(), actor=current_actor(), session_id=person.session_id)


_PROOFS = {"proof_password": _is_password, "proof_code": _is_code}
_WRONG = {
    "proof_password": "This is not your password.",
    "proof_code": "This code is not right. Each counts once, for half a minute: type the newest.",
}
