"""How long something takes, also where other programs keep the machine busy."""

import os
import time


class Stopwatch:
    """Measures a `with` block: `seconds` on the wall, `work` in seconds of processor time, workers included."""

    def __enter__(self) -> "Stopwatch":
        self.seconds, self.work = -time.perf_counter(), -self._work()
        return self

    def __exit__(self, *_) -> None:
        self.seconds += time.perf_counter()
        self.work += self._work()

    @staticmethod
    def _work() -> float:
        return sum(os.times()[:4])
