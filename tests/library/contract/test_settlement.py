"""Whatever comes back, no interval admits more than the published limit allows."""

from dataclasses import dataclass, field

from hypothesis import example, given, settings
from hypothesis import strategies as st

from plimsoll.contract.limits import month_bounds
from plimsoll.contract.windows import EMPTY, Bucket, Concurrency, Hold, Window, window_bounds

NOW = 1_795_400_000_000

STEPS_MS = st.one_of(st.integers(0, 200), st.integers(-3_000, 40_000))


@dataclass
class Gate:
    """One limit under a random run; `taken` keeps what each admission finally took, and when."""

    gauge: Bucket | Window
    now: int = NOW
    state: tuple[int, int] = EMPTY
    open: list[tuple[int, Hold]] = field(default_factory=list)
    taken: list[list[int]] = field(default_factory=list)

    def admit(self, amount):
        if self.gauge.wait_ms(self.state, amount, self.now) != 0:
            return
        self.state = self.gauge.charge(self.state, amount, self.now)
        # A clock that stepped back is read as standing still, by the gate and by this record:
        # at a bucket's mark, or at the last instant of the window that is still open.
        seen = self.state[1] - isinstance(self.gauge, Window)
        self.open.append((len(self.taken), Hold(amount, self.state[1], self.gauge.quota)))
        self.taken.append([seen, amount])

    def settle(self, which, percent):
        if not self.open:
            return
        index, hold = self.open.pop(which % len(self.open))
        actual = hold.amount * percent // 100
        before = self.state
        self.state = self.gauge.settle(self.state, hold, actual=actual, now_ms=self.now)
        if isinstance(self.gauge, Bucket) or self.state != before:
            self.taken[index][1] = actual

    def run(self, acts):
        for step, act, first, second in acts:
            self.now += step
            if act == "admit":
                self.admit(first)
            else:
                self.settle(first, second)


ACTS = st.lists(
    st.tuples(
        STEPS_MS, st.sampled_from(["admit", "settle"]), st.integers(1, 60), st.integers(0, 100)
    ),
    max_size=40,
)


def exceeds(taken, *, quota, burst, period_ms):
    """The first interval in which more was taken than burst + quota * length / period, if any."""
    for first, (start, _) in enumerate(taken):
        total = 0
        for end, amount in taken[first:]:
            total += amount
            if total * period_ms > burst * period_ms + quota * (end - start):
                return start, end, total
    return None


@settings(max_examples=300)
@given(st.integers(1, 120), st.integers(1, 60), ACTS)
# A refund after the refill has already given the same amount back would admit it twice.
@example(60, 10, [(0, "admit", 10, 0), (10_000, "settle", 0, 0), (0, "admit", 10, 0)])
def test_no_interval_admits_more_than_a_bucket_allows(quota, burst, acts):
    gate = Gate(Bucket(quota=quota, burst=burst, period_seconds=60))

    gate.run(acts)

    assert exceeds(gate.taken, quota=quota, burst=burst, period_ms=60_000) is None


@given(st.integers(1, 120), st.integers(1, 120), ACTS, ACTS)
def test_a_quota_changed_meanwhile_keeps_the_bound_of_the_higher_one(before, after, acts, more):
    gate = Gate(Bucket(quota=before, burst=30, period_seconds=60))

    gate.run(acts)
    gate.gauge = Bucket(quota=after, burst=30, period_seconds=60)
    gate.run(more)

    assert exceeds(gate.taken, quota=max(before, after), burst=30, period_ms=60_000) is None


@given(st.integers(1, 60), st.sampled_from([1, 60, "month"]), ACTS)
def test_no_window_admits_more_than_its_quota(quota, period, acts):
    gate = Gate(Window(quota=quota, period=period))

    gate.run(acts)

    per_window = {}
    for at, amount in gate.taken:
        window = window_bounds(period, at // 1000)
        per_window[window] = per_window.get(window, 0) + amount
    assert all(total <= quota for total in per_window.values())


def test_a_bucket_gives_all_back_at_once():
    bucket = Bucket(quota=60, burst=100, period_seconds=60)
    state = bucket.charge(EMPTY, 100, NOW)

    state = bucket.settle(state, Hold(100, NOW, 60), actual=30, now_ms=NOW)

    assert bucket.remaining(state, NOW) == 70


def test_a_bucket_gives_back_less_what_has_refilled_since():
    bucket = Bucket(quota=60, burst=100, period_seconds=60)
    state = bucket.charge(EMPTY, 100, NOW)

    # After 80 s 80 have leaked; min(70 unused, 100 - 80) = 20 come back.
    later = NOW + 80_000
    state = bucket.settle(state, Hold(100, NOW, 60), actual=30, now_ms=later)

    assert bucket.used(state, later) == 0
    assert bucket.settle((0, 0), Hold(100, NOW, 60), actual=0, now_ms=later) == (0, later)


def test_the_refill_since_admission_counts_at_the_higher_of_two_quotas():
    before = Bucket(quota=60, burst=100, period_seconds=60)
    after = Bucket(quota=6, burst=100, period_seconds=60)
    later = NOW + 50_000
    state = before.charge(before.charge(EMPTY, 100, NOW), 50, later)

    # 50 of the first hold leaked at the old rate; only the other 50 can come back.
    state = after.settle(state, Hold(100, NOW, 60), actual=0, now_ms=later)

    assert after.used(state, later) == 50


def test_the_refill_since_admission_counts_though_the_clock_stepped_back():
    bucket = Bucket(quota=60, burst=100, period_seconds=60)
    later = NOW + 50_000
    state = bucket.charge(bucket.charge(EMPTY, 100, NOW), 50, later)

    state = bucket.settle(state, Hold(100, NOW, 60), actual=0, now_ms=NOW - 5)

    assert bucket.used(state, later) == 50


def test_after_its_whole_refill_a_hold_gives_nothing_back():
    bucket = Bucket(quota=60, burst=100, period_seconds=60)
    state = bucket.charge(EMPTY, 10, NOW)
    later = NOW + 10_000
    state = bucket.charge(state, 100, later)

    assert bucket.settle(state, Hold(10, NOW, 60), actual=0, now_ms=later) == state


@given(st.integers(0, 100), st.integers(1, 100), st.integers(0, 60_000))
def test_more_than_was_held_is_charged_in_full(held, more, step):
    bucket = Bucket(quota=1, burst=100, period_seconds=3600)
    window = Window(quota=100, period=3600)

    for gauge in (bucket, window):
        state = gauge.charge(EMPTY, held, NOW)
        hold = Hold(held, state[1], gauge.quota)
        now = NOW + step
        settled = gauge.settle(state, hold, actual=held + more, now_ms=now)
        assert settled == gauge.charge(state, more, now)


def test_a_window_gives_back_while_it_is_open_and_nothing_afterwards():
    window = Window(quota=100, period=60)
    state = window.charge(EMPTY, 80, NOW)
    hold = Hold(80, state[1], 100)

    settled = window.settle(state, hold, actual=30, now_ms=state[1] - 1)
    late = window.settle(state, hold, actual=30, now_ms=state[1])

    assert window.used(settled, state[1] - 1) == 30
    assert late == state


def test_a_hold_of_an_earlier_window_gives_nothing_to_the_next():
    window = Window(quota=100, period="month")
    state = window.charge(EMPTY, 80, NOW)
    hold = Hold(80, state[1], 100)
    next_month = month_bounds(NOW // 1000)[1] * 1000
    state = window.charge(state, 50, next_month)

    state = window.settle(state, hold, actual=0, now_ms=next_month + 5)

    assert window.used(state, next_month + 5) == 50


def test_a_finished_request_is_no_longer_in_flight_whatever_it_took():
    gauge = Concurrency(quota=1)
    state = gauge.charge(EMPTY, 1, NOW)

    state = gauge.settle(state, Hold(1, 0, 1), actual=1, now_ms=NOW)

    assert gauge.remaining(state, NOW) == 1
    assert gauge.settle(state, Hold(1, 0, 1), actual=0, now_ms=NOW) == EMPTY
