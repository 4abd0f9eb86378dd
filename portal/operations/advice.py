"""What each kind of alert means and what to do about it: for the staff's page, the mail and /docs/operating."""

from dataclasses import dataclass

from portal.operations import policy
from portal.operations.models import Kind


@dataclass(frozen=True)
class Advice:
    """`title` names it, `when` says from when on, `means` what goes on meanwhile, `act` what mends it."""

    title: str
    when: str
    means: str
    act: str


def _minutes(seconds: float) -> int:
    return int(seconds // 60)


ADVICE = {
    Kind.GATEWAY_LOST: Advice(
        "Gateway lost",
        f"Nothing was heard of it for {policy.LOST_MINUTES} minutes.",
        "It goes on deciding from its own store, if it runs: what was revoked since it was last heard, it"
        " may still accept. Its usage waits there and is not lost.",
        "Look whether its machine and process run, whether it reaches the portal, and what its log says."
        " Its token may have ended: “gateways rotate NAME” gives a new one. One that is gone for good is"
        " taken out with “gateways remove NAME”.",
    ),
    Kind.GATEWAY_DIVERGED: Advice(
        "Gateway diverged",
        "It says so in its first report.",
        "A whole snapshot did not add up to the portal's digest. The gateway keeps the last state that did,"
        " still applies every revocation that it can read, and tries again every 30 seconds.",
        "Run “sync check” on the portal. Where records differ from the tables, “sync rebuild” makes them"
        " anew. Where they agree, something between the two changes what is sent: look at proxies.",
    ),
    Kind.LOG_FORKED: Advice(
        "Log forked",
        "A gateway says so in its first report.",
        "The gateway verified one history of the public log and was shown another, both signed. It never"
        " enforces the second. Everyone who runs “plimsoll verify” sees the same.",
        "This is what happens when a database is restored without the newest secrets/log.state and signs"
        " on. Stop publishing. Find the newest log.state, put it back, and run “log check”. If nobody"
        " restored anything, somebody else signs with your key.",
    ),
    Kind.LOG_REFUSED: Advice(
        "Log not taken",
        "A gateway says so in its first report.",
        "The gateway does not take the newest entries or their checkpoint, and enforces the limits of"
        " before. The code says why: log_behind (it knows more entries than the portal, whose database was"
        " restored), log_unsigned (not signed by the key that it pinned), log_incomplete, entry_refused or"
        " entry_not_understood (the gateway is older than the entry).",
        "log_behind: “log check”, then “log recover”. log_unsigned: compare the fingerprint that the gateway"
        " was given with “log fingerprint”. entry_not_understood: upgrade the gateway.",
    ),
    Kind.SPOOL_GROWING: Advice(
        "Usage waits at a gateway",
        f"More than {policy.SPOOL_ROWS_MAX:,} rows waited at it for"
        f" {_minutes(policy.HOLDS[Kind.SPOOL_GROWING].total_seconds())} minutes.",
        "Nothing is lost: rows wait on the gateway's disk, merged to hours and days when they become too"
        " many. Meters and charts lag behind.",
        "Look whether the portal answers POST /sync/v1/usage, and how long it takes. A database that is slow"
        " or full shows there first.",
    ),
    Kind.SIGNING_STOPPED: Advice(
        "Signing stopped",
        "The signer refuses, or an entry has waited for"
        f" {_minutes(policy.UNSIGNED_AFTER.total_seconds())} minute.",
        "What was signed before stays in force everywhere. Nothing that was published since is.",
        "The page “Log” names the cause and the command. “log check” says the same on the portal's machine."
        " If it finds nothing wrong, the jobs do not run.",
    ),
    Kind.OUTBOX_STUCK: Advice(
        "Mail does not leave",
        f"A mail has waited for {_minutes(policy.OUTBOX_AFTER.total_seconds())} minutes, and none left.",
        "Sign-ups, resets and notices of changes wait. So does the mail about this alert.",
        "Look at PORTAL_SMTP_URL and at what the log of the jobs says of the mail server. Mails are tried again"
        " by themselves for two weeks.",
    ),
    Kind.JOB_FAILING: Advice(
        "A job fails",
        f"Its runs have failed for {_minutes(policy.JOB_AFTER.total_seconds())} minute.",
        "The other jobs go on. What this one does is left undone and is done later.",
        "The log of the jobs has the traceback, under the job's name.",
    ),
}
UNWATCHED = Advice(
    "The jobs do not run",
    f"They have not looked for {_minutes(policy.UNWATCHED_AFTER.total_seconds())} minutes.",
    "Nothing is signed, mailed, promoted or packed, and no alert opens or ends.",
    "Start “flask --app app jobs work”. Where “python app.py” runs, its jobs hang: look at its log, and start"
    " it again.",
)
