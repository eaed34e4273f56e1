#!/usr/bin/env python3
# limit: 300
"""What each process of the server can still do: the table in protocol/README.md, row by row,
tried from inside the processes; the users of the sessions share one uid."""
import ctypes
import errno
import imaplib
import os
import re
import struct

import inject
import lib

AT_FDCWD, CREATE = -100, os.O_WRONLY | os.O_CREAT
EFAULT, EINVAL = 'EFAULT', 'EINVAL'

EXTRA = '''
protocols = pop3 imap
service imap-login {
  inet_listener imap {
    port = %d
  }
}
'''


# ---- what is tried ---------------------------------------------------------------------------
# name of a row: (call and arguments, what else than success shows that it was allowed)

def tries(server, other):
    own, theirs = (os.path.join(server.mount, user, 'INBOX/.mailbox').encode()
                   for user in ('ann', 'bob'))
    octet = struct.pack('<QQ', 1, 1)	# one, at an address where nothing is
    return {
        'read `/etc/passwd`': (('openat', AT_FDCWD, b'/etc/passwd', 0), ()),
        "read ann's mail": (('openat', AT_FDCWD, own, 0), ()),
        "read bob's mail": (('openat', AT_FDCWD, theirs, 0), ()),
        "read `/proc` of bob's session":
            (('openat', AT_FDCWD, b'/proc/%d/status' % other, 0), ()),
        'make a file in `/tmp`':
            (('openat', AT_FDCWD, os.path.join(server.folder, 'made').encode(), CREATE, 0o600),
             ()),
        'open a network socket': (('socket', 2, 1, 0), ()),
        'open a Unix socket': (('socket', 1, 1, 0), ()),
        "signal bob's session": (('kill', other, 0), ()),
        "look into bob's session": (('process_vm_readv', other, octet, 1, octet, 1, 0), (EFAULT,)),
        'trace a process': (('ptrace', 24, other, 0, 0), ('ESRCH',)),
        'run a program': (('execve', 0, 0, 0), (EFAULT,)),
        'start a process': (('clone', 0x800, 0, 0, 0, 0), (EINVAL,)),
        'start a thread': (('clone', 0x10000, 0, 0, 0, 0), (EINVAL,)),
        'become root': (('setuid', 0), ()),
        'mount': (('mount', 0, b'/', b'no-such-system', 0, 0), ('ENODEV',)),
        'set up io_uring': (('io_uring_setup', 0, 0), (EFAULT, EINVAL)),
    }


def outcome(inside, call, shows):
    got = inside.call(*call)
    if isinstance(got, int) and call[0] in ('openat', 'socket'):
        inside.call('close', got)
    return 'yes' if isinstance(got, int) or got in shows else got


# ---- what the table says ----------------------------------------------------------------------

def table():
    """{row: {process: cell}} of the table under `What each process can still do`."""
    with open(os.path.join(lib.ROOT, 'protocol/README.md')) as f:
        part = f.read().split('## What each process can still do', 1)[1].split('\n## ')[0]
    lines = [[cell.strip() for cell in line.strip('|\n').split(' | ')]
             for line in part.splitlines() if line.startswith('|')]
    head = [name.strip('`') for name in lines[0][1:]]
    return {line[0]: dict(zip(head, (re.sub(r'`', '', c) for c in line[1:])))
            for line in lines[2:]}


# ---- the processes ---------------------------------------------------------------------------

def processes():
    """{pid: (parent, words of the command line)}"""
    out = {}
    for pid in filter(str.isdigit, os.listdir('/proc')):
        try:
            words = lib.text_of('/proc/%s/cmdline' % pid).decode().split('\0')
            stat = lib.text_of('/proc/%s/stat' % pid).decode()
        except OSError:
            continue
        out[int(pid)] = (int(stat.rsplit(')', 1)[1].split()[1]), words)
    return out


def named(all_of_them, parent, program):
    found = sorted(pid for pid, (above, words) in all_of_them.items()
                   if above == parent and words[0].endswith(program))
    lib.check(found, 'no %s below %d', program, parent)
    return found[0]


def session_of(all_of_them, program, user):
    return next(pid for pid, (_, words) in all_of_them.items()
                if words[0].endswith(program) and '-n' in words
                and words[words.index('-n') + 1] == user)


class Running:
    """A server with sessions of ann (both protocols) and bob, and who is who among them."""

    def __enter__(self):
        self.scratch = lib.scratch()
        folder = self.scratch.__enter__()
        port = lib.free_port()
        self.server = lib.Server(folder, ('ann', 'bob'), extra=EXTRA % port)
        self.ann, self.bob = self.server.session('ann'), self.server.session('bob')
        self.imap = imaplib.IMAP4('127.0.0.1', port, timeout=60)
        self.imap.login('ann', 'secret-ann')
        self.imap.select('INBOX')
        self.ann.ok('STAT')
        self.bob.ok('STAT')
        top, them = self.server.process.pid, processes()
        them = {pid: p for pid, p in them.items() if self._below(them, pid, top)}
        auth = named(them, top, 'mailtree-auth')
        nursery = named(them, auth, 'mailtree-auth')
        self.other = session_of(them, 'mailtree-pop3', 'bob')
        self.pid = {'mailtree-pop3': session_of(them, 'mailtree-pop3', 'ann'),
                    'mailtree-imap': session_of(them, 'mailtree-imap', 'ann'),
                    'mailtree-login': named(them, top, 'mailtree-login'),
                    'mailtree-auth': auth,
                    'its workers': named(them, nursery, 'mailtree-auth'),
                    'mailtreed': named(them, top, 'mailtreed'),
                    'mailtree serve': top}
        return self

    @staticmethod
    def _below(them, pid, top):
        while pid in them and pid != top:
            pid = them[pid][0]
        return pid == top

    def __exit__(self, *_):
        self.server.stop()
        self.scratch.__exit__(None, None, None)


# ---- the tests -------------------------------------------------------------------------------

def the_table_is_true():
    with Running() as r:
        rows, wrong = table(), []
        tried = tries(r.server, r.other)
        lib.same(set(rows), set(tried), 'rows of the table, and what is tried')
        relaxed, unsealed = lib.sanitised('mailtree-login'), lib.sanitised(
            'mailtree-login', [b'__tsan_init'])
        for process, pid in r.pid.items():
            with inject.Inside(pid) as inside:
                for name, (call, shows) in tried.items():
                    want, got = rows[name].get(process), outcome(inside, call, shows)
                    if unsealed and want in ('ends', 'EPERM'):	# it needs more than any list has
                        continue
                    if got != want and not (relaxed and want == 'ends' and got == 'EPERM'):
                        wrong.append('%s, %s: %s, not %s' % (process, name, got, want))
        lib.check(not wrong, '%s', '; '.join(wrong))
        # and all of them still do what they are there for
        r.ann.ok('NOOP')
        r.bob.ok('NOOP')
        lib.same(r.imap.noop()[0], 'OK', 'NOOP')
        r.bob.quit()
        r.server.session('bob').quit()


def a_refused_call_ends_the_process_and_is_logged():
    with Running() as r:
        for process, user in (('mailtree-imap', 'ann'), ('mailtree-login', 'clients')):
            pid = r.pid[process]
            inside = inject.Inside(pid)
            inside.__enter__()
            inside.die_of('ptrace', 24, r.other, 0, 0)
            lib.wait_until(lambda: not os.path.exists('/proc/%d' % pid), 20, 'the end')
            lib.wait_until(lambda: re.search(
                r'%s: error: %s[^:]*: ended because it called ptrace \(101\)' % (process, user),
                r.server.log_text()), 20, 'the line in the log')
            lib.wait_until(lambda: 'made a system call that it must not' in r.server.log_text(),
                           20, "the parent's line in the log")
        r.bob.ok('NOOP')		# others go on, and another login begins
        r.bob.quit()
        lib.wait_until(lambda: can_log_in(r.server), 20, 'login afterwards')


def can_log_in(server):
    try:
        server.session('bob').quit()
        return True
    except (lib.Failed, EOFError, OSError):
        return False


def no_capability_is_left_over():
    files, ids = (0, 1, 2, 3, 4), (6, 7)	# numbers as in capabilities(7)
    setpcap, chroot, admin, resource, audit = 8, 18, 21, 24, 29
    most_of = {'its workers': (*files, *ids, setpcap, audit),
               'mailtreed': (*files, *ids, admin),
               'mailtree serve': (*files, 5, *ids, setpcap, 10, chroot, admin, resource, audit)}
    with Running() as r:
        for process, pid in r.pid.items():
            status = lib.text_of('/proc/%d/status' % pid).decode()
            got = {name: int(re.search(r'^%s:\s*(\w+)' % name, status, re.M).group(1), 16)
                   for name in ('CapPrm', 'CapEff', 'CapBnd', 'CapInh')}
            most = sum(1 << n for n in most_of.get(process, ()))
            lib.same((got['CapPrm'] & ~most, got['CapEff'] & ~most, got['CapInh']), (0, 0, 0),
                     'capabilities of ' + process)
            if process in ('mailtreed', 'its workers'):	# what an exec could bring back
                lib.same(got['CapBnd'] & ~most, 0, 'bounds of ' + process)


def without_landlock():
    """From here on the kernel seems to have none, to this process and all that it starts."""
    rules = [(0x20, 0, 0, 0), (0x15, 0, 1, 444), (6, 0, 0, 0x50000 | errno.ENOSYS),
             (6, 0, 0, 0x7fff0000)]		# load; is it landlock_create_ruleset(2)?
    program = ctypes.create_string_buffer(b''.join(struct.pack('<HBBI', *r) for r in rules))
    head = ctypes.create_string_buffer(struct.pack('<HxxxxxxQ', len(rules),
                                                   ctypes.addressof(program)))
    libc = ctypes.CDLL(None, use_errno=True)
    lib.same(libc.prctl(22, 2, ctypes.c_void_p(ctypes.addressof(head)), 0, 0), 0, 'seccomp')


def a_shared_uid_needs_landlock_or_a_setting():
    child = os.fork()
    if child == 0:
        status = 1
        try:
            without_landlock()
            for extra, allowed in (('', False), ('mail_allow_shared_uid = yes\n', True)):
                with lib.scratch() as folder, lib.Server(folder, ('ann', 'bob'),
                                                         extra=extra) as server:
                    server.session('ann').quit()
                    server.session('ann').quit()
                    lib.same(can_log_in(server), allowed, 'bob after ann gets in')
                    lib.same('no Landlock to keep them apart' in server.log_text(),
                             not allowed, 'the log says why')
            status = 0
        except Exception as e:
            print('# %s' % e, flush=True)
        finally:
            os._exit(status)
    lib.same(os.waitpid(child, 0)[1], 0, 'status of the process without Landlock')


if __name__ == '__main__':
    sealed = not lib.sanitised('mailtree-login', [b'__tsan_init'])	# seal.c says why not
    lib.run_tests([
        the_table_is_true,
        *([a_refused_call_ends_the_process_and_is_logged] if sealed else []),
        no_capability_is_left_over,
        a_shared_uid_needs_landlock_or_a_setting,
    ])
