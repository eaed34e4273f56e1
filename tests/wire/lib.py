"""What the end-to-end suites share: scratch folders, mounts, servers, a POP3 client of
raw octets, and the wire rule, written here once and from the rule alone.

Programs come from $MT_BUILD, or build/ beside tests/.
"""
import contextlib
import fcntl
import os
import pwd
import random
import re
import shutil
import signal
import socket
import stat
import struct
import subprocess
import sys
import tempfile
import time
import traceback

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.abspath(os.environ.get('MT_BUILD') or os.path.join(ROOT, 'build'))
PROGRAMS = ('mailtree', 'mailtreed', 'mailtree-pop3', 'mailtree-auth', 'mailtree-login')
MAIL_UID = 61001		# for users that need no account on this machine


# ---- the wire rule --------------------------------------------------------------------

def wire_of(stored):
    """An LF without a CR before it gets one; a non-empty message ends in CRLF."""
    wire = re.sub(rb'(?<!\r)\n', b'\r\n', stored)
    if wire and not wire.endswith(b'\r\n'):
        wire += b'\r\n'
    return wire


# ---- running tests --------------------------------------------------------------------

class Failed(Exception):
    pass


def check(good, why, *args):
    if not good:
        raise Failed(why % args if args else why)


def same(got, want, what):
    """Equal, or a failure that shows where two values part."""
    if got == want:
        return
    if isinstance(got, bytes) and isinstance(want, bytes):
        at = next((i for i, (a, b) in enumerate(zip(got, want)) if a != b),
                  min(len(got), len(want)))
        raise Failed('%s: %d octets, not %d; first difference at %d: %r, not %r' %
                     (what, len(got), len(want), at, got[at:at + 24], want[at:at + 24]))
    raise Failed('%s: %.300r, not %.300r' % (what, got, want))


def refused(errno_wanted, what, call, *args, **kwargs):
    """The call fails with that errno (or one of a tuple)."""
    wanted = errno_wanted if isinstance(errno_wanted, tuple) else (errno_wanted,)
    names = '/'.join(map(_errno_name, wanted))
    try:
        call(*args, **kwargs)
    except OSError as e:
        check(e.errno in wanted, '%s: %s, not %s', what, _errno_name(e.errno), names)
        return
    raise Failed('%s: allowed, not %s' % (what, names))


def _errno_name(number):
    import errno
    return errno.errorcode.get(number, str(number))


def wait_until(true, seconds, what):
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            raise Failed('%s: not within %g s' % (what, seconds))
        time.sleep(0.02)


def run_tests(tests):
    """Run each function (its name is the test's name); the exit status tells."""
    only = sys.argv[1:]
    failed = 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    for test in tests:
        name = test.__name__
        if only and name not in only:
            continue
        try:
            test()
            print('ok %s' % name, flush=True)
        except Exception as e:		# the next tests still run
            failed += 1
            why = str(e) if isinstance(e, Failed) else '%s: %s' % (type(e).__name__, e)
            print('not ok %s: %s' % (name, why.replace('\n', ' | ')[:2000]), flush=True)
            if not isinstance(e, Failed) or os.environ.get('MT_TRACE'):
                traceback.print_exc()
    sys.exit(1 if failed else 0)


@contextlib.contextmanager
def scratch(above=None):
    """A folder that everybody may pass through and that is gone afterwards."""
    path = tempfile.mkdtemp(prefix='mt-test.', dir=above)
    os.chmod(path, 0o755)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def run(*argv, ok=True, timeout=100, **kwargs):
    try:
        done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              timeout=timeout, **kwargs)
    except subprocess.TimeoutExpired:
        raise Failed('%s: no end after %d s' % (' '.join(map(str, argv))[:200], timeout))
    if ok and done.returncode != 0:
        raise Failed('%s: exit %d: %s' % (' '.join(map(str, argv))[:200], done.returncode,
                                          done.stderr.decode('utf-8', 'replace')[-600:]))
    return done


def sanitised(program, marks=(b'__asan_init', b'__tsan_init')):
    """Was it built with a sanitiser? Then memory is not what it is for others."""
    return any(mark in text_of(os.path.join(BUILD, program)) for mark in marks)


def commits_under_tsan():
    """ThreadSanitizer's search for deadlocks ends at 64 locks in one hand; a commit of many
    drafts has more, all in one order."""
    os.environ['TSAN_OPTIONS'] = os.environ.get('TSAN_OPTIONS', '') + ':detect_deadlocks=0'


def text_of(path):
    with open(path, 'rb') as f:
        return f.read()


# ---- an ordinary user -----------------------------------------------------------------

@contextlib.contextmanager
def account(name, *options):
    """A system account. Accounts and the mode of /dev/fuse belong to the whole machine: a
    lock on that device keeps other tests away from both meanwhile."""
    with open('/dev/fuse', 'rb') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        run('userdel', '-f', name, ok=False)
        run('useradd', *options, '--shell', '/bin/sh', name)
        try:
            yield pwd.getpwnam(name)
        finally:
            run('userdel', '-f', name, ok=False)


@contextlib.contextmanager
def ordinary_user(name='mtuser1'):
    """An account made for the test (or oneself, when the test is not run by root), and a
    /dev/fuse that it may open."""
    if os.geteuid() != 0:
        yield pwd.getpwuid(os.geteuid())
        return
    with account(name, '--no-create-home') as user:
        mode = stat.S_IMODE(os.stat('/dev/fuse').st_mode)
        os.chmod('/dev/fuse', 0o666)
        try:
            yield user
        finally:
            os.chmod('/dev/fuse', mode)


def as_user(user):
    """Popen's arguments for running as that user; None: as we are."""
    if user is None or user.pw_uid == os.geteuid():
        return {}
    return {'user': user.pw_uid, 'group': user.pw_gid, 'extra_groups': [],
            'env': dict(os.environ, HOME='/nonexistent', USER=user.pw_name,
                        LOGNAME=user.pw_name)}


def programs_for(user, folder):
    """Programs where that user can run them: a clone below /root is not such a place."""
    if user is None or user.pw_uid == os.geteuid():
        return BUILD
    there = os.path.join(folder, 'programs')
    os.makedirs(there, exist_ok=True)
    for name in PROGRAMS:
        source = os.path.join(BUILD, name)
        if os.path.exists(source):
            shutil.copy(source, there)
    return there


# ---- stores ---------------------------------------------------------------------------

class Maildir:
    """A Maildir as its owner's other programs see it: raw files."""

    def __init__(self, path, uid=None):
        self.path, self.uid, self.n = path, uid, 0
        above = os.path.dirname(path)
        if not os.path.isdir(above):
            os.makedirs(above)
            self._own(above)
        for part in ('', 'cur', 'new', 'tmp'):
            self._mkdir(os.path.join(path, part))

    def _mkdir(self, path):
        if not os.path.isdir(path):
            os.mkdir(path, 0o700)
            self._own(path)

    def _own(self, path):
        if self.uid is not None and os.geteuid() == 0:
            os.lchown(path, self.uid, self.uid)

    def folder(self, name):
        """The Maildir++ folder `.name`, made when absent."""
        path = os.path.join(self.path, '.' + name)
        box = Maildir(path, self.uid)
        mark = os.path.join(path, 'maildirfolder')
        if not os.path.exists(mark):
            open(mark, 'w').close()
            self._own(mark)
        return box

    def deliver(self, stored, base=None, info=None, date=None):
        """Deliver as an MDA does: tmp/, then new/ (or cur/ when `info` is given)."""
        self.n += 1
        base = base or '%d.M%dP%dQ%d.test' % (1600000000 + self.n, self.n, os.getpid(), self.n)
        tmp = os.path.join(self.path, 'tmp', base)
        with open(tmp, 'wb') as f:
            f.write(stored)
        self._own(tmp)
        if date is not None:
            os.utime(tmp, (date, date))
        name = 'new/' + base if info is None else 'cur/' + base + info
        os.rename(tmp, os.path.join(self.path, name))
        return base

    def files(self):
        """Base name -> path of every message."""
        out = {}
        for part in ('new', 'cur'):
            folder = os.path.join(self.path, part)
            for name in os.listdir(folder):
                out[name.split(':')[0]] = os.path.join(folder, name)
        return out

    def uidlist(self):
        """(header fields by letter, [(uid, base name)]) from dovecot-uidlist."""
        with open(os.path.join(self.path, 'dovecot-uidlist'), 'rb') as f:
            lines = f.read().decode('utf-8', 'surrogateescape').splitlines()
        head = lines[0].split(' ')
        check(head[0] == '3', 'uidlist header: %r', lines[0])
        entries = []
        for line in lines[1:]:
            before, name = line.split(' :', 1)
            entries.append((int(before.split(' ')[0]), name.split(':')[0]))
        return {f[0]: f[1:] for f in head[1:]}, entries

    def by_uid(self):
        """UID -> stored bytes of what is there now."""
        files = self.files()
        return {uid: text_of(files[base]) for uid, base in self.uidlist()[1] if base in files}


# ---- mounts ---------------------------------------------------------------------------

class View:
    """One user's directory in a mount."""

    def __init__(self, path):
        self.path = path

    def box(self, *names):
        return os.path.join(self.path, *names)


class Mount(View):
    """One user's store mounted by a mailtreed of our own; `path` is the user's directory."""

    def __init__(self, folder, source, *options, user=None, name='mnt', index='index'):
        super().__init__(os.path.join(folder, name))
        self.index = os.path.join(folder, index)
        self.source, self.options, self.user = source, options, user
        self.programs = programs_for(user, folder)
        self.log_path = os.path.join(folder, name + '.log')
        self.process = None
        os.makedirs(self.path, exist_ok=True)
        os.makedirs(self.index, exist_ok=True)
        if user is not None:
            os.chown(self.path, user.pw_uid, user.pw_gid)
            os.chown(self.index, user.pw_uid, user.pw_gid)
        self.start()

    def start(self):
        ready, theirs = os.pipe()
        self.log = open(self.log_path, 'ab')
        self.process = subprocess.Popen(
            [os.path.join(self.programs, 'mailtreed'), '-f', '--index-path', self.index,
             '--ready', str(theirs), *self.options, self.source, self.path],
            pass_fds=[theirs], stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log,
            **as_user(self.user))
        os.close(theirs)
        with os.fdopen(ready, 'rb') as f:
            said = f.read(6)
        if said != b'ready\n':
            self.stop()
            raise Failed('mailtreed is not ready: %s' % self.log_text()[-800:])

    def log_text(self):
        return text_of(self.log_path).decode('utf-8', 'replace')

    def _unmount(self, *how):
        mounted = False
        with open('/proc/self/mountinfo') as f:
            mounted = any(line.split(' ')[4] == self.path for line in f)
        if not mounted:
            return
        if os.geteuid() == 0:
            run('umount', *how, self.path)
        else:
            run('fusermount3', '-u', *(['-z'] if how else []), self.path)

    def unmount(self):
        """As a user does it; mailtreed ends with 0."""
        self._unmount()
        status = self.process.wait(20)
        self.log.close()
        self.process = None
        check(status == 0, 'mailtreed ended with %d after umount: %s', status,
              self.log_text()[-800:])

    def kill(self):
        """kill -9. A daemon that dies while it tells the kernel about a name can be held
        there by the very call that waits for its answer; neither ends before the connection
        is aborted, so do that as an administrator would."""
        self.process.kill()
        try:
            self.process.wait(3)
        except subprocess.TimeoutExpired:
            print('# the kernel held the killed daemon: umount -f', flush=True)
            run('umount', '-f', self.path, ok=False)
            self.process.wait(20)

    def crash(self):
        """kill -9, and the dead mount out of the way."""
        self.kill()
        self.log.close()
        self.process = None
        self._unmount('-l')

    def stop(self):
        """Whatever state it is in."""
        try:
            self._unmount('-l')
        except Failed:
            pass
        if self.process is not None:
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
            self.process = None
            self.log.close()

    def restart(self):
        self.unmount()
        self.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def rss(self):
        with open('/proc/%d/status' % self.process.pid) as f:
            return next(int(line.split()[1]) * 1024 for line in f if line.startswith('VmRSS'))


def uids(box):
    """UIDs that a listing of the mailbox shows, ascending."""
    return sorted(int(n[:-4]) for n in os.listdir(box) if n.endswith('.eml'))


def ctl(box, command):
    """Run one command by write, then read; (data lines, status line)."""
    fd = os.open(os.path.join(box, '.mailtree/ctl'), os.O_RDWR)
    try:
        os.write(fd, command if isinstance(command, bytes) else command.encode())
        reply = b''
        while part := os.read(fd, 65536):
            reply += part
    finally:
        os.close(fd)
    lines = reply.decode('utf-8', 'surrogateescape').splitlines()
    check(lines, 'ctl %r: no reply', command)
    return lines[:-1], lines[-1]


def ctl_sizes(box):
    """Wait until all sizes are known."""
    _, status = ctl(box, 'sizes 1:* 20000')
    check(status == 'ok', 'ctl sizes: %s', status)


def state(box):
    """`.mailbox` as (header dict, keyword dict, {uid: row dict})."""
    text = text_of(os.path.join(box, '.mailbox')).decode('utf-8', 'surrogateescape')
    head, at = {}, 0
    for _ in range(4):
        name, value = text[at:at + 32].split()
        head[name] = int(value)
        at += 32
    names = {}
    for _ in range(head['keywords']):
        line = text[at:at + 160]
        names[line[0]] = line[2:].strip()
        at += 160
    rows = {}
    while at < len(text):
        line = text[at:at + 96]
        check(len(line) == 96 and line[-1] == '\n', '.mailbox line at %d: %r', at, line)
        uid, size, date, flags, keywords = line.split()
        rows[int(uid)] = {'size': int(size), 'date': int(date),
                          'flags': flags.replace('-', ''),
                          'keywords': {names[c] for c in keywords if c != '-'}}
        at += 96
    return head, names, rows


# ---- `index`, from the layout alone -----------------------------------------------------

RECORD = struct.Struct('<IHHIIQQqQIIII')
EXPUNGED = 32


def siphash(data):
    """SipHash-2-4 under the all-zero key."""
    mask = (1 << 64) - 1
    v = [0x736f6d6570736575, 0x646f72616e646f6d, 0x6c7967656e657261, 0x7465646279746573]

    def rounds(n):
        a, b, c, d = v
        for _ in range(n):
            a = (a + b) & mask
            b = ((b << 13 | b >> 51) & mask) ^ a
            a = (a << 32 | a >> 32) & mask
            c = (c + d) & mask
            d = ((d << 16 | d >> 48) & mask) ^ c
            a = (a + d) & mask
            d = ((d << 21 | d >> 43) & mask) ^ a
            c = (c + b) & mask
            b = ((b << 17 | b >> 47) & mask) ^ c
            c = (c << 32 | c >> 32) & mask
        v[:] = a, b, c, d

    whole = len(data) & ~7
    last = bytes(data[whole:]).ljust(7, b'\0') + bytes([len(data) & 255])
    for word in struct.unpack('<%dQ' % (whole // 8 + 1), bytes(data[:whole]) + last):
        v[3] ^= word
        rounds(2)
        v[0] ^= word
    v[2] ^= 0xff
    rounds(4)
    return v[0] ^ v[1] ^ v[2] ^ v[3]


class Record:
    def __init__(self, raw):
        (self.uid, self.flags, self.bits, self.keywords, self.header_size, self.wire_off,
         self.wire_size, self.date, self.modseq, self.added, self.save_date,
         self.name_hash, self.check) = RECORD.unpack(raw)
        self.raw = raw

    def sound(self):
        return self.check == siphash(self.raw[:-4]) & 0xffffffff


def index_records(box, live_only=True):
    """Records of `index`, as they are now: not as the page cache has them."""
    fd = os.open(os.path.join(box, '.mailtree/index'), os.O_RDONLY | os.O_DIRECT)
    try:
        raw = b''
        while part := os.pread(fd, 1 << 20, len(raw)):
            raw += part
    finally:
        os.close(fd)
    check(raw[:8] == b'mailtree', 'index magic: %r', raw[:8])
    nrecord = struct.unpack_from('<Q', raw, 40)[0]
    check(len(raw) >= 4096 + 64 * nrecord, 'index: %d octets, %d records', len(raw), nrecord)
    out = [Record(raw[4096 + 64 * i:4160 + 64 * i]) for i in range(nrecord)]
    return [r for r in out if not (live_only and r.bits & EXPUNGED)]


# ---- POP3 -------------------------------------------------------------------------------

class Pop3:
    """A client of raw octets over any stream socket."""

    def __init__(self, sock, greeting=True):
        self.sock, self.buf = sock, b''
        sock.settimeout(60)
        self.greeting = self.line() if greeting else None

    def _more(self):
        part = self.sock.recv(1 << 18)
        if not part:
            raise EOFError('connection closed after %r' % self.buf[-80:])
        self.buf += part

    def line(self):
        while b'\n' not in self.buf:
            self._more()
        line, self.buf = self.buf.split(b'\n', 1)
        check(line.endswith(b'\r'), 'reply line without CR: %r', line)
        return line[:-1]

    def send(self, octets):
        self.sock.sendall(octets)

    def ask(self, command):
        self.send(command.encode() + b'\r\n')
        return self.line()

    def ok(self, command):
        said = self.ask(command)
        check(said.startswith(b'+OK'), '%s: %r', command, said)
        return said

    def err(self, command, code=None):
        said = self.ask(command)
        check(said.startswith(b'-ERR'), '%s: %r', command, said)
        check(code is None or b'[' + code + b']' in said, '%s: no [%s] in %r', command, code,
              said)
        return said

    def raw_body(self):
        """Octets of a multi-line answer up to its final `.` line, still stuffed."""
        at = 0
        while True:
            if self.buf.startswith(b'.\r\n'):
                body, rest = b'', self.buf[3:]
                break
            at = self.buf.find(b'\r\n.\r\n', max(0, at - 5))
            if at >= 0:
                body, rest = self.buf[:at + 2], self.buf[at + 5:]
                break
            at = len(self.buf)
            self._more()
        self.buf = rest
        return body

    def body(self):
        """The same without stuffing: every line that starts with a dot loses it."""
        raw = self.raw_body()
        if raw.startswith(b'.'):
            raw = raw[1:]
        return raw.replace(b'\r\n.', b'\r\n')

    def lines(self, command):
        self.ok(command)
        return [line.decode('ascii') for line in self.body().split(b'\r\n')[:-1]]

    def table(self, command):
        """LIST or UIDL as {number: text}."""
        return {int(n): rest for n, rest in (l.split(' ', 1) for l in self.lines(command))}

    def retr(self, n):
        """(octets as announced, or None; message)."""
        said = self.ok('RETR %d' % n).split()
        size = int(said[1]) if len(said) > 2 and said[2].startswith(b'octet') else None
        return size, self.body()

    def login(self, user, password):
        self.ok('USER ' + user)
        return self.ok('PASS ' + password)

    def quit(self):
        said = self.ok('QUIT')
        self.close()
        return said

    def close(self):
        self.sock.close()


class Session(Pop3):
    """`mailtree-pop3 -u VIEW` on a socket pair, without a server."""

    def __init__(self, view, *options, user=None, programs=BUILD, stderr=None):
        ours, theirs = socket.socketpair()
        self.process = subprocess.Popen(
            [os.path.join(programs, 'mailtree-pop3'), '-u', view, *options],
            stdin=theirs, stdout=theirs, stderr=stderr, **as_user(user))
        theirs.close()
        super().__init__(ours, greeting='-g' in options)

    def close(self):
        super().close()
        self.process.wait(20)

    def kill(self):
        self.process.kill()
        self.process.wait()
        super().close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def free_port():
    """One that no connection's other end is given meanwhile: those come from 32768 up."""
    while True:
        port = random.randrange(20000, 32000)
        with contextlib.suppress(OSError), socket.socket() as s:
            s.bind(('127.0.0.1', port))
            return port


class Server:
    """`mailtree serve` with a passwd-file; users: {name: Maildir path or None}. The home
    of each is folder/home/NAME, its mail in Maildir/ there."""

    def __init__(self, folder, users, extra='', uid=MAIL_UID, run_by=None,
                 location='maildir:~/Maildir'):
        check(run_by is not None or os.geteuid() == 0, 'a server for several users needs root')
        self.folder, self.port, self.uid, self.run_by = folder, free_port(), uid, run_by
        self.mount = os.path.join(folder, 'mail')
        self.log_path = os.path.join(folder, 'serve.log')
        self.process = None
        lines = []
        for user in users:
            home = self.home(user)
            if not os.path.isdir(home):
                os.makedirs(home)
                os.chown(home, uid, uid)
            lines.append('%s:{PLAIN}secret-%s:%d:%d::%s::\n' % (user, user, uid, uid, home))
        self.passwd = os.path.join(folder, 'users')
        with open(self.passwd, 'w') as f:
            f.writelines(lines)
        os.chmod(self.passwd, 0o644)
        self.conf = os.path.join(folder, 'mailtree.conf')
        with open(self.conf, 'w') as f:
            f.write('''protocols = pop3
listen = 127.0.0.1
ssl = no
disable_plaintext_auth = no
mail_max_userip_connections = 0
mail_location = %s
mount_path = %s
index_path = %s/index
service pop3-login {
  inet_listener pop3 {
    port = %d
  }
}
passdb {
  driver = passwd-file
  args = %s
}
userdb {
  driver = passwd-file
  args = %s
}
%s
''' % (location, self.mount, folder, self.port, self.passwd, self.passwd, extra))
        os.makedirs(self.mount, exist_ok=True)
        if run_by is not None:
            os.chown(self.mount, uid, uid)
        self.start()

    def home(self, user):
        return os.path.join(self.folder, 'home', user)

    def maildir(self, user):
        return os.path.join(self.home(user), 'Maildir')

    def view(self, user):
        return View(os.path.join(self.mount, user))

    def start(self):
        self.log = open(self.log_path, 'ab')
        self.process = subprocess.Popen(
            [os.path.join(programs_for(self.run_by, self.folder), 'mailtree'), 'serve', '-c',
             self.conf],
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log, **as_user(self.run_by))
        end = time.monotonic() + 60	# a daemon before it may still be at its end
        while True:
            try:
                Pop3(socket.create_connection(('127.0.0.1', self.port), 5)).close()
                return
            except (OSError, EOFError):
                if self.process.poll() is not None or time.monotonic() > end:
                    self.stop()
                    raise Failed('mailtree serve does not answer: %s' % self.log_text()[-1200:])
                time.sleep(0.05)

    def log_text(self):
        return text_of(self.log_path).decode('utf-8', 'replace')

    def children(self, name):
        """The pids of the server's own children that run this program."""
        found = []
        for pid in filter(str.isdigit, os.listdir('/proc')):
            try:
                program = text_of('/proc/%s/cmdline' % pid).split(b'\0')[0]
                status = text_of('/proc/%s/status' % pid)
            except OSError:
                continue
            if program.endswith(name.encode()) and b'PPid:\t%d\n' % self.process.pid in status:
                found.append(int(pid))
        return found

    def child(self, name):
        found = self.children(name)
        check(found, 'no %s runs', name)
        return found[0]

    def connect(self):
        return Pop3(socket.create_connection(('127.0.0.1', self.port), 60))

    def session(self, user):
        pop = self.connect()
        pop.login(user, 'secret-' + user)
        return pop

    def stop(self):
        if self.process is None:
            return 0
        self.process.terminate()
        try:
            status = self.process.wait(60)	# mailtreed sees its index on disk
        except subprocess.TimeoutExpired:
            self.process.kill()
            status = self.process.wait()
        self.process = None
        self.log.close()
        run('umount', '-l', self.mount, ok=False)
        return status

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()
