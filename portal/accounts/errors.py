from portal.core.errors import Conflict, Gone, Invalid


class LinkUsedOrOver(Gone):
    code = "link_used_or_over"
    public = (
        "This link was used already, or its time is over. "
        "If it was to confirm your address, sign in: there you see whether it is confirmed, "
        "and can have a new link sent."
    )


class AskedElsewhere(Conflict):
    code = "asked_elsewhere"
    public = (
        "Somebody signed up with this address from another browser, too. "
        "Open the link of your own sign-up in the browser in which you signed up."
    )


class AlreadyConfirmed(Conflict):
    code = "already_confirmed"
    public = "Your address is confirmed already."


class WeakPassword(Invalid):
    code = "weak_password"

    def __init__(self, public: str) -> None:
        super().__init__(public, field="password")


class BadAddress(Invalid):
    code = "bad_address"
    public = "Enter an e-mail address such as ada@example.com."

    def __init__(self, public: str | None = None) -> None:
        super().__init__(public, field="email")


class PersonExists(Conflict):
    code = "person_exists"
    public = "There is a person with this address already."


class FactorIsOn(Conflict):
    code = "second_factor_is_on"
    public = "Your second factor is on already."


class FactorIsOff(Conflict):
    code = "second_factor_is_off"
    public = "Your second factor is off."


class ConfirmAddressFirst(Conflict):
    code = "confirm_address_first"
    public = "Confirm your e-mail address first: your overview says how."


class WrongCode(Invalid):
    code = "wrong_code"
    public = "This code is not right. Each code counts once, for half a minute: type the one that your app shows now."

    def __init__(self) -> None:
        super().__init__(field="code")


class SignInOver(Gone):
    code = "sign_in_over"
    public = "Signing in took too long, or was done already. Begin again with your password."


class SameAddress(Invalid):
    code = "same_address"
    public = "This is your address already."

    def __init__(self) -> None:
        super().__init__(field="email")


class AddressTaken(Conflict):
    code = "address_taken"
    public = "Somebody has signed up with the new address meanwhile. Yours stays as it is."
