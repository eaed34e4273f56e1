#!/usr/bin/env python3
"""What has brought IMAP servers down: each attack ends within moments, the session's memory
stays bounded, and other commands still work."""
import os
import random
import re
import time

import lib
from imapserver import Mounted
from test_imap_protocol import MAIL, ONE, WIRE

VERSION = b'MIME-Version: 1.0\n'
MULTIPART = VERSION + b'Content-Type: multipart/mixed; boundary='
MEMORY_MAX = 48 << 20		# of a session, whatever is done to it
SECONDS_MAX = 1.0		# of the processor, for one command; ten times that by the clock
if lib.sanitised('mailtree-imap'):	# it is another program then, but still a bounded one
    MEMORY_MAX, SECONDS_MAX = 4 * MEMORY_MAX, 16 * SECONDS_MAX


class Guarded:
    """A session whose commands are timed; at the end its peak of memory is looked at."""

    def __init__(self, mail, box='INBOX', memory=MEMORY_MAX):
        self.mail, self.box, self.memory, self.session = mail, box, memory, None

    def __enter__(self):
        self.session = self.mail.session(self.box)
        return self

    def ask(self, command, seconds=SECONDS_MAX):
        began, cpu = time.monotonic(), self.session.cpu()
        said = self.session.ask(command)
        took, cpu = time.monotonic() - began, self.session.cpu() - cpu
        lib.check(cpu <= seconds, '%.80r took %.2f s of the processor', command, cpu)
        lib.check(took <= 10 * seconds, '%.80r took %.2f s', command, took)
        return said

    def ok(self, command, seconds=SECONDS_MAX):
        said = self.ask(command, seconds)
        lib.check(said.status == 'OK', '%.80r: %r', command, said.tagged)
        return said

    def __exit__(self, kind, *_):
        try:
            if kind is None:
                self.session.ok('NOOP')
                peak = self.session.peak()
                lib.check(peak < self.memory, 'the session used %.1f MB', peak / 1e6)
        finally:
            self.session.__exit__()


def flood(mail, octets, times):
    """Send that again and again until the session ends or all is taken; (its last answers,
    its peak of memory)."""
    imap = mail.session('INBOX')
    began, peak = time.monotonic(), 0
    try:
        for _ in range(times):
            imap.send(octets)
            peak = max(peak, imap.peak())
        imap.send(b'\r\nz NOOP\r\n')
        while (r := imap.response()).tag != 'z':
            pass
        said = r.name
    except (OSError, EOFError, StopIteration):
        said = 'closed'
    lib.check(time.monotonic() - began < 10, 'it took %.1f s', time.monotonic() - began)
    imap.__exit__()
    return said, peak


def lines_without_an_end():
    """10^6 and more of one octet without a line end."""
    with Mounted(MAIL) as mail:
        for octet in (b'(', b'{', b'"', b' ', b'a', b'\\', b')', b'[', b'\0', b'\r', b'%', b'~'):
            for before in (b'', b'a SEARCH ', b'a FETCH 1 BODY[HEADER.FIELDS ', b'a LIST "" '):
                said, peak = flood(mail, before + octet * 50000, 1 if before else 24)
                lib.check(said in ('OK', 'closed'), '%r: %s', octet, said)
                lib.check(peak < MEMORY_MAX, '%r: %.1f MB', octet, peak / 1e6)


def deep_and_long_arguments():
    with Mounted(MAIL) as mail, Guarded(mail) as imap:
        for depth in (10, 60, 100, 5000, 50000):
            for left, middle, right in (('(', 'ALL', ')'), ('NOT ', 'ALL', ''),
                                        ('OR ALL ', 'ALL', ''), ('OR NOT ', 'ALL', ' ALL'),
                                        ('(NOT ', 'SEEN', ')')):
                said = imap.ask('SEARCH ' + left * depth + middle + right * depth)
                lib.check(said.status in ('OK', 'BAD', 'NO'), '%s: %r', left, said.tagged)
                lib.check(depth > 10 or said.status == 'OK', '%s × 10: %r', left, said.tagged)
        for command in ('FETCH 1 (%s)' % ' '.join(['FLAGS'] * 20000),
                        'FETCH 1 (%s)' % ' '.join(['BODY.PEEK[1]'] * 5000),
                        'FETCH 1 BODY.PEEK[%s]' % '.'.join(['1'] * 30000),
                        'FETCH 1 BODY.PEEK[HEADER.FIELDS (%s)]' % ' '.join(['A'] * 30000),
                        'FETCH %s FLAGS' % ','.join(['1:3'] * 30000),
                        'FETCH %s FLAGS' % ','.join('%d:%d' % (n, n) for n in [1, 3] * 20000),
                        'SEARCH UID ' + ','.join(str(n * 7) for n in range(17000)),
                        'SEARCH ' + ' '.join(['UID 1:*'] * 10000),
                        'STORE 1 FLAGS (%s)' % ' '.join('k%d' % n for n in range(10000)),
                        'STORE 1 FLAGS (%s)' % ('k' * 100000),
                        'STATUS INBOX (%s)' % ' '.join(['MESSAGES'] * 10000),
                        'LIST "" (%s)' % ' '.join(['*'] * 30000),
                        'ENABLE ' + ' '.join(['X'] * 30000),
                        'ID (%s)' % ' '.join(['"a" "b"'] * 10000)):
            said = imap.ask(command)
            lib.check(said.status in ('OK', 'BAD', 'NO'), '%.60s: %r', command, said.tagged)


def many_literals():
    """The sum of the literals of one command is bounded."""
    with Mounted(MAIL) as mail, Guarded(mail) as imap:
        for n, size in ((30000, 1), (1000, 1000), (100, 100000), (17, 1 << 20)):
            text = '{%d+}\r\n%s ' % (size, 'x' * size)
            said = imap.ask('SEARCH ' + ('NOT SUBJECT ' + text) * n + 'ALL')
            lib.check(said.status in ('OK', 'BAD', 'NO'), '%d × %d: %r', n, size, said.tagged)
            lib.check(size * n < 2 << 20 or said.status != 'OK', '%d × %d was taken', n, size)


def strange_names_stay_inside():
    with Mounted(MAIL) as mail, mail.session() as imap:
        outside = os.path.join(mail.folder, 'outside')
        secret = lib.Maildir(outside)
        secret.deliver(ONE)
        os.symlink(outside, os.path.join(mail.store.path, '.Planted'))
        os.symlink('/etc', os.path.join(mail.store.path, '.Etc'))
        before = sorted(os.listdir(mail.folder))
        for name in ('../outside', '..', '.', '/etc', '~root', '~', '&AC8-etc', 'a/../../outside',
                     '../store', 'a' * 300, 'a.' * 200 + 'a', 'a..b', '.a', 'x\x01y', 'x\x7fy',
                     'Planted', 'Etc', 'INBOX/../../outside', '&AC4-&AC4-', '*', '%'):
            for command in ('SELECT', 'EXAMINE', 'CREATE', 'DELETE', 'SUBSCRIBE', 'STATUS',
                            'APPEND', 'RENAME', 'LIST'):
                more = {'STATUS': ' (MESSAGES)', 'APPEND': ' {1+}\r\nx', 'RENAME': ' There'}
                said = imap.ask('%s %s"%s"%s' % (command, '"" ' * (command == 'LIST'), name,
                                                  more.get(command, '')))
                lib.check(said.status in ('OK', 'NO', 'BAD'), '%s %r', command, name)
                if command in ('SELECT', 'EXAMINE') and said.status == 'OK':
                    lib.check(imap.ok('FETCH 1:* UID').fetched() == {}, 'mail in %r', name)
                for r in said.named('STATUS'):
                    lib.same(r.args[1][1], '0', 'messages in %r' % name)
        listed = imap.ok('LIST "" *')
        lib.check(not re.search(rb'passwd|outside|\.\.', b''.join(r.raw for r in listed.untagged)),
                  'LIST left the store: %r', listed.untagged)
        lib.same(sorted(os.listdir(mail.folder)), before, 'what lies beside the store')
        lib.same(len(secret.files()), 1, 'messages outside')
        imap.logout()


def names_with_octets_that_are_none():
    with Mounted(MAIL) as mail, mail.session() as imap:
        before = sorted(os.listdir(mail.store.path))
        for octets in (b'a\0b', b'\0', b'a\r\nb', b'a\nb', b'\xff\xfe', b'caf\xe9', b'\xc0\xaf',
                       b'\xed\xa0\x80', b'a)b\0', b'&', b'&AGE', b'&2AA-', b'\x7f'):
            for command in ('CREATE', 'SUBSCRIBE'):
                imap.send(b'n %s {%d+}\r\n%s\r\n' % (command.encode(), len(octets), octets))
                said = imap.answer('n')
                lib.check(said.status in ('NO', 'BAD'), '%s %r: %r', command, octets, said.tagged)
        lib.same(sorted(os.listdir(mail.store.path)), before, 'the store')
        imap.logout()


def keywords_that_are_none():
    """Nothing of a flag reaches a file or another session but what the grammar allows."""
    with Mounted(MAIL) as mail, mail.session('INBOX') as imap:
        for flag in ('a)b', 'a\rb', 'ü', 'a"b', 'a{b', '\\', '\\\\', 'a\\b', '*', '%', 'a]b',
                     '"a b"', '(a)', 'a\x01', 'a\0', ''):
            imap.send(b'k STORE 1 +FLAGS (%s)\r\n' % flag.encode())
            said = imap.answer('k')
            lib.check(said.status in ('NO', 'BAD') or flag in ('', 'a]b'), '%r: %r', flag,
                      said.tagged)
        imap.send(b'l STORE 1 +FLAGS ({5+}\r\na\r\nb)\r\n')
        lib.check(imap.answer('l').status in ('NO', 'BAD'), 'a literal as a flag')
        flags = imap.ok('FETCH 1 FLAGS').fetched()[1]['FLAGS']
        lib.check(set(flags) <= {'\\Recent', 'a]b'}, 'flags: %r', flags)
        imap.logout()


def list_with_many_wildcards():
    name = 'a' * 200
    with Mounted() as mail, Guarded(mail) as imap:
        imap.ok('CREATE ' + name)
        for n in range(30):
            imap.ok('CREATE %s%d' % ('ab' * 50, n))
        for pattern in ('*a' * 50 + '*b*c', '%a' * 90 + 'b', '*' * 5000, '%' * 5000,
                        '*%' * 3000 + 'x', '*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*z',
                        '*?*' * 3000):
            imap.ok('LIST "" "%s"' % pattern)
            imap.ok('LSUB "" "%s"' % pattern)


def huge_header():
    to = b'To: ' + b', '.join(b'"N%d" <a%d@example.org>' % (n, n) for n in range(300000)) + b'\n'
    with Mounted([b'Subject: x\n' + b'To: a@example.org\n' * 500000 + b'\nbody\n',
                  to + b'\nbody\n', b'X: ' + b'y' * (20 << 20) + b'\nSubject: late\n\nbody\n',
                  b'X: ' + b'y\n ' * (4 << 20) + b'\n\nbody\n',
                  b'X\n' * 1000000 + b'\n', b':\n' * 1000000 + b'\n',
                  MULTIPART + b'"' + b'b' * (1 << 20) + b'"\n\n--b\n'],
                 info=':2,') as mail:
        with Guarded(mail) as imap:
            for n in range(1, 8):
                for item in ('ENVELOPE', 'BODYSTRUCTURE', 'BODY.PEEK[HEADER.FIELDS (SUBJECT)]',
                             'BODY.PEEK[HEADER]<100.10>', 'BODY.PEEK[1]<0.10>'):
                    imap.ok('FETCH %d %s' % (n, item))
            for key in ('SUBJECT late', 'TO nobody', 'HEADER X nothing', 'BODY zzz'):
                imap.ok('SEARCH ' + key, 5 * SECONDS_MAX)
            got = imap.ok('FETCH 3 ENVELOPE').fetched()[3]['ENVELOPE']
            lib.check(got[1] in (b'late', None), 'subject after a long line: %.80r', got)


def nested(n, boundary=b''):
    out = []
    for i in range(n):
        out.append(MULTIPART + b'"%d%s"\n\n--%d%s\n' % (i, boundary, i, boundary))
    return b''.join(out) + b'\nleaf\n'


def bombs_of_structure():
    rng = random.Random(7)
    many = MULTIPART + b'b\n\n' + b'--b\n\nx\n' * 200000 + b'--b--\n'
    empty = MULTIPART + b'b\n\n' + b'--b\n' * 1000000
    params = VERSION + b'Content-Type: text/plain' + b''.join(
        b';\n p*%d=%d' % (n, n) for n in range(100000)) + b'\n\nbody\n'
    names = VERSION + b'Content-Type: text/plain' + b''.join(
        b';\n p%d*0*=a%%20' % n for n in range(100000)) + b'\n\nbody\n'
    same_start = MULTIPART + b'-' * 60 + b'\n\n' + b'-' * (4 << 20)
    lines = MULTIPART + b'b\n\n' + b'--' * (2 << 20) + b'\n'
    messages = (VERSION + b'Content-Type: message/rfc822\n\n') * 50000 + b'\nleaf\n'
    with Mounted([nested(50000), messages, many, empty, params, names, same_start, lines,
                  nested(3000, b'x' * 60) +
                  b''.join(b'--%d%s--\n' % (i, b'x' * 60) for i in reversed(range(3000))),
                  b'Subject: (\\', b'Subject: =?utf-8?b?' + b'A' * (2 << 20), b'From: (' * 100000,
                  b'From: ' + b'(' * 500000, b'From: ' + b'"' * 500001, b'From: ' + b'a:' * 300000,
                  b'To: ' + b'<@a,' * 200000 + b'\n\n', b'From: ' + b'a b ' * 300000 + b'<',
                  b'Subject: ' + b'=?x?q?a?= ' * 200000 + b'\n\n',
                  bytes(rng.randrange(256) for _ in range(1 << 18))], info=':2,') as mail:
        with Guarded(mail) as imap:
            n = imap.session.ok('STATUS INBOX (MESSAGES)').one('STATUS').args[1][1]
            for i in range(1, int(n) + 1):
                for item in ('ENVELOPE', 'BODYSTRUCTURE', 'BODY', 'BODY.PEEK[1.1.1.1.1.1.1.1]',
                             'BODY.PEEK[1.MIME]', 'BODY.PEEK[199999]<0.10>', 'BINARY.SIZE[1]'):
                    said = imap.ask('FETCH %d %s' % (i, item))
                    lib.check(said.status in ('OK', 'NO'), '%d %s: %r', i, item, said.tagged)
            for key in ('SUBJECT zzz', 'FROM zzz', 'BODY zzz', 'TEXT zzz'):
                imap.ok('SEARCH ' + key, 5 * SECONDS_MAX)


def large_binary():
    """Decoded and searched as it streams by."""
    body = b'QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWZnaGlqa2xtbm9wcXJzdHV2d3h5\n' * 500000
    with Mounted([VERSION + b'Content-Transfer-Encoding: base64\n\n' + body,
                  VERSION + b'Content-Transfer-Encoding: quoted-printable\n\n' +
                  b'=41=\n' * 1000000,
                  VERSION + b'Content-Transfer-Encoding: base64\n\n' + b'!' * (20 << 20),
                  VERSION + b'Content-Type: text/html\n\n' + b'<' * (10 << 20)],
                 info=':2,') as mail:
        with Guarded(mail) as imap:
            imap.session.ok('FETCH 1:4 RFC822.SIZE')
            got = imap.ok('FETCH 1 BINARY.SIZE[1]').fetched()[1]
            lib.same(got['BINARY.SIZE[1]'], str(500000 * 51), 'BINARY.SIZE')
            got = imap.ok('FETCH 1 BINARY.PEEK[1]', 2 * SECONDS_MAX).fetched()[1]['BINARY[1]']
            lib.same((len(got), got[:26], got[-26:]), (500000 * 51,
                     b'ABCDEFGHIJKLMNOPQRSTUVWXYZ', b'Zabcdefghijklmnopqrstuvwxy'), 'BINARY')
            for n in (2, 3, 4):
                imap.ask('FETCH %d BINARY.PEEK[1]<900000.10>' % n)
                imap.ask('FETCH %d BINARY.SIZE[1]' % n)
            said = imap.ok('SEARCH BODY "yABCDEFG"', 5 * SECONDS_MAX)
            lib.same(said.numbers(), [1], 'SEARCH over the seams')


def truncated_behind_our_back():
    """Files that shrink or grow under a session: an error or a closed connection, never
    octets that are not the message's, never a crash."""
    big = b'Subject: big\n\n' + b'line of the large message\n' * 40000
    wire = lib.wire_of(big)
    with Mounted([big] * 6, info=':2,') as mail:
        with mail.session('INBOX') as imap:
            imap.ok('FETCH 1:* RFC822.SIZE')
            bases, files = dict(mail.store.uidlist()[1]), mail.store.files()
            for uid, size in ((2, 0), (3, 100), (4, len(big) - 1), (5, len(big) * 2)):
                with open(files[bases[uid]], 'r+b') as f:
                    f.truncate(size)
            try:
                for n in range(1, 7):
                    said = imap.ask('FETCH %d BODY.PEEK[]' % n)
                    got = said.fetched().get(n, {}).get('BODY[]')
                    lib.check(got is None or len(got) in (len(wire), 0) or said.status == 'NO',
                              '%d: %s octets', n, got and len(got))
            except (EOFError, ConnectionResetError):
                pass		# what was announced could not be sent
        with mail.session('INBOX') as imap:
            lib.same(imap.ok('FETCH 1 BODY.PEEK[]').fetched()[1]['BODY[]'], wire, 'another session')
            imap.logout()


def corrupt_caches():
    """Files of the index and blobs that are damaged: rebuilt, never believed."""
    rng = random.Random(11)
    with Mounted(MAIL * 5) as mail:
        def look():
            with mail.session('INBOX') as imap:
                got = imap.ok('FETCH 1:* (UID ENVELOPE BODYSTRUCTURE RFC822.SIZE '
                              'BODY.PEEK[])').fetched()
                imap.logout()
            return got
        want = look()
        lib.same([want[n]['BODY[]'] for n in sorted(want)], WIRE * 5, 'octets')
        lib.same(look(), want, 'from the cache')
        index = mail.server.mount.index
        for _ in range(4):
            mail.server.mount.unmount()
            for above, _, names in os.walk(index):
                for name in names:
                    path = os.path.join(above, name)
                    size = os.path.getsize(path)
                    with open(path, 'r+b') as f:
                        for _ in range(20 if size else 0):
                            f.seek(rng.randrange(size))
                            f.write(bytes([rng.randrange(256)]))
            mail.server.mount.start()
            lib.same(look(), want, 'after damage')


def colliding_words():
    """Many names of flags, header fields and mailboxes at once take no time that grows."""
    with Mounted(MAIL) as mail, Guarded(mail) as imap:
        fields = ' '.join('X%d' % n for n in range(15000))
        imap.ask('FETCH 1:3 BODY.PEEK[HEADER.FIELDS (%s)]' % fields)
        for n in range(0, 200, 20):
            imap.ask('STORE 1:3 +FLAGS (%s)' % ' '.join('key%d' % k for k in range(n, n + 20)))
        imap.ok('FETCH 1:3 FLAGS')


if __name__ == '__main__':
    lib.run_tests([
        lines_without_an_end,
        deep_and_long_arguments,
        many_literals,
        strange_names_stay_inside,
        names_with_octets_that_are_none,
        keywords_that_are_none,
        list_with_many_wildcards,
        huge_header,
        bombs_of_structure,
        large_binary,
        truncated_behind_our_back,
        corrupt_caches,
        colliding_words,
    ])
