"""Stores as their owner's other programs see them, of either kind, so that one list of cases
runs on both: STORE=maildir (or not set), or STORE=mbox.

Both kinds have `path`, `location`, folder(), deliver(), messages(), by_uid(), state() and
exists(); names of folders have `/` between their levels.
"""
import calendar
import collections
import fcntl
import os
import random
import re
import time

import lib

KIND = os.environ.get('STORE') or 'maildir'
WAIT_S = 120		# for the locks of an mbox

# What is in a mailbox: octets as stored, flags as letters of a Maildir name, seconds.
Stored = collections.namedtuple('Stored', 'octets flags date')


def new(folder, uid=None, kind=None):
    """An empty store in the folder, which is made."""
    kind = kind or KIND
    lib.check(kind in KINDS, 'STORE=%s: it is maildir or mbox', kind)
    return KINDS[kind](os.path.join(folder, LEAF[kind]), uid)


def mail_location(kind=None):
    """The setting for stores that lie in homes, as new(home) makes them."""
    return {'maildir': 'maildir:~/Maildir', 'mbox': 'mbox:~/mail:INBOX=~/inbox'}[kind or KIND]


class Maildir(lib.Maildir):
    """A Maildir++."""
    kind, separator = 'maildir', '.'

    @property
    def location(self):
        return 'maildir:' + self.path

    def path_of(self, name):
        return self.path if name == 'INBOX' else os.path.join(self.path,
                                                              '.' + name.replace('/', '.'))

    def folder(self, name):
        if name == 'INBOX':
            return self
        super().folder(name.replace('/', '.'))
        return Maildir(self.path_of(name), self.uid)

    def exists(self, name):
        return os.path.isdir(os.path.join(self.path_of(name), 'cur'))

    def messages(self):
        out = []
        for path in self.files().values():
            info = os.path.basename(path).partition(':2,')[2].partition(',')[0]
            out.append(Stored(lib.text_of(path), ''.join(sorted(c for c in info if c.isupper())),
                              int(os.stat(path).st_mtime)))
        return out

    def state(self):
        """Equal when nothing has changed."""
        return sorted(self.files().items())


# ---- mboxes -----------------------------------------------------------------------------------

FROM = re.compile(rb'^From \S+ +\w{3} (\w{3}) +(\d{1,2}) (\d\d:\d\d:\d\d) (\d{4})\r?\n', re.M)
HIDDEN = re.compile(rb'^(Content-Length|Status|X-IMAP|X-IMAPbase|X-Keywords|X-Status|X-UID):',
                    re.I)
OURS = b'From mailtree-mboxrd '		# the sender of what is quoted as mboxrd has it
LETTERS = (('Status', 'R', 'S'), ('X-Status', 'A', 'R'), ('X-Status', 'F', 'F'),
           ('X-Status', 'T', 'D'), ('X-Status', 'D', 'T'))


def fields_of(head):
    """A header as whole fields, with what continues them."""
    return re.findall(rb'[^\n]*\n(?:[ \t][^\n]*\n)*|[^\n]+\Z', head)


def head_end(octets):
    found = re.search(rb'^\r?\n', octets, re.M)
    return found.start() if found else len(octets)


def visible(octets):
    """(octets without the file's own fields, those fields by name in lower case)."""
    at = head_end(octets)
    fields = fields_of(octets[:at])
    own = [f for f in fields if HIDDEN.match(f)]
    values = {}
    for f in own:
        name, _, value = f.partition(b':')
        values.setdefault(name.decode().lower(), value.strip().decode('latin-1'))
    return b''.join(f for f in fields if f not in own) + octets[at:], values


def without_separator(octets):
    """One empty line at the end is no part of a message."""
    for end in (b'\r\n', b'\n'):
        if octets.endswith(end):
            rest = octets[:-len(end)]
            return rest if rest.endswith(b'\n') or not rest else octets
    return octets


def parse(text):
    """[(From_ line, octets, own fields)] of an mbox, without pseudo messages."""
    starts = [(m.start(), m.end()) for m in FROM.finditer(text)]
    lib.check(not text.strip() or starts and starts[0][0] == 0, 'not an mbox: %r', text[:60])
    out = []
    for (start, at), end in zip(starts, [s for s, _ in starts[1:]] + [len(text)]):
        octets, own = visible(without_separator(text[at:end]))
        if 'x-imap' in own:
            continue
        if text.startswith(OURS, start):
            octets = re.sub(rb'^>(>*From )', rb'\1', octets, flags=re.M)
        out.append((text[start:at], octets, own))
    return out


def date_of(from_line):
    month, day, clock, year = (g.decode() for g in FROM.match(from_line).groups())
    return calendar.timegm(time.strptime(' '.join((month, day, clock, year)), '%b %d %H:%M:%S %Y'))


class Locked:
    """An mbox under a dotlock and an fcntl lock, in that order or in the other. What comes
    second is not waited for with the first in hand: that is how those of both orders get on."""

    def __init__(self, path, dotlock_first=True):
        self.path, self.dot, self.fd = path, path + '.lock', None
        self.steps = (self._dotlock, self._fcntl) if dotlock_first else (self._fcntl, self._dotlock)

    def _dotlock(self):
        try:
            fd = os.open(self.dot, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        except FileExistsError:
            return False
        os.write(fd, b'%d\n' % os.getpid())
        os.close(fd)
        self.dotted = True
        return True

    def _fcntl(self):
        try:
            fcntl.lockf(self.fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _try(self):
        self.fd, self.dotted = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600), False
        if all(step() for step in self.steps) and \
                os.path.samestat(os.fstat(self.fd), os.stat(self.path)):
            return True
        self.__exit__()
        return False

    def __enter__(self):
        end = time.monotonic() + WAIT_S
        while not self._try():
            lib.check(time.monotonic() < end, '%s cannot be locked', self.path)
            time.sleep(random.uniform(0.002, 0.05))
        return self.fd

    def __exit__(self, *_):
        if self.dotted:
            os.unlink(self.dot)
        os.close(self.fd)


class Mbox:
    """A folder of mboxes with the INBOX beside it; or one mailbox of it."""
    kind, separator = 'mbox', '/'

    def __init__(self, path, uid=None, name='INBOX'):
        self.path, self.uid, self.name, self.n = path, uid, name, 0
        self.inbox = os.path.join(os.path.dirname(path), 'inbox')
        for folder in (os.path.dirname(path), path):
            os.makedirs(folder, exist_ok=True)
            self._own(folder)

    def _own(self, path):
        if self.uid is not None and os.geteuid() == 0:
            os.lchown(path, self.uid, self.uid)

    @property
    def location(self):
        return 'mbox:%s:INBOX=%s' % (self.path, self.inbox)

    def path_of(self, name):
        return self.inbox if name == 'INBOX' else os.path.join(self.path, name)

    @property
    def file(self):
        return self.path_of(self.name)

    def folder(self, name):
        above = os.path.dirname(self.path_of(name))
        if not os.path.isdir(above):
            os.makedirs(above)
            self._own(above)
        box = Mbox(self.path, self.uid, name)
        if not os.path.exists(box.file):
            with Locked(box.file):
                self._own(box.file)
        return box

    def exists(self, name):
        return os.path.isfile(self.path_of(name))

    def deliver(self, stored, base=None, info=None, date=None, more=''):
        """Append as an MDA does, quoting what would begin a message. `info` as of a Maildir;
        `more`: fields of the file's own."""
        self.n += 1
        date = 1600000000 + self.n if date is None else date
        own = ''.join('%s: %s\n' % (name, ''.join(theirs for n, theirs, letter in LETTERS
                                                  if n == name and letter in (info or '')))
                      for name in ('Status', 'X-Status'))
        own = re.sub(r'^.*: \n', '', own, flags=re.M)
        octets = b'From hand@example.org %s\n%s%s%s' % (
            time.asctime(time.gmtime(date)).encode(), (own + more).encode(),
            re.sub(rb'^From ', b'>From ', stored, flags=re.M),
            b'\n' if stored and not stored.endswith(b'\n') else b'')
        with Locked(self.file, self.n % 2 == 0) as fd:
            size = os.fstat(fd).st_size
            end = os.pread(fd, 2, max(0, size - 2))
            before = b'' if size == 0 or end == b'\n\n' else \
                b'\n' if end.endswith(b'\n') else b'\n\n'
            lib.check(os.write(fd, before + octets + b'\n') == len(before + octets) + 1,
                      'a short write to %s', self.file)
            self._own(self.file)

    def parsed(self):
        return parse(lib.text_of(self.file)) if os.path.exists(self.file) else []

    def messages(self):
        return [Stored(octets, ''.join(sorted(letter for name, theirs, letter in LETTERS
                                              if theirs in own.get(name.lower(), ''))),
                       date_of(line)) for line, octets, own in self.parsed()]

    def by_uid(self):
        """UID -> octets; of a file that nobody has written UIDs to, as they come first."""
        return {int(own.get('x-uid', n)): octets
                for n, (_, octets, own) in enumerate(self.parsed(), 1)}

    def state(self):
        return lib.text_of(self.file) if os.path.exists(self.file) else None


KINDS = {'maildir': Maildir, 'mbox': Mbox}
LEAF = {'maildir': 'Maildir', 'mbox': 'mail'}


def on_each(test):
    """The test for both kinds, or for that of STORE: functions for lib.run_tests()."""
    def on(kind):
        def one():
            test(kind)
        one.__name__ = test.__name__ + ('' if kind == 'maildir' else '_' + kind)
        return one
    return [on(kind) for kind in ([KIND] if 'STORE' in os.environ else KINDS)]
