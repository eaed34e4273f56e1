#!/usr/bin/env python3
"""curl, mpop and Python's poplib each download a maildrop of 1,000 messages byte-exactly.
STORE=mbox: from an mbox."""
import os
import poplib
import sys

import lib
import stores

sys.path.insert(0, os.path.join(lib.ROOT, 'tests/data'))
from make_fixtures import HEAD, fixtures  # noqa: E402

USER = 'ann'


def maildrop():
    """1,000 different messages: every small oddity, then lines of all lengths."""
    out = [stored for stored in fixtures().values() if len(stored) <= 70000][:250]
    for i in range(len(out), 1000):
        body = b''.join(b'.' * (n % 4) + b'%d ' % i + b'x' * (n * 7 % 90) + b'\n'
                        for n in range(i % 60))
        end = (b'', b'no end', b'.', b'..\n', b'caf\xc3\xa9\n')[i % 5]
        out.append(HEAD.replace(b'fixture', b'number %d' % i) + body + end)
    return out


class drop:
    """A server for one user with these messages; gives (server, messages by number)."""

    def __init__(self, messages):
        self.messages = messages

    def __enter__(self):
        self.folder = lib.scratch()
        self.server = lib.Server(self.folder.__enter__(), [USER],
                                 location=stores.mail_location())
        store = stores.new(self.server.home(USER), lib.MAIL_UID)
        for stored in self.messages:
            store.deliver(stored, info=':2,')
        pop = self.server.session(USER)		# the order of numbers is that of UIDs
        lib.same(len(pop.table('LIST')), len(self.messages), 'messages in the maildrop')
        pop.quit()
        stored = store.by_uid()
        return self.server, {n: stored[uid] for n, uid in enumerate(sorted(stored), 1)}

    def __exit__(self, *why):
        self.server.stop()
        self.folder.__exit__(*why)


def compare(got, want):
    wrong = [n for n in want if got.get(n) != lib.wire_of(want[n])]
    if wrong:
        n = wrong[0]
        lib.same(got.get(n), lib.wire_of(want[n]), '%d of %d differ; number %d' %
                 (len(wrong), len(want), n))
    lib.same(len(got), len(want), 'messages downloaded')


def curl_downloads_everything():
    """curl writes CRLF for a message of no octets, whoever serves it: it takes the line end
    before the final dot for part of the message."""
    with drop(maildrop()) as (server, want):
        out = os.path.join(server.folder, 'out')
        os.mkdir(out)
        url = 'pop3://%s:secret-%s@127.0.0.1:%d/' % (USER, USER, server.port)
        listed = lib.run('curl', '-sS', url).stdout.decode().split('\n')
        sizes = dict(map(int, line.split()) for line in listed if line.strip())
        lib.run('curl', '-sS', url + '[1-%d]' % len(want), '-o', out + '/#1')
        got = {int(n): lib.text_of(os.path.join(out, n)) for n in os.listdir(out)}
        lib.same(sizes, {n: len(lib.wire_of(w)) for n, w in want.items()}, 'sizes of LIST')
        for n in want:
            if sizes[n] == 0 and got[n] == b'\r\n':
                got[n] = b''
        compare(got, want)


def poplib_downloads_everything():
    """poplib cuts lines at CR and at 2,048 octets, so it reads a maildrop without those."""
    plain = [m for m in maildrop()
             if b'\r' not in m and max(map(len, m.split(b'\n'))) < 2000]
    more = [HEAD + b'number %d\n' % i for i in range(1000 - len(plain))]
    with drop(plain + more) as (server, want):
        pop = poplib.POP3('127.0.0.1', server.port, timeout=60)
        pop.user(USER)
        pop.pass_('secret-' + USER)
        lib.same(pop.stat(), (1000, sum(len(lib.wire_of(w)) for w in want.values())), 'STAT')
        got = {}
        for n in range(1, 1001):
            lines = pop.retr(n)[1]
            got[n] = b''.join(line + b'\r\n' for line in lines)
        lib.same(len({u.split()[1] for u in pop.uidl()[1]}), 1000, 'UIDLs')
        lib.check('UIDL' in pop.capa(), 'CAPA')
        pop.quit()
        compare(got, want)


def mpop_downloads_everything():
    """mpop stores LF lines, so a CR before each LF is taken off what was wanted. It reads
    lines of text: messages with NULs or CRs elsewhere are not for it; an mbox or Maildir of
    its own would have to change them."""
    texts = [m for m in maildrop() if b'\0' not in m and b'\r' not in m and m]
    more = [HEAD + b'number %d\n' % i for i in range(1000 - len(texts))]
    with drop(texts + more) as (server, want):
        out = lib.Maildir(os.path.join(server.folder, 'out'))
        rc = os.path.join(server.folder, 'mpoprc')
        with open(rc, 'w') as f:
            f.write('account a\nhost 127.0.0.1\nport %d\nuser %s\npassword secret-%s\n'
                    'auth user\ntls off\nkeep on\nreceived_header off\nuidls_file %s\n'
                    'delivery maildir %s\n' % (server.port, USER, USER,
                                               os.path.join(server.folder, 'uidls'), out.path))
        os.chmod(rc, 0o600)
        lib.run('mpop', '-q', '-C', rc, 'a')
        got = sorted(lib.text_of(path) for path in out.files().values())
        stored = sorted(lib.wire_of(w).replace(b'\r\n', b'\n') for w in want.values())
        missing = [m for m in stored if m not in set(got)]
        lib.check(not missing, '%d of %d differ, the first: %.80r', len(missing), len(stored),
                  missing[:1])
        lib.same(len(got), 1000, 'messages downloaded')
        lib.run('mpop', '-q', '-C', rc, 'a')	# all UIDLs are known now
        lib.same(len(out.files()), 1000, 'after a second run')


if __name__ == '__main__':
    lib.run_tests([
        curl_downloads_everything,
        poplib_downloads_everything,
        mpop_downloads_everything,
    ])
