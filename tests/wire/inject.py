"""System calls made from inside a process that runs: as root, by ptrace(2), at the place where
it waits. So the very programs that are installed are asked, not others made for the test."""
import ctypes
import errno
import os
import platform
import signal
import struct

import lib

CALLS = {'read': 0, 'open': 2, 'close': 3, 'socket': 41, 'clone': 56, 'execve': 59, 'kill': 62,
         'ptrace': 101, 'setuid': 105, 'mount': 165, 'openat': 257, 'process_vm_readv': 310,
         'io_uring_setup': 425}
REGS = struct.Struct('<27Q')
RAX, RIP, RSP, ORIG = 10, 16, 19, 15
ARGS = (14, 13, 12, 7, 9, 8)		# rdi rsi rdx r10 r8 r9
ATTACH, DETACH, STEP, GETREGS, SETREGS = 16, 17, 9, 12, 13

_libc = ctypes.CDLL(None, use_errno=True)
_libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
_libc.ptrace.restype = ctypes.c_long


def _ptrace(what, pid, addr=0, data=None):
    if _libc.ptrace(what, pid, addr, data) == -1:
        e = ctypes.get_errno()
        raise lib.Failed('ptrace %d of %d: %s' % (what, pid, os.strerror(e)))


class Inside:
    """`with Inside(pid) as p: p.call('socket', 2, 1, 0)`: 0 or more, an errno's name, or
    'ends': the filter would end the process. It goes on afterwards as if nothing had been."""

    def __init__(self, pid):
        lib.check(platform.machine() == 'x86_64', 'this test knows the registers of x86-64 only')
        self.pid = pid

    def __enter__(self):
        _ptrace(ATTACH, self.pid)
        self._wait()
        self.saved = self._regs()
        code = os.pread(self._memory(), 2, self.saved[RIP] - 2)
        os.close(self.fd)
        lib.same(code, b'\x0f\x05', 'the instruction at which it waits')
        return self

    def __exit__(self, *_):
        self._set(self.saved)
        _ptrace(DETACH, self.pid)

    def _memory(self):
        self.fd = os.open('/proc/%d/mem' % self.pid, os.O_RDWR)
        return self.fd

    def _wait(self):
        _, status = os.waitpid(self.pid, 0x40000000)	# __WALL
        lib.check(os.WIFSTOPPED(status), 'process %d has ended (%#x)', self.pid, status)
        return os.WSTOPSIG(status)

    def _regs(self):
        room = ctypes.create_string_buffer(REGS.size)
        _ptrace(GETREGS, self.pid, 0, ctypes.addressof(room))
        return list(REGS.unpack(room.raw))

    def _set(self, regs):
        room = ctypes.create_string_buffer(REGS.pack(*regs), REGS.size)
        _ptrace(SETREGS, self.pid, 0, ctypes.addressof(room))

    def _place(self, data, at):
        os.pwrite(self._memory(), data, at)
        os.close(self.fd)

    def _step(self):
        _ptrace(STEP, self.pid)
        return self._wait()

    def call(self, name, *args):
        regs = list(self.saved)
        at = self.saved[RSP] - 8192		# below what the stack's owner may use
        values = []
        for a in args:
            if isinstance(a, bytes):
                at -= (len(a) + 16) & ~15
                self._place(a + b'\0', at)
                a = at
            values.append(a)
        regs[RAX], regs[ORIG], regs[RIP] = CALLS[name], 2 ** 64 - 1, self.saved[RIP] - 2
        for i in range(6):
            regs[ARGS[i]] = (values[i] if i < len(values) else 0) & (2 ** 64 - 1)
        self._set(regs)
        if self._step() == signal.SIGSYS:
            self._set(regs)
            lib.same(self._step(), signal.SIGTRAP, 'what still waits of that step')
            return 'ends'
        got = self._regs()[RAX]
        if got < 2 ** 64 - 4096:
            return got
        return errno.errorcode.get(2 ** 64 - got, str(2 ** 64 - got))

    def die_of(self, name, *args):
        """The same, but what the filter says comes true."""
        regs = list(self.saved)
        regs[RAX], regs[ORIG], regs[RIP] = CALLS[name], 2 ** 64 - 1, self.saved[RIP] - 2
        for register, value in zip(ARGS, args):
            regs[register] = value
        self._set(regs)
        _ptrace(DETACH, self.pid)
