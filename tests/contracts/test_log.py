"""Where loggers come from."""

import subprocess
import sys

THREADS = """
import sys, threading
from forwarder.contracts.log import get_logger

sys.setswitchinterval(1e-6)
start, failed = threading.Barrier(8), []

def ask():
    start.wait()
    try:
        get_logger()
    except Exception as error:
        failed.append(repr(error))

threads = [threading.Thread(target=ask) for _ in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
assert not failed, failed
assert "rich" not in sys.modules, "it could not be imported any more"
"""


def test_threads_that_ask_at_once_for_the_first_logger_all_get_one():
    subprocess.run([sys.executable, "-c", THREADS], check=True)
