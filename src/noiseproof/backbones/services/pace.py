"""When the next request may start, for all threads together."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable

_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.25, 30.0


class Pace:
    """Waiting of the threads that ask one service.

    Args:
        requests_per_minute: requests start at least a minute divided by this apart; `None` for no limit.
        clock: seconds, ever rising.
        sleep: waits for seconds; true if `stop` ended the wait. By default an interruptible wait.
    """

    def __init__(
        self,
        requests_per_minute: int | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], bool] | None = None,
    ) -> None:
        self._gap_s = 60 / requests_per_minute if requests_per_minute else 0.0
        self._clock = clock
        self._stopped = threading.Event()
        self._sleep = sleep or self._stopped.wait
        self._lock = threading.Lock()
        self._next_s = clock()

    @property
    def is_stopped(self) -> bool:
        """Whether threads should give up."""
        return self._stopped.is_set()

    def start(self) -> None:
        """Allow requests, again after `stop`."""
        self._stopped.clear()

    def stop(self) -> None:
        """End every wait."""
        self._stopped.set()

    def wait_for_turn(self) -> None:
        """Wait until a request may start."""
        while not self.is_stopped:
            with self._lock:
                now_s = self._clock()
                if now_s >= self._next_s:
                    self._next_s = now_s + self._gap_s
                    return
                rest_s = self._next_s - now_s
            self._sleep(rest_s)

    def hold_all(self, seconds: float) -> None:
        """Let no request of any thread start for so long: the service named this time."""
        with self._lock:
            self._next_s = max(self._next_s, self._clock() + seconds * random.uniform(1.0, 1.1))

    def back_off(self, num_failures: int) -> None:
        """Wait after a failure: a quarter of a second, doubled each time, at most 30 s.

        Of that a random half to all is waited, so that threads that failed together come back apart.
        """
        longest_s = min(_LONGEST_WAIT_S, _FIRST_WAIT_S * 2 ** (num_failures - 1))
        self._sleep(longest_s * random.uniform(0.5, 1.0))
