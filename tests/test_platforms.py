"""macOS and Windows lack calls of Linux: everything runs without them, in workers too.

The names are taken away before anything else is imported, in the process and in its children.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
REMOVED = {
    "macOS": """
import os, sys
for name in ("sched_getaffinity", "sched_setaffinity"):
    vars(os).pop(name, None)
""",
    "Windows": """
import os, signal, sys
import psutil  # on Windows it does without what is taken away here
for module in ("fcntl", "resource", "pwd", "grp", "termios"):
    sys.modules[module] = None
for name in ("sched_getaffinity", "sched_setaffinity", "fork", "forkpty", "register_at_fork",
        "nice", "killpg", "setsid", "setpgid", "getpgid", "geteuid", "getuid", "getloadavg",
        "mkfifo"):
    vars(os).pop(name, None)
for name in ("SIGUSR1", "SIGUSR2", "SIGHUP", "SIGALRM", "SIGCHLD", "SIGQUIT", "pthread_sigmask",
        "pthread_kill", "setitimer", "alarm", "sigwait", "siginterrupt"):
    vars(signal).pop(name, None)
""",
}
PROGRAM = """
import os, signal, sys
from threading import Thread

import executor_units
import worker_units
import numpy as np
from aniso import memory, threads

from aniso.runs import executors, interruptions, run_directory

folder = sys.argv[1]

def main():
    assert not hasattr(os, "sched_getaffinity")
    count = os.cpu_count()
    assert threads.available_cores() == threads.Workers().num_threads == count
    assert memory.available_bytes() > 0
    # units, one of which fails alone
    found = executors.run_units(worker_units.fail, [0, 1, 2], "processes")
    assert [outcome.value for outcome in found] == [0, None, 2]
    # one holder of a run directory at a time
    run_directory._SECONDS_TO_WAIT = 0.2
    with run_directory.RunDirectory(folder + "/run", {}, seed=1) as run:
        run.save_checkpoint(1, {"x": np.ones(2)}, {})
        try:
            run_directory.RunDirectory(folder + "/run", {}, seed=1).__enter__()
        except ValueError as error:
            assert "another process" in str(error)
        else:
            raise AssertionError("two held one directory")
    # units that run write a checkpoint when the program is interrupted
    units = [(folder + "/4", 4, None)]
    def interrupt():
        executor_units.wait_for(lambda: os.path.exists(folder + "/4.begun"))
        os.kill(os.getpid(), signal.SIGINT)
    Thread(target=interrupt).start()
    try:
        executors.run_units(executor_units.descend_until_stopped, units, "processes:1")
    except KeyboardInterrupt:
        pass
    assert [name for name in os.listdir(folder + "/4") if name.startswith("checkpoint")]
    print("done")

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with __import__("warnings").catch_warnings():
        __import__("warnings").simplefilter("ignore")
        main()
"""


@pytest.mark.needs_jit
@pytest.mark.skipif(sys.platform == "win32", reason="there the names are missing anyway")
@pytest.mark.parametrize("system", REMOVED)
def test_what_a_system_lacks_is_not_missed(tmp_path, system):
    # run by the interpreter at its start, in every process that inherits the path
    (tmp_path / "sitecustomize.py").write_text(REMOVED[system])
    (tmp_path / "program.py").write_text(PROGRAM)
    done = subprocess.run(
        [sys.executable, tmp_path / "program.py", str(tmp_path)],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": f"{tmp_path}:{TESTS}:{TESTS.parent}"},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["done"]
