from portal.core.errors import Conflict, Forbidden, Gone, Invalid


class MayNotWrite(Forbidden):
    """The text says what is missing: a confirmed address, an organisation, a role in it."""

    code = "may_not_write"


class NotYourPost(Forbidden):
    code = "not_your_post"
    public = "Only whoever wrote a post may edit it."


class NotYourThread(Forbidden):
    code = "not_your_thread"
    public = "Only whoever opened a thread may close it."


class ThreadHidden(Gone):
    code = "thread_hidden"
    public = "This thread was hidden by our staff."


class ThreadLocked(Conflict):
    code = "thread_locked"
    public = "This thread is locked: nothing can be added to it."


class ThreadClosed(Conflict):
    code = "thread_closed"
    public = "This thread was closed by whoever opened it. Open a new one to go on."


class ThreadDecided(Conflict):
    code = "thread_decided"
    public = "This thread is decided, which is its end. There is nothing left to close."


class PostHidden(Conflict):
    code = "post_hidden"
    public = "This post was hidden by our staff: it can be neither answered nor edited."


class OfficialPost(Conflict):
    code = "official_post"
    public = "Posts of the portal and official answers stay: they are edited, not hidden."


class NotHidden(Conflict):
    code = "not_hidden"
    public = "This post is not hidden."


class NotSpam(Conflict):
    """A thread that no moderator may lock: the portal's own, or one with a decision."""

    code = "not_spam"
    public = "This thread is part of the record. Only spam is locked; decide this one instead."


class AlreadyVoted(Conflict):
    code = "already_voted"
    public = "Your vote counts already."


class NotVoted(Conflict):
    code = "not_voted"
    public = "You have no vote here that could be withdrawn."


class AlreadyReported(Conflict):
    code = "already_reported"
    public = "You have reported this post; our staff will look at it."


class OwnPost(Conflict):
    code = "own_post"
    public = "This post is yours: edit it instead."


class ChangedMeanwhile(Conflict):
    code = "changed_meanwhile"
    public = (
        "This post was edited while you wrote. Your text is below; look at both, then send again."
    )


class BadText(Invalid):
    """Text that cannot be shown as it is meant; the message says why."""

    code = "bad_text"


class ThreadMoved(Conflict):
    code = "thread_moved"
    public = "This thread moved on while you were looking at it. Nothing was changed now."
