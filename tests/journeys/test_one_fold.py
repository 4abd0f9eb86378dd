"""One log, one answer: portal, gateway, `/limits.json` and `plimsoll verify` over random histories."""

import pytest

from plimsoll.contract import canonical
from plimsoll.contract.fold import fold
from plimsoll.contract.history import read
from plimsoll.logbook import Logbook
from plimsoll.verify_table import differences
from portal.changelog.table import make_document
from portal.transparency.queries import Timeline
from tests.library.contract.histories import Log, histories

HISTORIES = 25


def random_log(seed: int) -> Log:
    (log,), _ = histories(seed, 1)
    return log


def instants(log: Log) -> list[int]:
    """Each at which something changes, and the second before."""
    edges = [*read(log).instants(), *(entry["at"] for entry in log)]
    return sorted({at - back for at in edges for back in (0, 1)})


@pytest.mark.parametrize("seed", range(HISTORIES))
def test_the_fold_is_the_same_at_portal_gateway_document_and_verify(seed):
    log = random_log(seed)
    leaves = [canonical.encode(entry) for entry in log]
    history, page = read(log), Timeline(read(log))
    # As a gateway comes to it: most of it stored, the rest judged.
    gateway = Logbook(leaves, judged=len(leaves) // 2)
    assert gateway.problem is None

    for at in instants(log):
        limits = fold(log, at).limits
        assert page.policy(at).limits == limits
        assert gateway.policy(at).limits == limits
        assert differences(make_document(page, at), history, at) == []


def test_a_document_that_says_otherwise_is_noticed():
    log = random_log(0)
    at = instants(log)[-1]
    said = make_document(Timeline(read(log)), at)
    document = canonical.decode(said)
    document["limits"][0]["quota"] += 1

    assert differences(canonical.encode(document), read(log), at) != []
