#!/usr/bin/env python3
"""mbsync and OfflineIMAP, two ways over several rounds: in the end both stores hold the same
octets with the same flags, whichever side did what. STORE=mbox: with mboxes on the server."""
import os
import random
import re

import lib
import stores
from dovecot import good
from imapserver import Served, USER, flags_of

BOXES = ('INBOX', 'Work', 'Lists')
ROUNDS = 4


def letter(tag, n=0):
    body = (b'plain text\n', b'caf\xc3\xa9 \xff\n', b'.\n..\n.dot\n', b'x' * 3000 + b'\nlong\n',
            b'\n\nempty lines\n\n\n', b'From here\n>From there\n')[n % 6]
    return (b'From: ann@example.org\nSubject: %s\nMessage-ID: <%s@example.org>\n'
            b'Date: Mon, 02 Jan 2023 03:04:05 +0000\n\n' % ((tag.encode(),) * 2)) + body


class Near:
    """The client's Maildirs, side by side below `path`."""

    def __init__(self, path):
        self.path = path

    def box(self, name):
        return stores.Maildir(os.path.join(self.path, name))


class Work:
    """Random work on both sides; which letter each side still has is for the stores to say."""

    def __init__(self, served, near, seed):
        self.served, self.near, self.pick, self.n = served, near, random.Random(seed), 0

    def _new(self, side):
        self.n += 1
        return letter('%s-%d' % (side, self.n), self.n)

    def here(self):
        """As a mail reader does with a Maildir."""
        for verb in ('new', 'new', 'flag', 'flag', 'remove', 'move'):
            name = self.pick.choice(BOXES)
            box = self.near.box(name)
            files = sorted(box.files().items())
            if verb == 'new':
                box.deliver(self._new('near'), info=':2,S', base='%d.n%d.near' %
                            (1700000000 + self.n, self.n))
            elif files:
                base, path = self.pick.choice(files)
                if verb == 'flag':
                    letters = ''.join(sorted(self.pick.sample('FRS', self.pick.randrange(4))))
                    base = os.path.basename(path).split(':')[0]
                    os.rename(path, os.path.join(box.path, 'cur', base + ':2,' + letters))
                elif verb == 'remove':
                    os.unlink(path)
                else:
                    to = self.near.box(self.pick.choice([b for b in BOXES if b != name]))
                    os.rename(path, os.path.join(to.path, 'cur', '%d.m%d.near:2,%s' %
                                                 (1700000000 + self.n, self.n, flags_of(path))))
                    self.n += 1

    def there(self):
        """By another client's IMAP session."""
        client = self.served.imap()
        for verb in ('append', 'append', 'flag', 'flag', 'expunge', 'move'):
            name = self.pick.choice(BOXES)
            if verb == 'append':
                good(client.append(name, self.pick.choice(('', '(\\Seen)', '(\\Flagged)')),
                                   None, lib.wire_of(self._new('far'))))
                continue
            good(client.select(name))
            uids = good(client.uid('SEARCH', 'ALL'))[0].split()
            if not uids:
                continue
            uid = self.pick.choice(uids).decode()
            if verb == 'flag':
                flags = ' '.join(self.pick.sample(('\\Flagged', '\\Answered', '\\Seen'),
                                                  self.pick.randrange(4)))
                good(client.uid('STORE', uid, 'FLAGS', '(%s)' % flags))
            elif verb == 'expunge':
                good(client.uid('STORE', uid, '+FLAGS', '(\\Deleted)'))
                good(client.uid('EXPUNGE', uid))
            else:
                to = self.pick.choice([b for b in BOXES if b != name])
                good(client.uid('MOVE', uid, to))
            good(client.close())
        client.logout()


def content(box, without):
    """What a mailbox holds: sorted (octets on the wire, flags)."""
    out = []
    for m in box.messages():
        wire = lib.wire_of(m.octets)
        out.append((re.sub(without, b'', wire, count=1) if without else wire, m.flags))
    return sorted(out)


def same_stores(served, near, without, when):
    total = 0
    for name in BOXES:
        far, here = content(served.box(name), without), content(near.box(name), without)
        lost = [f for f in far if f not in here]
        more = [h for h in here if h not in far]
        lib.check(not lost and not more, '%s: %s: only there %.200r, only here %.200r', when, name,
                  lost[:1], more[:1])
        lib.same(len(here), len(far), '%s: %s: messages' % (when, name))
        total += len(far)
    return total


def sync_both_ways(served, near, sync, without, seed):
    """Rounds of work and sync; what the clients add of their own is in `without`."""
    client = served.imap()
    for name in BOXES[1:]:
        good(client.create(name))
        good(client.subscribe(name))
    client.logout()
    for n in range(8):
        served.store.deliver(letter('first-%d' % n, n))
    sync()
    lib.same(same_stores(served, near, without, 'at first'), 8, 'messages at first')
    work = Work(served, near, seed)
    for n in range(ROUNDS):
        work.here()
        work.there()
        sync()
        sync()		# what the first carried over is settled by the second
        total = same_stores(served, near, without, 'round %d' % n)
    lib.check(total >= 8, 'only %d messages in the end', total)
    before = [s.box(b).state() for s in (served, near) for b in BOXES]
    sync()
    after = [s.box(b).state() for s in (served, near) for b in BOXES]
    lib.same(after, before, 'files after a sync with nothing to do')


MBSYNC = '''
FSync no
IMAPAccount a
Host 127.0.0.1
Port %(port)d
User %(user)s
Pass %(password)s
SSLType None
AuthMechs %(mechanism)s
PipelineDepth %(depth)d

IMAPStore far
Account a

MaildirStore near
Path %(near)s/
Inbox %(near)s/INBOX
SubFolders Verbatim

Channel c
Far :far:
Near :near:
Patterns *
Create Both
Expunge Both
Sync All
SyncState *
CopyArrivalDate yes
'''


def mbsync(depth, seed):
    with Served() as served:
        near = Near(served.path('near'))
        os.mkdir(near.path)
        rc = served.write('mbsyncrc', MBSYNC % {
            'port': served.port, 'user': USER, 'password': served.password, 'near': near.path,
            'depth': depth, 'mechanism': 'LOGIN' if depth == 1 else 'PLAIN LOGIN'})

        def sync():
            said = lib.run('mbsync', '-c', rc, '-a', '-q')
            complaints = [line for line in said.stderr.splitlines() if b'in the clear' not in line]
            lib.same(complaints, [], 'complaints of mbsync')
        # mbsync marks what it carries over, to find it again.
        sync_both_ways(served, near, sync, rb'X-TUID: [^\r]*\r\n', seed)
        dates(served, near)


def dates(served, near):
    """CopyArrivalDate: INTERNALDATE and the files' mtimes are the same."""
    for name in BOXES:
        far, here = ({subject(m): m.date for m in s.box(name).messages()} for s in (served, near))
        lib.same(here, far, 'dates of arrival in ' + name)


def subject(message):
    return re.search(rb'^Subject: ([^\r\n]*)', message.octets, re.M).group(1)


def mbsync_pipelined():
    mbsync(50, 1)


def mbsync_one_command_at_a_time():
    mbsync(1, 2)


OFFLINEIMAP = '''
[general]
accounts = a
metadata = %(folder)s/metadata
ui = quiet
fsync = False
[Account a]
localrepository = near
remoterepository = far
[Repository near]
type = Maildir
localfolders = %(near)s
[Repository far]
type = IMAP
remotehost = 127.0.0.1
remoteport = %(port)d
remoteuser = %(user)s
remotepass = %(password)s
auth_mechanisms = %(mechanism)s
ssl = no
starttls = no
'''


def offlineimap():
    with Served() as served:
        near = Near(served.path('near'))
        rc = served.write('offlineimaprc', OFFLINEIMAP % {
            'folder': served.folder, 'near': near.path, 'port': served.port, 'user': USER,
            'password': served.password, 'mechanism': 'PLAIN'})

        def sync():
            lib.run('offlineimap', '-c', rc, '-o', '-1',
                    env=dict(os.environ, HOME=served.folder))
        sync_both_ways(served, near, sync, None, 3)


if __name__ == '__main__':
    lib.run_tests([
        mbsync_pipelined,
        mbsync_one_command_at_a_time,
        offlineimap,
    ])
