"""A filter of system calls: no new processes, no network, no touching of other processes.

It closes what Landlock leaves open: permissions and times of files, sockets of every kind,
signals, resource limits, and whatever outlives the process.  Linux on x86-64 and 64-bit ARM.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
import sys

# Numbers on x86-64 and on 64-bit ARM; 0 where the call does not exist.
_REFUSED: dict[str, tuple[int, int]] = {
    # new processes and programs (threads are let through below)
    "fork": (57, 0),
    "vfork": (58, 0),
    "execve": (59, 221),
    "execveat": (322, 281),
    # other processes
    "tkill": (200, 130),
    "rt_sigqueueinfo": (129, 138),
    "rt_tgsigqueueinfo": (297, 240),
    "pidfd_send_signal": (424, 424),
    "pidfd_open": (434, 434),
    "pidfd_getfd": (438, 438),
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "process_madvise": (440, 440),
    "kcmp": (312, 272),
    "setpriority": (141, 140),
    "sched_setaffinity": (203, 122),
    "sched_setparam": (142, 118),
    "sched_setscheduler": (144, 119),
    "sched_setattr": (314, 274),
    "ioprio_set": (251, 30),
    # the network; pairs of connected sockets stay allowed, asyncio needs them
    "socket": (41, 198),
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    # what Landlock does not cover about files
    "chmod": (90, 0),
    "fchmod": (91, 52),
    "fchmodat": (268, 53),
    "fchmodat2": (452, 452),
    "chown": (92, 0),
    "lchown": (94, 0),
    "fchown": (93, 55),
    "fchownat": (260, 54),
    "utime": (132, 0),
    "utimes": (235, 0),
    "futimesat": (261, 0),
    "utimensat": (280, 88),
    "setxattr": (188, 5),
    "lsetxattr": (189, 6),
    "fsetxattr": (190, 7),
    "removexattr": (197, 14),
    "lremovexattr": (198, 15),
    "fremovexattr": (199, 16),
    "setxattrat": (463, 463),
    "removexattrat": (466, 466),
    "file_setattr": (469, 469),
    "truncate": (76, 45),
    "open_by_handle_at": (304, 265),
    "mknod": (133, 0),
    "mknodat": (259, 33),
    # memory that no limit counts, and messages between submissions
    "memfd_create": (319, 279),
    "memfd_secret": (447, 447),
    "shmget": (29, 194),
    "semget": (64, 190),
    "msgget": (68, 186),
    "mq_open": (240, 180),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    # limits and the system itself
    "setrlimit": (160, 164),
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "unshare": (272, 97),
    "setns": (308, 268),
    "open_tree": (428, 428),
    "move_mount": (429, 429),
    "fsopen": (430, 430),
    "fsmount": (432, 432),
    "fspick": (433, 433),
    "mount_setattr": (442, 442),
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "reboot": (169, 142),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "delete_module": (176, 106),
    "kexec_load": (246, 104),
    "kexec_file_load": (320, 294),
    "swapon": (167, 224),
    "swapoff": (168, 225),
    "sethostname": (170, 161),
    "setdomainname": (171, 162),
    "settimeofday": (164, 170),
    "clock_settime": (227, 112),
    "adjtimex": (159, 171),
    "clock_adjtime": (305, 266),
    "acct": (163, 89),
    "quotactl": (179, 60),
    "iopl": (172, 0),
    "ioperm": (173, 0),
}
_CLONE, _CLONE3, _KILL, _TGKILL, _PRLIMIT = (56, 220), (435, 435), (62, 129), (234, 131), (302, 261)
_CLONE_THREAD = 0x10000
# Orders to a file by which the kernel would send signals to whom the caller names, or type for him.
_FCNTL, _IOCTL = (72, 25), (16, 29)
_SET_OWNER, _SET_SIGNAL, _SET_ANY_OWNER = 8, 10, 15
_SET_FILE_OWNER, _SET_SOCKET_OWNER, _TYPE = 0x8901, 0x8902, 0x5412
_ARCHITECTURES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}

_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _KILL_PROCESS, _ERROR = 0x7FFF0000, 0x80000000, 0x00050000
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16
_NO_NEW_PRIVILEGES, _SET_SECCOMP, _FILTER = 38, 22, 2


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("code", ctypes.c_char_p))


class _CapabilityHeader(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


def available() -> bool:
    """Return whether this system has the filter."""
    return sys.platform.startswith("linux") and platform.machine() in _ARCHITECTURES


def restrict() -> None:
    """Refuse this process the calls listed above, for good, and drop root's capabilities.

    Raises
    ------
    OSError
        If the system has no such filter or refuses.
    """
    if not available():
        raise OSError("the filter of system calls: not on this system")
    libc = ctypes.CDLL(None, use_errno=True)
    header, nothing = _CapabilityHeader(0x20080522, 0), (ctypes.c_uint32 * 6)()
    code = _code(os.getpid(), *_ARCHITECTURES[platform.machine()])
    program = _Program(len(code) // 8, code)
    refused = libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    refused = refused or libc.capset(ctypes.byref(header), nothing)
    refused = refused or libc.prctl(_SET_SECCOMP, _FILTER, ctypes.byref(program), 0, 0)
    if refused:
        raise OSError(ctypes.get_errno(), "the filter of system calls was refused")


def _code(pid: int, column: int, architecture: int) -> bytes:
    """Return the filter as a program of the kernel's packet filter."""

    def op(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
        return struct.pack("=HBBI", code, if_true, if_false, value)

    refuse, allow = op(_RETURN, _ERROR | errno.EPERM), op(_RETURN, _ALLOW)

    def only_if(number: int, *conditions: bytes) -> bytes:
        body = b"".join(conditions) + allow
        return op(_EQUAL, number, 0, len(body) // 8) + body

    def argument(index: int, test: int, value: int, half: int = 0) -> bytes:
        return op(_LOAD, _ARGUMENTS + 8 * index + 4 * half) + op(test, value, 1, 0) + refuse

    def unless(number: int, *orders: int) -> bytes:
        body = op(_LOAD, _ARGUMENTS + 8)
        body += b"".join(op(_EQUAL, order, 0, 1) + refuse for order in orders) + allow
        return op(_EQUAL, number, 0, len(body) // 8) + body

    parts = [
        op(_LOAD, _ARCHITECTURE),
        op(_EQUAL, architecture, 1, 0),
        op(_RETURN, _KILL_PROCESS),
        op(_LOAD, _NUMBER),
        op(_AT_LEAST, 0x40000000, 0, 1),  # calls of the x32 kind have numbers of their own
        refuse,
        op(_EQUAL, _CLONE3[column], 0, 1),
        op(_RETURN, _ERROR | errno.ENOSYS),  # the C library then falls back to clone
    ]
    for numbers in _REFUSED.values():
        if numbers[column]:
            parts += [op(_EQUAL, numbers[column], 0, 1), refuse]
    parts += [
        only_if(_CLONE[column], argument(0, _ANY_BIT, _CLONE_THREAD)),
        only_if(_KILL[column], argument(0, _EQUAL, pid)),
        only_if(_TGKILL[column], argument(0, _EQUAL, pid)),
        unless(_FCNTL[column], _SET_OWNER, _SET_SIGNAL, _SET_ANY_OWNER),
        unless(_IOCTL[column], _SET_FILE_OWNER, _SET_SOCKET_OWNER, _TYPE),
        # Reading the limits is harmless, setting them is not.
        only_if(
            _PRLIMIT[column],
            argument(2, _EQUAL, 0),
            argument(2, _EQUAL, 0, half=1),
        ),
        allow,
    ]
    return b"".join(parts)
