from portal.core.errors import Conflict, Invalid


class BadCatalog(Invalid):
    """`field` is the path of the offending field, such as `rows[3].quota`."""

    code = "bad_catalog"


class AlreadyPublished(Conflict):
    code = "already_published"
    public = "Change 1 is published already. A catalogue can only be the beginning."
