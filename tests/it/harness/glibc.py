"""getaddrinfo of the C library: `glibc.py PORT NAME…` prints each name with its addresses, or the error.

A name server in /etc/resolv.conf has port 53. The C library lets a program change what it has read from there, for the
thread that does it; this is how another port comes in.
"""

import ctypes
import socket
import sys


class Server(ctypes.Structure):
    _fields_ = [
        ("family", ctypes.c_uint16),
        ("port", ctypes.c_uint16),
        ("address", ctypes.c_uint8 * 4),
        ("zero", ctypes.c_uint8 * 8),
    ]


class State(ctypes.Structure):
    """The beginning of `struct __res_state` in resolv.h."""

    _fields_ = [
        ("retrans", ctypes.c_int),
        ("retry", ctypes.c_int),
        ("options", ctypes.c_ulong),
        ("nscount", ctypes.c_int),
        ("servers", Server * 3),
    ]


library = ctypes.CDLL(None)
library.__res_init()
library.__res_state.restype = ctypes.POINTER(State)
state = library.__res_state().contents
state.nscount = 1
state.servers[0] = Server(socket.AF_INET, socket.htons(int(sys.argv[1])), (127, 0, 0, 1))
for name in sys.argv[2:]:
    try:
        found = sorted({entry[4][0] for entry in socket.getaddrinfo(name, 80)})
    except socket.gaierror as error:
        found = [{socket.EAI_NONAME: "NONAME", socket.EAI_NODATA: "NODATA", socket.EAI_AGAIN: "AGAIN"}.get(error.errno, str(error))]
    print(name, *found)
