"""What the board does without a visitor: threads of changes, holds, messages, reminders, records.

None of it decides, closes or locks a thread, however long nothing is said in it.
"""

from portal.config import Settings
from portal.core.db import Sessions
from portal.core.jobs import Job, paced
from portal.feedback.holds import Attention
from portal.feedback.of_changes import read_log
from portal.feedback.records import append_missing
from portal.feedback.reminders import LOOK_EVERY, remind
from portal.feedback.told import tell


def jobs(sessions: Sessions, settings: Settings) -> list[Job]:
    """The jobs of this slice; each looks first, without writing."""
    return [
        Job("threads of changes", lambda: read_log(sessions, settings.url)),
        Job("attention", Attention(sessions, settings).run),
        Job("records of decisions", lambda: append_missing(sessions, settings)),
        Job("feedback mails", lambda: tell(sessions, settings.url)),
        Job("feedback clocks", paced(lambda: remind(sessions, settings.url), every=LOOK_EVERY)),
    ]
