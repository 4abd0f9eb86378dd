"""What can go wrong in the library. A refused request is never an exception: it is a `Decision`.

```
PlimsollError
├── StoreInUse          another process has the state folder open
├── StoreFromTheFuture  the folder was written by a newer version
├── StoreUnusable       the folder's files cannot be opened, as on a full disk
├── ProtocolError       the portal sent what the sync API does not allow
│   └── DigestMismatch  a batch whose digest or count does not fit its commit
└── LogProblem          the log cannot be accepted as it came; `code` says why
```
"""


class PlimsollError(Exception):
    """The root of all errors raised by this library."""


class StoreInUse(PlimsollError):
    """Another process has this state folder open; each process needs a folder of its own."""


class StoreFromTheFuture(PlimsollError):
    """The state folder was written by a newer version of this library."""


class StoreUnusable(PlimsollError):
    """The state folder's files cannot be opened or begun, as on a full disk; they are left as they are."""


class ProtocolError(PlimsollError):
    """The portal sent something that the sync API (version 1) does not allow."""


class DigestMismatch(ProtocolError):
    """The records of a batch do not add up to the digest and count of its commit."""


class LogProblem(PlimsollError):
    """The log cannot be accepted as it came; what was verified before stays in force.

    `code` is one of log_forked, log_behind, log_unsigned, log_incomplete, entry_refused,
    entry_not_understood; `seq` names the entry where it is about one.
    """

    def __init__(self, code: str, text: str, *, seq: int | None = None) -> None:
        super().__init__(text)
        self.code = code
        self.text = text
        self.seq = seq
