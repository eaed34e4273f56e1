"""IMAP as octets on a socket: framing and parsing of responses, a blocking client, and the
two servers that the suites ask: `mailtree-imap` over a mount, and Dovecot beside it."""
import os
import re
import socket
import subprocess

import lib

LITERAL_AT_END = re.compile(rb'\{(\d+)\+?\}\Z')
TOKEN = re.compile(rb' *(?:(\()|(\))|"((?:[^"\\\r\n]|\\.)*)"|~?\{(\d+)\}\r\n'
                   rb'|([^\s()"\[{]+(?:\[[^\]]*\](?:<\d+>)?)?))')
STATUS = re.compile(rb'(\S+) (OK|NO|BAD|BYE|PREAUTH)\b(?: \[([^\]]*)\])? ?([^\r\n]*)', re.I)


class Framer:
    """Octets in, whole responses out: a line with the literals in it, CRLF included."""

    def __init__(self):
        self.buf, self.seen = bytearray(), 0		# seen: no response ends before it

    def push(self, octets):
        self.buf += octets

    def next(self):
        """One whole response, or None."""
        buf = self.buf
        while True:
            at = buf.find(b'\n', self.seen)
            if at < 0:
                return None
            if buf[at - 1:at] != b'\r':
                raise lib.Failed('a bare LF in %r' % bytes(buf[max(0, at - 60):at + 1]))
            found = LITERAL_AT_END.search(buf, max(self.seen, at - 24), at - 1)
            if not found:
                whole = bytes(buf[:at + 1])
                del buf[:at + 1]
                self.seen = 0
                return whole
            end = at + 1 + int(found.group(1))
            if len(buf) < end:
                return None
            self.seen = end


def values_of(raw, at=0):
    """The rest of a response as a list: atoms and strings are bytes, NIL is None."""
    stack, here = [], []
    while True:
        found = TOKEN.match(raw, at)
        if not found:
            lib.check(raw[at:] in (b'\r\n', b' \r\n') and not stack,
                      'a response that cannot be read from %r on: %r', raw[at:at + 40], raw[:300])
            return here
        at, kind = found.end(), found.lastindex
        if kind == 1:
            stack.append(here)
            here = []
        elif kind == 2:
            lib.check(stack, 'a closing parenthesis too many: %r', raw[:300])
            inner, here = here, stack.pop()
            here.append(inner)
        elif kind == 3:
            here.append(re.sub(rb'\\(.)', rb'\1', found.group(3)))
        elif kind == 4:
            size = int(found.group(4))
            here.append(raw[at:at + size])
            at += size
        else:
            here.append(None if found.group(5).upper() == b'NIL' else found.group(5))


class Response:
    """One response. `tag` is None when it is untagged; `name` is in upper case; `number` of
    `* 3 EXISTS`; `code` of `[COPYUID ...]`; values: what follows, parsed."""
    __slots__ = ('raw', 'tag', 'name', 'number', 'code', 'text', 'values')

    def __init__(self, raw):
        self.raw, self.tag, self.number, self.code, self.values = raw, None, None, None, None
        self.text = b''
        if raw.startswith(b'+'):
            self.name = '+'
            return
        status = STATUS.match(raw)
        if status:
            tag, name, self.code, self.text = status.groups()
            self.name = name.decode().upper()
            self.tag = None if tag == b'*' else tag.decode()
            return
        found = re.match(rb'\* (?:(\d+) )?([A-Za-z0-9]+)', raw)
        lib.check(found, 'what kind of response is this: %r', raw[:300])
        self.number = found.group(1) and int(found.group(1))
        self.name = found.group(2).decode().upper()
        self.values = values_of(raw, found.end())

    def code_is(self, name):
        """What follows the name of the code, when it is that code."""
        if self.code is None:
            return None
        first, _, rest = self.code.decode('utf-8', 'replace').partition(' ')
        return rest if first.upper() == name else None

    def items(self):
        """Of a FETCH: {name: value}, with FLAGS, UID, MODSEQ and sizes made plain."""
        flat, out = self.values[0], {}
        lib.check(len(flat) % 2 == 0, 'FETCH with an odd list: %r', self.raw[:300])
        for name, value in zip(flat[::2], flat[1::2]):
            name = name.decode().upper()
            lib.check(name not in out, 'FETCH with %s twice: %r', name, self.raw[:300])
            if name == 'FLAGS':
                value = frozenset(f.decode() for f in value)
            elif name in ('UID', 'RFC822.SIZE'):
                value = int(value)
            elif name == 'MODSEQ':
                value = int(value[0])
            out[name] = value
        return out


def numbers_of(text):
    """`1:3,7` as a list, in the order in which it is written."""
    if isinstance(text, bytes):
        text = text.decode()
    out = []
    for part in text.split(','):
        first, _, last = part.partition(':')
        first, last = int(first), int(last or first)
        lib.check(abs(last - first) < 1000000, 'a range that cannot be: %s', part)
        out += range(first, last + 1) if first <= last else range(last, first + 1)
    return out


def set_of(numbers):
    """Ascending numbers as a sequence set."""
    parts, numbers = [], sorted(numbers)
    at = 0
    while at < len(numbers):
        end = at
        while end + 1 < len(numbers) and numbers[end + 1] == numbers[end] + 1:
            end += 1
        parts.append(str(numbers[at]) if end == at else '%d:%d' % (numbers[at], numbers[end]))
        at = end + 1
    return ','.join(parts)


def search_hits(responses):
    """The numbers of SEARCH or ESEARCH ALL among the responses."""
    out = []
    for r in responses:
        if r.name == 'SEARCH':
            out += [int(v) for v in r.values if isinstance(v, bytes) and v.isdigit()]
        elif r.name == 'ESEARCH':
            flat = [v.upper() if isinstance(v, bytes) else v for v in r.values]
            if b'ALL' in flat:
                out += numbers_of(r.values[flat.index(b'ALL') + 1])
    return out


class Imap:
    """A blocking client; `process` is the session's, when it is ours."""

    def __init__(self, sock, process=None, greeting=True):
        self.sock, self.process, self.framer, self.n = sock, process, Framer(), 0
        sock.settimeout(300)
        self.greeting = self.response() if greeting else None
        if greeting:
            lib.check(self.greeting.name in ('OK', 'PREAUTH'), 'greeting: %r', self.greeting.raw)

    def response(self):
        while (raw := self.framer.next()) is None:
            part = self.sock.recv(1 << 18)
            if not part:
                raise EOFError('connection closed after %r' % bytes(self.framer.buf[-200:]))
            self.framer.push(part)
        return Response(raw)

    def send(self, command):
        self.n += 1
        tag = 'c%d' % self.n
        self.sock.sendall(('%s %s\r\n' % (tag, command)).encode())
        return tag

    def until(self, tag):
        """(tagged response, untagged ones before it)."""
        out = []
        while True:
            r = self.response()
            if r.tag == tag:
                return r, out
            lib.check(r.tag is None, 'a tag of nobody: %r', r.raw)
            out.append(r)

    def ask(self, command):
        return self.until(self.send(command))

    def ok(self, command):
        done, out = self.ask(command)
        lib.check(done.name == 'OK', '%s: %r', command, done.raw)
        return out

    def done(self, command):
        """The tagged OK itself."""
        done, _ = self.ask(command)
        lib.check(done.name == 'OK', '%s: %r', command, done.raw)
        return done

    def append(self, box, octets, flags=''):
        self.n += 1
        tag = 'c%d' % self.n
        self.sock.sendall(('%s APPEND %s (%s) {%d}\r\n' % (tag, box, flags, len(octets))).encode())
        said = self.response()
        while said.name != '+':
            lib.check(said.tag is None, 'APPEND: %r', said.raw)
            said = self.response()
        self.sock.sendall(octets + b'\r\n')
        done, out = self.until(tag)
        lib.check(done.name == 'OK', 'APPEND: %r', done.raw)
        return done, out

    def timed_drain(self, command):
        """Run it without looking at what comes back: octets received. For measurements."""
        tag = self.send(command).encode()
        end, got, last = re.compile(rb'(?:\A|\n)' + tag + rb' (OK|NO|BAD)[^\n]*\n\Z'), 0, b''
        while True:
            part = self.sock.recv(1 << 20)
            if not part:
                raise EOFError('connection closed during %s' % command)
            got += len(part)
            last = (last + part)[-400:] if len(part) < 400 else part[-400:]
            if found := end.search(last):
                lib.check(found.group(1) == b'OK', '%s: %r', command, last[-200:])
                return got

    def rss(self):
        with open('/proc/%d/status' % self.process.pid) as f:
            return next(int(l.split()[1]) * 1024 for l in f if l.startswith('VmRSS'))

    def close(self):
        """Hang up; the session ends by itself."""
        self.sock.close()
        if self.process is not None:
            end_of(self.process)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def end_of(process, seconds=20):
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise lib.Failed('a session that did not end when its client was gone')


# ---- servers ----------------------------------------------------------------------------

def spawn(argv, **kwargs):
    """A session on one end of a socket pair: (process, our end)."""
    ours, theirs = socket.socketpair()
    process = subprocess.Popen(argv, stdin=theirs, stdout=theirs, **kwargs)
    theirs.close()
    return process, ours


class Mailtree:
    """`mailtree-imap -u` over a mount of our own."""
    name = 'mailtree'
    holds = True	# what others expunge stays readable until a session has been told

    def __init__(self, folder, store, separator='.'):
        self.folder, self.store, self.separator = folder, store, separator
        self.mount = lib.Mount(folder, store)

    def spawn(self):
        return spawn([os.path.join(lib.BUILD, 'mailtree-imap'), '-u', self.mount.path,
                      '-s', self.separator])

    def spawn_pop3(self):
        return spawn([os.path.join(lib.BUILD, 'mailtree-pop3'), '-u', self.mount.path])

    def imap(self):
        process, sock = self.spawn()
        return Imap(sock, process)

    def restart(self):
        self.mount.restart()

    def forget_index(self):
        """Everything that is only a cache is gone."""
        self.mount.unmount()
        lib.run('rm', '-rf', self.mount.index)
        os.makedirs(self.mount.index)
        self.mount.start()

    def complaints(self):
        return []

    def stop(self):
        self.mount.stop()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


DOVECOT = '''
base_dir = {folder}/run
state_dir = {folder}/state
log_path = {folder}/log
protocols = imap pop3
ssl = no
first_valid_uid = 1
mail_location = {location}
namespace inbox {{
  inbox = yes
  separator = {separator}
}}
'''


class Dovecot:
    """Sessions of Dovecot's imap program, without its server around them. `store`: the path
    of a Maildir, or a location."""
    name, mount, holds = 'dovecot', None, False

    def __init__(self, folder, store, uid=lib.MAIL_UID, separator='.'):
        self.folder, self.store, self.uid = os.path.join(folder, 'dovecot'), store, uid
        self.separator = separator
        os.makedirs(self.folder)
        self.conf = os.path.join(self.folder, 'dovecot.conf')
        self.log_path = os.path.join(self.folder, 'log')
        with open(self.conf, 'w') as f:
            f.write(DOVECOT.format(folder=self.folder, separator=separator,
                                   location=store if ':' in store else 'maildir:' + store))
        os.chown(self.folder, uid, uid)
        self.stderr = open(self.log_path, 'ab')

    def _exec(self, program):
        return spawn(['doveadm', '-c', self.conf, 'exec', program], user=self.uid, group=self.uid,
                     extra_groups=[], stderr=self.stderr,
                     env={'USER': 'ann', 'HOME': self.folder, 'PATH': os.environ['PATH']})

    def spawn(self):
        return self._exec('imap')

    def spawn_pop3(self):
        return self._exec('pop3')

    def imap(self):
        process, sock = self.spawn()
        return Imap(sock, process)

    def forget_index(self):
        for above, _, names in os.walk(self.store):
            for name in names:
                if name.startswith('dovecot.index') or name.startswith('dovecot.list.index'):
                    os.unlink(os.path.join(above, name))

    def restart(self):
        pass

    def stop(self):
        self.stderr.close()

    def complaints(self):
        """What it wrote that is not the end of a session."""
        with open(self.log_path, errors='replace') as f:
            return [line.strip() for line in f if re.search(r'Error|Panic|Fatal', line)]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()
