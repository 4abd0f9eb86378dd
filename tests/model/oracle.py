"""What a gateway may hold and must answer, whatever happened on the way (SYNC.md section 5).

Judged from outside: from what the portal ever was, and from the lines that the gateway really took.
"""

import orjson

from plimsoll.contract.fold import fold
from plimsoll.contract.records import Cursor, KeyRecord, Put
from plimsoll.decision import Code
from plimsoll.errors import ProtocolError
from plimsoll.reading import is_revoked
from plimsoll.store import Store
from plimsoll.tables import REVOKED_KEPT_SECONDS, Head
from plimsoll.testing import FakeKey
from plimsoll.wire import Commit, Hello, parse_line
from tests.model.gateway import ModelGateway
from tests.model.portal import ModelPortal, State, readable_org

CODES = {"active": Code.ALLOWED, "paused": Code.KEY_PAUSED, "revoked": Code.KEY_REVOKED}
_MARGIN = 60


class Oracle:
    """What is known of one gateway from outside."""

    def __init__(self, portal: ModelPortal) -> None:
        self.portal = portal
        # A bit was flipped in what no digest covers: epoch or revision.
        self.is_lenient = False
        self.forget()

    def forget(self) -> None:
        """The gateway's disk is gone, and with it all that it knew."""
        # When a key was first seen revoked, for those that must be refused, and all that may be.
        self.revoked: dict[str, float] = {}
        self.perhaps_revoked: set[str] = set()
        self._let_go: set[str] = set()
        self.log: list[bytes] = []
        self.org: bytes | None = None
        self.head: Head | None = None
        self._file = ""
        self._batch: list[Put] = []
        self._due: list[str] = []
        self._is_greeted = False
        self.sync()

    # ---- what the gateway took ----

    def take_line(self, line: bytes, *, is_stream: bool) -> None:
        """A line: revocations count from the end of their batch on, whatever is wrong with it."""
        try:
            message = parse_line(line)
        except ProtocolError:
            message = None
        if not self._is_greeted:
            self._is_greeted = isinstance(message, Hello)
        elif isinstance(message, Put):
            self._batch.append(message)
            # Of a snapshot they may count before its end, if it breaks off.
            self.perhaps_revoked |= {message.id} if is_revoked(message) else set()
        elif isinstance(message, Commit) or (message is None and is_stream):
            self._due += [put.id for put in self._batch if is_revoked(put)]
            self._batch = []
        elif message is None:
            self.begin_stream()

    def begin_stream(self) -> None:
        """A new connection: what was left of a batch on the one before says nothing."""
        self._batch, self._is_greeted = [], False

    def visit(self, head: Head | None, *, file: str, now: float) -> None:
        """The gateway is at rest, at this state; it goes back by a snapshot only, in a new file."""
        self.perhaps_revoked |= set(self._due)
        for key_id in self._due:
            self._see_revoked(key_id, now)
        self._due = []
        if head is None:
            return
        if self.head is not None and (head.epoch, file) == (self.head.epoch, self._file):
            assert head.revision >= self.head.revision, f"back from {self.head} to {head}"
        self.head, self._file = head, file
        for (kind, name), data in self.state(head).items():
            if is_revoked(Put(kind, name, 0, data)):
                self.perhaps_revoked.add(name)
                self._see_revoked(name, now)
            if kind == "org" and readable_org(data) is not None:
                self.org = data
        old = [name for name, at in self.revoked.items() if self._is_old(at, now)]
        for name in old:
            del self.revoked[name]
            self._let_go.add(name)

    def killed(self) -> None:
        """What was taken but not yet at rest may be known or not."""
        self.perhaps_revoked |= set(self._due) | {put.id for put in self._batch if is_revoked(put)}
        self._due, self._batch = [], []

    def sync(self) -> None:
        """What is known now is known after a power failure too."""
        self._synced = (dict(self.revoked), self.log)

    def power_failed(self, store: Store) -> None:
        """The gateway is what it was at its last sync: what it learned since it does not know."""
        self.revoked, self.log = dict(self._synced[0]), self._synced[1]
        self.head = None
        # The last readable record of the organisation went with the rest.
        row = store.find("org", self.portal.org)
        self.org = None if row is None else row.good or row.data

    def _see_revoked(self, key_id: str, now: float) -> None:
        # Ninety days from the first sight; what was let go after that is promised nothing more.
        if key_id not in self._let_go:
            self.revoked.setdefault(key_id, now)

    def _is_old(self, at: float, now: float) -> bool:
        return now > at + REVOKED_KEPT_SECONDS - _MARGIN

    # ---- invariants ----

    def state(self, head: Head) -> State:
        """Prefix: a head is one that the portal had, once."""
        found = self.portal.states.get(head.digest)
        assert found is not None, f"the portal never was at {head}"
        places, state = found
        # Nothing guards the number of a revision but the next question: the portal knows no such cursor.
        assert self.is_lenient or (head.epoch, head.revision) in places
        return state

    def check(self, gateway: ModelGateway) -> None:
        """All that holds at any instant at which the gateway is at rest."""
        self.check_state(gateway)
        self.check_log(gateway)
        for key in self.portal.ever:
            self.check_key(gateway, key)

    def check_state(self, gateway: ModelGateway) -> None:
        """Atomic and durable: the store holds the state of its cursor, no more and no less."""
        head = gateway.head
        assert gateway.store.head == head
        if head is not None:
            assert gateway.store.rows() == self.state(head)
            assert head.records == len(self.state(head))

    def check_log(self, gateway: ModelGateway) -> None:
        """Authentic: only what was signed is in force, and nothing of it ever goes again."""
        leaves = gateway.store.log_leaves()
        assert leaves[: len(self.log)] == self.log, "the log was rewritten"
        assert gateway.replica.logbook._leaves == leaves
        assert not leaves or any(tuple(leaves) == signed for signed in self.portal.signed), (
            "a log that nobody signed"
        )
        self.log = leaves

    def check_key(self, gateway: ModelGateway, key: FakeKey) -> None:
        """Revocation is final, no active key is refused, and the limits are those of the log."""
        decision = gateway.enforcer.limits(key.secret)
        right = self.right_codes(key, gateway.head)
        assert decision.code in right, f"{key.id} is {decision.code}, not one of {right}"
        if decision.code is Code.ALLOWED:
            entries = [orjson.loads(leaf) for leaf in self.log]
            policy = fold(entries, int(gateway.replica.time.now()))
            published = [each.limit.quota for each in policy.limits_for("build", "m")]
            assert [reading.quota for reading in decision.limits] == published

    def right_codes(self, key: FakeKey, head: Head | None) -> set[Code]:
        """What may be answered now."""
        if head is None:
            return {Code.NOT_READY}
        data = self.state(head).get(("key", key.id))
        if data is None:
            return {Code.KEY_UNKNOWN}
        if key.id in self.revoked:
            return {Code.KEY_REVOKED}
        try:
            right = CODES[KeyRecord.parse(data).state]
        except ValueError:
            return {Code.KEY_REVOKED}
        if right is Code.ALLOWED:
            right = self._code_of_org()
        return {right, Code.KEY_REVOKED} if key.id in self.perhaps_revoked else {right}

    def _code_of_org(self) -> Code:
        org = None if self.org is None else readable_org(self.org)
        if org is None:
            return Code.NOT_READY
        if org.state == "suspended":
            return Code.ORG_SUSPENDED
        return Code.ALLOWED if self.log else Code.NOT_READY

    def check_published(self, gateway: ModelGateway) -> None:
        """What the portal has signed last is in force, unless it is another history."""
        published = list(self.portal.published)
        if published and published[: len(self.log)] == self.log:
            assert self.log == published
            assert gateway.replica.log_problem is None

    def check_report(self, gateway: ModelGateway, body: bytes) -> None:
        """Status truth: what is acknowledged is in the store, and is what the portal had."""
        cursor = Cursor.parse(orjson.loads(body)["cursor"])
        rows = dict(gateway.store._read.execute("SELECT name, value FROM meta").fetchall())
        stored = Cursor.at(rows["epoch"], rows["revision"], rows["digest"])
        assert cursor == stored, "acknowledged before it was durable"
