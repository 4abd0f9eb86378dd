"""How an entry breaks the rule."""

from enum import StrEnum


class RuleCode(StrEnum):
    """Which part of the rule an entry breaks."""

    FORM = "form"
    SEQ = "seq"
    AT = "at"
    KIND = "kind"
    CHANGE_NUMBER = "change_number"
    FROM = "from"
    EFFECTIVE_AT = "effective_at"
    EXPIRES_AT = "expires_at"
    NOTHING = "nothing"
    UNKNOWN = "unknown"
    REASON = "reason"
    NOTICE = "notice"
    RAISE = "raise"
    EMERGENCY = "emergency"
    STATE = "state"
    TABLE = "table"


class RuleBroken(ValueError):
    """An entry that may not stand in the log; `text` says what is wrong and what would be right.

    `earliest` is the first lawful effective instant (Unix seconds) where too little notice is all
    that is wrong.
    """

    def __init__(self, code: RuleCode, text: str, *, earliest: int | None = None) -> None:
        super().__init__(f"{code}: {text}")
        self.code = code
        self.text = text
        self.earliest = earliest


class NotUnderstood(RuleBroken):
    """An entry of a newer kind or form: it may be lawful, but this version cannot tell."""
