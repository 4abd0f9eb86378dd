"""Changes of the published limits, and the pages on which anyone reads limits and changes.

What a change means is in `plimsoll.contract`; that it is public and signed is `transparency`'s.

Written by `commands`, `holds`, `drafts`, `announcements`. Shown by `change_list`, `change_page`,
`news_page`, `notice_page`, `queries` (limits), `documents` (for programs); what their pages say is
worked out in `timeline`, `ahead`, `life`, `advice`, `table`, `diff`, `lines`, and worded in `words`.
Told by `jobs`, `mails`, `reminders`, `delivery` to `subscribers`, as far as `progress` says.
"""
