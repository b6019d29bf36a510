"""Does for a service what systemd does: binds its sockets and keeps them, passes them with names, hears what it says of
itself, and restarts it.

    manager_driver.py NOTIFY_SOCKET HEARD NAMES WATCHDOG_USEC PROGRAM [ARGUMENT…]

NAMES is NAME:NAME…, for a UDP and a TCP socket on one port of the loopback interface, whose number is the first line of
output. HEARD takes a line for each message. Then a line is done for each of input: `start`, `wait` (for its end, with
the exit code as output), or the name of a signal. The process id is the output of `start`.
"""

import ctypes
import os
import signal
import socket
import sys
import threading

notify_path, heard_path, names, watchdog, program = sys.argv[1:6]

SO_RCVBUFFORCE = 33


def bind():
    while True:
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        udp.bind(("127.0.0.1", 0))
        tcp = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            tcp.bind(udp.getsockname())
        except OSError:
            continue
        tcp.listen(1024)
        # As `ReceiveBuffer=8M`.
        udp.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 8 << 20)
        return udp, tcp


def hear(notify):
    with open(heard_path, "a", buffering=1, encoding="utf-8") as heard:
        while True:
            heard.write(" ".join(notify.recv(65536).decode().split("\n")).strip() + "\n")


def start():
    pid = os.fork()
    if pid:
        return pid
    try:
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)
        high = [os.dup2(fd, 100 + i, False) for i, fd in enumerate(sockets)]
        for i, fd in enumerate(high):
            os.dup2(fd, 3 + i, True)
            os.close(fd)
        own = str(os.getpid())
        environment = dict(os.environ, NOTIFY_SOCKET=notify_path, WATCHDOG_USEC=watchdog, WATCHDOG_PID=own)
        environment.update(LISTEN_PID=own, LISTEN_FDS=str(len(sockets)), LISTEN_FDNAMES=names)
        os.execve(program, [program, *sys.argv[6:]], environment)
    finally:
        os._exit(127)


udp, tcp = bind()
sockets = [udp.fileno(), tcp.fileno()]
notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
notify.bind(notify_path)
threading.Thread(target=hear, args=(notify,), daemon=True).start()
print(udp.getsockname()[1], flush=True)
child = None
for line in sys.stdin:
    order = line.strip()
    if order == "start":
        child = start()
        print(child, flush=True)
    elif order == "wait":
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)
    else:
        os.kill(child, getattr(signal, order))
        print("sent", flush=True)
