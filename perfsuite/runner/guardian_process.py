"""The guardian's process: it kills what measuring workers have started, once their run is gone.

A worker is killed with the run by the kernel, but not what it has started; and whatever was stopped
while others took their turn would stay so for ever. `python -I -S guardian_process.py RUN` is told
on its standard input, in lines, of process groups (`group NUMBER START`), of single processes
(`process NUMBER START`), and of what has been ended (`forget NUMBER`). START is when it began, by
proc(5), so that no later process of the same number is taken for it.

It lives beside measurements, so it sleeps until it is told something, and imports next to nothing.
"""

import contextlib
import os
import select
import signal
import sys

ROUNDS = 50  # of looking for what is left, once a run is gone

Told = dict[int, tuple[str, int]]  # number to kind and start


def main(run: int) -> None:
    """Listen until the pipe ends or the process `run` does, then kill all that is left."""
    told: Told = {}
    rest = b""
    poll = select.poll()
    poll.register(0, select.POLLIN)
    with contextlib.suppress(OSError):  # it has ended, which the pipe will tell, too
        poll.register(os.pidfd_open(run), select.POLLIN)  # others may have inherited the pipe
    while 0 in dict(poll.poll()):
        heard = os.read(0, 65536)
        if not heard:
            break
        *lines, rest = (rest + heard).split(b"\n")
        for line in lines:
            note(told, line.decode().split())
    for _ in range(ROUNDS):  # what was running may have started another meanwhile
        if not end(told):
            return
        select.select([], [], [], 0.02)


def note(told: Told, words: list[str]) -> None:
    """Take down what a line says."""
    if words[0] == "forget":
        told.pop(int(words[1]), None)
    else:
        told[int(words[1])] = words[0], int(words[2])


def end(told: Told) -> bool:
    """Kill all that is told of; return whether there was any."""
    found = False
    groups = {number: start for number, (kind, start) in told.items() if kind == "group"}
    for name in os.listdir("/proc") if told else []:  # noqa: PTH208 - it would import pathlib
        if not name.isdigit():
            continue
        try:
            descriptor = os.pidfd_open(int(name))
        except OSError:
            continue  # it has ended, or is a thread
        with contextlib.suppress(OSError):  # it has ended meanwhile, or is another user's
            state, group, session, start = look(int(name))
            is_told = told.get(int(name)) == ("process", start)
            # A group outlives the worker that it is named after; its members began later.
            began = min(groups.get(group, start + 1), groups.get(session, start + 1))
            if state not in "ZX" and (is_told or start >= began):
                signal.pidfd_send_signal(descriptor, signal.SIGKILL)
                found = True
        os.close(descriptor)
    return found


def look(number: int) -> tuple[str, int, int, int]:
    """Return state, group, session and start of a process, by proc(5)."""
    with open(f"/proc/{number}/stat", "rb") as file:  # noqa: PTH123 - it would import pathlib
        fields = file.read().rpartition(b")")[2].split()
    return fields[0].decode(), int(fields[2]), int(fields[3]), int(fields[19])


if __name__ == "__main__":
    main(int(sys.argv[1]))
