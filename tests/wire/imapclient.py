"""An IMAP client of raw octets over any stream, whose answers are Python values.

An atom or number is a str, a string (quoted or literal) is bytes, NIL is None, a list is a
list. So `NIL` and `""` differ where the protocol says that they do, and a quoted string
equals a literal of the same octets.
"""
import functools
import os
import re
import select
import subprocess

import lib

TOKEN = re.compile(rb'''
    (?P<space>\ +) | (?P<open>\() | (?P<close>\))
  | "(?P<quoted>(?:[^"\\\r\n]|\\["\\])*)"
  | (?P<atom>[^\s()"\[{]*\[[^\]]*\][^\s()"\[]*  |  [^\s()"{]+)
''', re.X)
LITERAL = re.compile(rb'~?\{(\d+)\}\r\n\Z')


def values(pieces):
    """The values in text, literal, text, … of one response."""
    stack = [[]]
    for i, piece in enumerate(pieces):
        if i % 2:
            stack[-1].append(piece)
            continue
        at = 0
        while at < len(piece):
            m = TOKEN.match(piece, at)
            lib.check(m, 'unreadable at %d: %r', at, piece[max(0, at - 40):at + 160])
            at = m.end()
            kind = m.lastgroup
            if kind == 'open':
                stack.append([])
            elif kind == 'close':
                lib.check(len(stack) > 1, 'a parenthesis too many at %d', at)
                done = stack.pop()
                stack[-1].append(done)
            elif kind == 'quoted':
                stack[-1].append(re.sub(rb'\\(.)', rb'\1', m['quoted']))
            elif kind == 'atom':
                word = m['atom'].decode('latin-1')
                stack[-1].append(None if word.upper() == 'NIL' else word)
    lib.check(len(stack) == 1, 'a parenthesis is open: %r', pieces[0][:200])
    return stack[0]


class Response:
    """One response. tag `*` or a tag or `+`; name in capitals; number or None; args: values
    after the name. Of OK, NO, BAD, BYE, PREAUTH: code (name in capitals, or None), code_args
    (text in the brackets after the name) and text."""

    STATUS = ('OK', 'NO', 'BAD', 'BYE', 'PREAUTH')

    def __init__(self, pieces):
        first = pieces[0].rstrip(b'\r\n')
        self.raw = b''.join(pieces)
        self.number = self.code = self.code_args = self.name = None
        self.text, self.tail = b'', []
        self.tag, _, rest = first.decode('latin-1').partition(' ')
        if self.tag == '+':
            self.text = rest.encode('latin-1')
            return
        word, _, more = rest.partition(' ')
        if word.isdigit():
            self.number = int(word)
            word, _, more = more.partition(' ')
        self.name = word.upper()
        if self.name in self.STATUS and self.number is None:
            m = re.match(r'\[([^\s\]]+)(?: ((?:"[^"]*"|[^\]"])*))?\] ?(.*)', more, re.S)
            if m:
                self.code, self.code_args, more = m[1].upper(), m[2] or '', m[3]
            self.text = b''.join([more.encode('latin-1')] + pieces[1:])
            return
        self.tail = [more.encode('latin-1')] + [p if i % 2 else p.rstrip(b'\r\n')
                                                for i, p in enumerate(pieces[1:], 1)]

    @functools.cached_property
    def args(self):
        return values(self.tail)

    def __repr__(self):
        return repr(self.raw[:300])

    def items(self):
        """FETCH: {item in capitals: value}; its name as if nothing in it were quoted."""
        pairs = self.args[0]
        lib.check(len(pairs) % 2 == 0, 'odd FETCH: %.300r', self.raw)
        return {item_name(pairs[i]): pairs[i + 1] for i in range(0, len(pairs), 2)}


def item_name(word):
    return word.upper().replace('"', '').replace('.PEEK[', '[')


class Answer:
    """What came up to a tagged response."""

    def __init__(self, command, untagged, tagged):
        self.command, self.untagged, self.tagged = command, untagged, tagged
        self.status, self.code, self.code_args = tagged.name, tagged.code, tagged.code_args

    def named(self, name):
        return [r for r in self.untagged if r.name == name]

    def one(self, name):
        found = self.named(name)
        lib.check(len(found) == 1, '%.100r: %d times %s: %r', self.command, len(found), name,
                  self.untagged)
        return found[0]

    def numbers(self, name='SEARCH'):
        return [int(n) for r in self.named(name) for n in r.args]

    def fetched(self):
        """{message number: items}; what one message has in several responses is joined."""
        out = {}
        for r in self.named('FETCH'):
            out.setdefault(r.number, {}).update(r.items())
        return out

    def by_uid(self):
        return {int(items['UID']): items for items in self.fetched().values()}

    def codes(self):
        """{code: its text} of the untagged status responses and of the tagged one."""
        return {r.code: r.code_args for r in self.untagged + [self.tagged] if r.code}

    def shape(self):
        """The order of responses, as `2 EXISTS`, `OK [UIDNEXT]`, …"""
        out = []
        for r in self.untagged:
            word = r.name if r.number is None else '%d %s' % (r.number, r.name)
            out.append(word + (' [%s]' % r.code if r.code else ''))
        return out


class Imap:
    def __init__(self, sock, timeout=60):
        self.sock, self.buf, self.n = sock, b'', 0
        sock.settimeout(timeout)
        self.greeting = self.response()

    # -- octets --

    def _more(self):
        part = self.sock.recv(1 << 20)
        if not part:
            raise EOFError('connection closed after %r' % self.buf[-80:])
        self.buf += part

    def _line(self):
        at = 0
        while (end := self.buf.find(b'\n', at)) < 0:
            at = len(self.buf)
            self._more()
        line, self.buf = self.buf[:end + 1], self.buf[end + 1:]
        lib.check(line.endswith(b'\r\n'), 'a line without CR: %.200r', line)
        return line

    def _octets(self, n):
        parts, have = [self.buf], len(self.buf)
        while have < n:
            part = self.sock.recv(1 << 20)
            if not part:
                raise EOFError('connection closed within a literal of %d' % n)
            parts.append(part)
            have += len(part)
        octets = b''.join(parts)
        self.buf = octets[n:]
        return octets[:n]

    def response(self):
        pieces = [self._line()]
        while m := LITERAL.search(pieces[-1]):
            pieces[-1] = pieces[-1][:m.start()]
            pieces.append(self._octets(int(m[1])))
            pieces.append(self._line())
        return Response(pieces)

    def send(self, octets):
        self.sock.sendall(octets)

    def quiet(self, seconds):
        """Nothing comes for so long."""
        return not self.buf and not select.select([self.sock], [], [], seconds)[0]

    # -- commands --

    def tag(self):
        self.n += 1
        return 'a%d' % self.n

    def start(self, command):
        """Send `command` (str, or a list of str and of bytes, which go as literals that wait
        for `+`); the tag."""
        tag = self.tag()
        parts = command if isinstance(command, list) else [command]
        out = tag.encode() + b' '
        for part in parts:
            if isinstance(part, bytes):
                self.send(out + b'{%d}\r\n' % len(part))
                said = self.response()
                lib.check(said.tag == '+', '%.100r: no +, but %r', command, said)
                out = part
            else:
                out += part.encode('utf-8', 'surrogateescape')
        self.send(out + b'\r\n')
        return tag

    def answer(self, tag, command=''):
        untagged = []
        while True:
            r = self.response()
            if r.tag == tag:
                return Answer(command, untagged, r)
            lib.check(r.tag == '*', '%.200r: %r', command, r)
            untagged.append(r)

    def ask(self, command):
        return self.answer(self.start(command), command)

    def _expect(self, status, command, code):
        said = self.ask(command)
        lib.check(said.status == status, '%.200r: %r', command, said.tagged)
        lib.check(code is None or said.code == code, '%.200r: no [%s]: %r', command, code,
                  said.tagged)
        return said

    def ok(self, command, code=None):
        return self._expect('OK', command, code)

    def no(self, command, code=None):
        return self._expect('NO', command, code)

    def bad(self, command, code=None):
        return self._expect('BAD', command, code)

    def raw(self, octets, tag):
        """Send octets as they are; the answer under that tag."""
        self.send(octets)
        return self.answer(tag, octets[:200])

    def close(self):
        self.sock.close()

    def logout(self):
        said = self.ok('LOGOUT')
        lib.same(said.shape()[-1:], ['BYE'], 'LOGOUT')
        self.close()


class Process(Imap):
    """A session that imapwire.spawn() has started: (process, our end of its socket)."""

    def __init__(self, spawned, timeout=60):
        self.process, ours = spawned
        super().__init__(ours, timeout)

    def peak(self):
        """Most memory it has used, octets."""
        with open('/proc/%d/status' % self.process.pid) as f:
            return next(int(l.split()[1]) * 1024 for l in f if l.startswith('VmHWM'))

    def cpu(self):
        """Seconds of processor time it has used."""
        with open('/proc/%d/stat' % self.process.pid) as f:
            fields = f.read().rpartition(')')[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')

    def close(self):
        super().close()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise lib.Failed('the session did not end')

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
