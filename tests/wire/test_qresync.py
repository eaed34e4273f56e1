#!/usr/bin/env python3
# limit: 400
"""A client that trusts QRESYNC ends with the true mailbox, whatever happened while it was
away: other sessions, a shell on the mount, other programs in the Maildir, a lost index, an
older copy of the store. $MT_STEPS (300) disconnections; $MT_SERVER: mailtree or dovecot.
"""
import contextlib
import os
import random
import shutil
import time

import imapwire
import lib
from imapwire import numbers_of, set_of
from ledger import ident_of, octets_of
from lib import check

STEPS = int(os.environ.get('MT_STEPS', 300))
SEED = int(os.environ.get('MT_SEED', 1))
SERVER = {'mailtree': imapwire.Mailtree, 'dovecot': imapwire.Dovecot}[
    os.environ.get('MT_SERVER', 'mailtree')]
FLAGS = ('\\Seen', '\\Flagged', '\\Answered', '\\Draft', 'work', '$Later')


class Client:
    """What a client keeps of a mailbox between its connections, and believes."""

    def __init__(self, box):
        self.box = box
        self.validity, self.modseq = None, 0
        self.flags, self.octets = {}, {}	# by UID
        self.resyncs = self.refetched = 0
        self.counts = False	# ask about all when EXISTS is not the number it keeps

    # ---- a connection ----

    def connect(self, server, rnd):
        """SELECT with what is known; what comes back is all that it learns."""
        self.imap = server.imap()
        self.imap.ok('ENABLE QRESYNC')
        how, self.narrow = ' (CONDSTORE)', False
        new = max(self.flags, default=0) + 1
        if self.validity is not None:
            self.resyncs += 1
            how = ' (QRESYNC (%d %d%s))' % (self.validity, self.modseq, self.details(rnd))
        self.uids, self.stale = None, False
        untagged = self.imap.ok('SELECT %s%s' % (self.box, how))
        self.begin(untagged)
        for r in untagged:
            self.take(r)
        if self.narrow:		# new ones were not asked about
            self.run('UID FETCH %d:* (FLAGS)' % new)
        if self.narrow and self.counts and self.exists != len(self.flags):
            self.run('UID FETCH 1:* (FLAGS)')
        self.fill()

    def details(self, rnd):
        """Known UIDs, and some numbers beside their UIDs (RFC 7162 section 3.2.5.1 and 2)."""
        uids = sorted(self.flags)
        self.narrow = bool(uids) and rnd.random() > .3
        if not self.narrow:
            return ''
        if rnd.random() < .5:
            return ' %s' % set_of(uids)
        pairs = [(n, u) for n, u in enumerate(uids, 1) if n % 3 == 1]
        return ' %s (%s %s)' % (set_of(uids), ','.join(str(n) for n, _ in pairs),
                                ','.join(str(u) for _, u in pairs))

    def begin(self, untagged):
        """UIDVALIDITY first: another one makes everything void."""
        said = next(r.code_is('UIDVALIDITY') for r in untagged if r.code_is('UIDVALIDITY'))
        if self.validity != int(said):
            self.validity, self.modseq, self.flags, self.octets = int(said), 0, {}, {}
            self.refetched += 1
            self.stale = True

    def take(self, r):
        if r.name == 'EXISTS':
            self.exists = r.number
        elif r.name == 'VANISHED':
            for uid in numbers_of(r.values[-1]):
                known = self.flags.pop(uid, None)
                self.octets.pop(uid, None)
                if not isinstance(r.values[0], list):
                    self.exists -= 1
                    check(known is not None or self.uids is None, 'VANISHED %d: not known', uid)
        elif r.name == 'FETCH':
            items = r.items()
            check('UID' in items, 'FETCH without UID after ENABLE QRESYNC: %r', r.raw)
            if 'FLAGS' in items:
                self.flags[items['UID']] = items['FLAGS'] - {'\\Recent'}
            if 'BODY[]' in items:
                self.octets[items['UID']] = items['BODY[]']
        else:
            check(r.name != 'EXPUNGE', 'EXPUNGE after ENABLE QRESYNC')
        self.highest(r)

    def highest(self, r):
        said = r.code_is('HIGHESTMODSEQ')
        if said:
            self.modseq = max(self.modseq, int(said))

    def run(self, command):
        done, untagged = self.imap.ask(command)
        check(done.name == 'OK', '%s: %r', command, done.raw)
        for r in untagged:
            self.take(r)
        self.highest(done)

    def fill(self):
        """Octets of what is new; flags too when nothing was known at all."""
        if self.stale and self.exists:
            self.run('UID FETCH 1:* (FLAGS)')
        if self.exists > len(self.flags):
            self.run('UID FETCH %d:* (FLAGS)' % (max(self.flags, default=0) + 1))
        want = [uid for uid in self.flags if uid not in self.octets]
        if want:
            self.run('UID FETCH %s (BODY.PEEK[])' % set_of(want))
        self.uids = True

    def news(self):
        self.run('NOOP')
        self.fill()

    def leave(self, rnd):
        """With a word or without."""
        if rnd.random() < .5:
            self.imap.done('LOGOUT')
        self.imap.close()

    # ---- what it believes ----

    def check(self, truth, when):
        """truth: (UIDVALIDITY, {uid: (flags, octets)})."""
        validity, messages = truth
        lib.same(self.validity, validity, when + ': UIDVALIDITY')
        missing, extra = messages.keys() - self.flags.keys(), self.flags.keys() - messages.keys()
        check(not missing and not extra, '%s: lacks UIDs %s, keeps %s (MODSEQ %d)', when,
              sorted(missing)[:20], sorted(extra)[:20], self.modseq)
        lib.same(self.exists, len(messages), when + ': EXISTS')
        for uid, (flags, octets) in messages.items():
            check(self.flags[uid] == flags, '%s: UID %d has %s, not %s (MODSEQ %d)', when, uid,
                  sorted(flags), sorted(self.flags[uid]), self.modseq)
            lib.same(self.octets[uid], octets, '%s: UID %d' % (when, uid))


def truth(server, box):
    """As a session sees it that has nothing to remember."""
    with server.imap() as imap:
        untagged = imap.ok('EXAMINE ' + box)
        validity = next(int(r.code_is('UIDVALIDITY')) for r in untagged if r.code_is('UIDVALIDITY'))
        out = {}
        for r in imap.ok('UID FETCH 1:* (FLAGS BODY.PEEK[])'):
            if r.name == 'FETCH' and 'BODY[]' in r.items():
                items = r.items()
                out[items['UID']] = (items['FLAGS'] - {'\\Recent'}, items['BODY[]'])
    return validity, out


def truth_of_files(store, box_truth):
    """The same octets as the Maildir has, each once, with the same system flags."""
    of_letter = {'S': '\\Seen', 'F': '\\Flagged', 'R': '\\Answered', 'D': '\\Draft', 'T': '\\Deleted'}
    stored = sorted((lib.wire_of(lib.text_of(path)),
                     sorted(of_letter[c] for c in path.partition(':2,')[2] if c in of_letter))
                    for path in store.files().values())
    shown = sorted((octets, sorted(f for f in flags if f in of_letter.values()))
                   for flags, octets in box_truth[1].values())
    lib.same(len(shown), len(stored), 'messages in the Maildir')
    check(shown == stored, 'a session and the Maildir tell of different messages')


class Others:
    """Everybody else. Each change is one of theirs, at random."""

    def __init__(self, server, store, rnd):
        self.server, self.store, self.rnd, self.ident = server, store, rnd, 0
        self.imap, self.outside = None, False

    def some(self, things):
        things = sorted(things)
        return self.rnd.sample(things, min(len(things), self.rnd.randrange(1, 4)))

    def change(self):
        kinds = [self.append, self.store_flags, self.store_flags, self.expunge, self.move_away,
                 self.deliver, self.rename, self.unlink]
        if self.server.mount:
            kinds += [self.shell_cp, self.shell_rm, self.shell_flags]
        self.rnd.choice(kinds)()

    def session(self):
        if self.imap is None:
            self.imap = self.server.imap()
            self.imap.ok('SELECT INBOX')
        return self.imap

    def hang_up(self):
        if self.imap is not None:
            self.imap.close()
            self.imap = None

    def uids(self):
        return imapwire.search_hits(self.session().ok('UID SEARCH ALL'))

    def message(self):
        self.ident += 1
        return octets_of(self.ident)

    def append(self):
        self.session().append('INBOX', self.message(), ' '.join(self.rnd.sample(FLAGS, 2)))

    def store_flags(self):
        if uids := self.some(self.uids()):
            self.session().ok('UID STORE %s %sFLAGS (%s)' % (
                set_of(uids), self.rnd.choice(('+', '-', '')), ' '.join(self.rnd.sample(FLAGS, 2))))

    def expunge(self):
        if uids := self.some(self.uids()):
            self.session().ok('UID STORE %s +FLAGS (\\Deleted)' % set_of(uids))
            self.session().ok('UID EXPUNGE %s' % set_of(uids))

    def move_away(self):
        if uids := self.some(self.uids()):
            done, _ = self.session().ask('UID MOVE %s Other' % set_of(uids))
            gone = done.code_is('EXPUNGEISSUED') is not None	# unlinked in the Maildir
            check(done.name == 'OK' or gone, 'UID MOVE: %r', done.raw)

    # straight in the Maildir

    def deliver(self):
        self.store.deliver(self.message().replace(b'\r\n', b'\n'))
        self.outside = True

    def rename(self):
        """Other flags, as another program sets them."""
        for path in self.some(self.store.files().values()):
            flags = ''.join(sorted(self.rnd.sample('DFRS', 2)))
            with contextlib.suppress(FileNotFoundError):
                os.rename(path, os.path.join(self.store.path, 'cur', os.path.basename(path).split(
                    ':')[0] + ':2,' + flags))
        self.outside = True

    def unlink(self):
        for path in self.some(self.store.files().values())[:1]:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
        self.outside = True

    # on the mount

    def shell_cp(self):
        path = os.path.join(self.server.folder, 'message')
        with open(path, 'wb') as f:
            f.write(self.message())
        shutil.copyfile(path, self.server.mount.box('INBOX', 'x%d' % self.ident))

    def shell_rm(self):
        for uid in self.some(lib.uids(self.server.mount.box('INBOX'))):
            with contextlib.suppress(FileNotFoundError):	# unlinked in the Maildir
                os.unlink(self.server.mount.box('INBOX', '%d.eml' % uid))

    def shell_flags(self):
        uids = self.some(lib.uids(self.server.mount.box('INBOX')))
        if uids:
            _, status = lib.ctl(self.server.mount.box('INBOX'), 'flags %s%s %s' % (
                self.rnd.choice('+-'), ','.join(self.rnd.sample(FLAGS, 2)), set_of(uids)))
            check(status == 'ok', 'ctl flags: %s', status)

    def noticed(self):
        """What was done behind the server's back is taken in."""
        if not self.outside:
            return
        self.outside = False
        if self.server.mount:		# what is missing is looked for more than once
            lib.wait_until(self.is_taken_in, 10, 'all that changed in the Maildir')
        elif self.imap:
            self.imap.ok('CHECK')

    def is_taken_in(self):
        box = self.server.mount.box('INBOX')
        lib.same(lib.ctl(box, 'sync')[1], 'ok', 'ctl sync')
        names, status = lib.ctl(box, 'names 1:*')
        lib.same(status, 'ok', 'ctl names')
        flags = {uid: row['flags'] for uid, row in lib.state(box)[2].items()}
        shown = {name: flags.get(int(uid)) for uid, name in (line.split(' ') for line in names)}
        return shown == {base: self.letters(path) for base, path in self.store.files().items()}

    @staticmethod
    def letters(path):
        """Its flags as `.mailbox` has them."""
        of_name = path.partition(':2,')[2]
        return ''.join(c for c in 'DFRST' if c in of_name)


@contextlib.contextmanager
def begun(messages=30):
    """(server, store, client, others) with that many messages."""
    rnd = random.Random(SEED)
    with lib.scratch() as folder:
        uid = lib.MAIL_UID if SERVER is imapwire.Dovecot else None
        store = lib.Maildir(os.path.join(folder, 'store', 'Maildir'), uid)
        store.folder('Other')
        with SERVER(folder, store.path) as server:
            others = Others(server, store, rnd)
            for _ in range(messages):
                others.append()
            try:
                yield server, store, Client('INBOX'), others
            finally:
                others.hang_up()


def see(client, server, others, when):
    """Connect, compare with the truth, leave."""
    others.noticed()
    client.connect(server, others.rnd)
    client.check(truth(server, 'INBOX'), when)
    client.leave(others.rnd)


def random_steps():
    with begun() as (server, store, client, others):
        see(client, server, others, 'at first')
        for step in range(STEPS):
            for _ in range(others.rnd.randrange(4)):
                others.change()
            while len(others.uids()) > 60:
                others.expunge()
            if others.rnd.random() < .1:
                others.hang_up()
            others.noticed()
            client.connect(server, others.rnd)
            if others.rnd.random() < .3:		# and while it looks on
                others.change()
                others.noticed()
                client.news()
            client.check(truth(server, 'INBOX'), 'seed %d, step %d' % (SEED, step))
            client.leave(others.rnd)
        truth_of_files(store, truth(server, 'INBOX'))
        print('# %d resynchronisations, %d of them from nothing' % (client.resyncs,
                                                                    client.refetched - 1), flush=True)


def a_lost_index():
    """Whatever the server keeps beside the Maildir is gone, and mail has changed before or
    after that."""
    with begun() as (server, store, client, others):
        see(client, server, others, 'at first')
        for n in range(6):
            if n % 3 != 1:
                for _ in range(5):
                    others.change()
            others.noticed()
            others.hang_up()
            server.forget_index()
            if n % 3 != 2:
                for _ in range(5):
                    others.change()
            others.hang_up()
            see(client, server, others, 'without index, %d' % n)
        truth_of_files(store, truth(server, 'INBOX'))


def an_older_copy():
    """The Maildir comes back from a backup, index and client know of later times. A client
    that names the UIDs it knows is told of no others; so it must count."""
    with begun() as (server, store, client, others):
        client.counts = True
        for n in range(3):
            see(client, server, others, 'before the backup')
            others.hang_up()
            copy = os.path.join(server.folder, 'backup%d' % n)
            lib.run('cp', '-a', store.path, copy)
            for _ in range(8):
                others.change()
            see(client, server, others, 'before the loss')
            others.hang_up()
            if server.mount:
                server.mount.unmount()
            lib.run('rm', '-rf', store.path)
            lib.run('cp', '-a', copy, store.path)
            if server.mount:
                server.mount.start()
            see(client, server, others, 'after the restore')
            for _ in range(5):
                others.change()
            see(client, server, others, 'some time after the restore')
        truth_of_files(store, truth(server, 'INBOX'))


def a_model_that_doubts():
    """The comparison itself finds what a client would believe wrongly."""
    with begun() as (server, store, client, others):
        see(client, server, others, 'at first')
        true = truth(server, 'INBOX')
        uid = min(client.flags)
        for spoil in (lambda: client.flags.pop(uid),
                      lambda: client.flags.update({uid: frozenset(('work',)) ^ client.flags[uid]}),
                      lambda: client.octets.update({uid: client.octets[uid][:-3] + b'!\r\n'}),
                      lambda: client.flags.update({max(client.flags) + 1: frozenset()})):
            kept = dict(client.flags), dict(client.octets)
            spoil()
            try:
                client.check(true, 'spoilt')
            except lib.Failed:
                client.flags, client.octets = kept
            else:
                raise lib.Failed('a wrong belief was not seen')


lib.run_tests([a_model_that_doubts, random_steps, a_lost_index, an_older_copy])
