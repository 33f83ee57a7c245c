"""Python reads this at the start of every process of a service under test, those that it starts itself included."""

import os
import select
import time

if "FAKETIME_TIMESTAMP_FILE" in os.environ:

    def sleep(seconds: float) -> None:
        """libfaketime breaks clock_nanosleep, by which Python sleeps (EINVAL): wait in select instead."""
        if seconds < 0:
            raise ValueError("sleep length must be non-negative")
        select.select([], [], [], seconds)

    time.sleep = sleep

if os.environ.get("FAULTS_BUG"):
    from tests.faults.bugs import BUGS, install

    install(BUGS[os.environ["FAULTS_BUG"]])
