#!/usr/bin/env python3
# limit: 200
"""Dovecot and mailtree on one Maildir at the same time: random work by both, nothing is
lost, no complaint, and both show the same in the end.

MT_SECONDS     how long (default 120)
"""
import contextlib
import os
import random
import threading
import time

import dovecot
import lib
from dovecot import good

SECONDS = float(os.environ.get('MT_SECONDS', 120))
SEED = int(os.environ.get('MT_SEED', random.randrange(1 << 30)))
BOXES = {'INBOX': 'INBOX', 'Work': 'Work'}


def letter(tag):
    return ('Subject: %s\r\n\r\nletter %s\r\n' % (tag, tag)).encode()


def tag_of(octets):
    return octets.split(b'\r\n')[0][9:].decode()


class Model:
    """Letters that were acknowledged, those that somebody set out to expunge (which may be
    gone), and who had which UID. A move keeps a letter."""

    def __init__(self):
        self.lock = threading.Lock()
        self.delivered, self.doomed = set(), set()
        self.moving, self.raced = {}, set()
        self.uid = {}
        self.counts = {}

    @contextlib.contextmanager
    def moves(self, tag):
        """Dovecot moves by a link and an unlink: of two that move one letter at the same
        moment, each to a name of its own, both may succeed. Only such a letter may be twice."""
        with self.lock:
            self.moving[tag] = self.moving.get(tag, 0) + 1
            if self.moving[tag] > 1:
                self.raced.add(tag)
        try:
            yield
        finally:
            with self.lock:
                self.moving[tag] -= 1

    def count(self, what):
        with self.lock:
            self.counts[what] = self.counts.get(what, 0) + 1

    def saw(self, box, uid, tag):
        """A UID belongs to one letter for ever."""
        with self.lock:
            known = self.uid.setdefault((box, uid), tag)
        lib.check(known == tag, 'UID %d of %s is %s, was %s', uid, box, tag, known)


def by_imap(server, model, pick, name, until):
    client, n = server.imap(), 0
    while time.monotonic() < until:
        box = pick.choice(list(BOXES))
        n += 1
        tag = '%s-%d' % (name, n)
        verb = pick.choice(('append', 'append', 'flag', 'expunge', 'move', 'look'))
        if verb == 'append':
            good(client.append(box, pick.choice(('', '(\\Seen)', '(Key%d)' % pick.randrange(5))),
                               None, letter(tag)))
            with model.lock:
                model.delivered.add(tag)
            model.count('imap append')
            continue
        good(client.select(box))
        uids = good(client.uid('SEARCH', 'ALL'))[0].split()
        if uids:
            uid = pick.choice(uids)
            data = good(client.uid('FETCH', uid, '(BODY.PEEK[])'))
            if data and isinstance(data[0], tuple):
                tag = tag_of(data[0][1])
                model.saw(box, int(uid), tag)
                if verb == 'flag':
                    good(client.uid('STORE', uid, pick.choice(('+FLAGS', '-FLAGS')),
                                    '(\\Flagged Key%d)' % pick.randrange(5)))
                elif verb == 'expunge':
                    with model.lock:
                        model.doomed.add(tag)
                    good(client.uid('STORE', uid, '+FLAGS', '(\\Deleted)'))
                    good(client.uid('EXPUNGE', uid))
                elif verb == 'move':
                    with model.moves(tag):
                        client.uid('MOVE', uid, 'Work' if box == 'INBOX' else 'INBOX')
                model.count('imap ' + verb)
        client.unselect()
    client.logout()


def by_shell(mount, model, pick, name, until):
    n = 0
    while time.monotonic() < until:
        box = pick.choice(list(BOXES))
        path = mount.box(BOXES[box])
        n += 1
        tag = '%s-%d' % (name, n)
        verb = pick.choice(('deliver', 'deliver', 'flag', 'expunge', 'move', 'look'))
        if verb == 'deliver':
            with open('%s/%s' % (path, tag), 'wb') as f:
                f.write(letter(tag))
            with model.lock:
                model.delivered.add(tag)
            model.count('shell deliver')
            continue
        uids = lib.uids(path)
        if not uids:
            continue
        uid = pick.choice(uids)
        eml = '%s/%d.eml' % (path, uid)
        try:
            tag = tag_of(lib.text_of(eml))
            model.saw(box, uid, tag)
            if verb == 'flag':
                lib.ctl(path, 'flags %s\\Answered,Key%d %d' % (pick.choice('+-'),
                                                             pick.randrange(5), uid))
            elif verb == 'expunge':
                with model.lock:
                    model.doomed.add(tag)
                os.unlink(eml)
            elif verb == 'move':
                with model.moves(tag):
                    os.rename(eml,
                              mount.box('Work' if box == 'INBOX' else 'INBOX', '%d.eml' % uid))
            model.count('shell ' + verb)
        except FileNotFoundError:
            model.count('shell: gone meanwhile')


def by_delivery(store, model, pick, name, until):
    n = 0
    while time.monotonic() < until:
        n += 1
        tag = '%s-%d' % (name, n)
        store.deliver(letter(tag).replace(b'\r\n', b'\n'), base='%d.%s.raw' % (time.time(), tag))
        with model.lock:
            model.delivered.add(tag)
        model.count('raw delivery')
        time.sleep(pick.random() * 0.1)


def both_at_once_lose_nothing():
    print('# seed %d, %g s' % (SEED, SECONDS), flush=True)
    with lib.scratch() as folder:
        path = os.path.join(folder, 'home/ann/Maildir')
        store = lib.Maildir(path, uid=lib.MAIL_UID)
        store.folder('Work')
        with dovecot.Dovecot(folder, path) as server, lib.Server(folder, ['ann']) as ours:
            mount, model, failures = ours.view('ann'), Model(), []
            until = time.monotonic() + SECONDS

            def guarded(act, *args):
                try:
                    act(*args)
                except Exception as e:
                    failures.append('%s: %s: %s' % (args[3], type(e).__name__, e))
            threads = [threading.Thread(target=guarded, args=(
                act, where, model, random.Random(SEED + i), name, until))
                for i, (act, where, name) in enumerate((
                    (by_imap, server, 'imap1'), (by_imap, server, 'imap2'),
                    (by_shell, mount, 'shell1'), (by_shell, mount, 'shell2'),
                    (by_delivery, store, 'raw')))]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            lib.check(not failures, '%s', '; '.join(failures))
            _agree(server, mount, model)
            lib.same(server.complaints()[:5], [], "complaints in Dovecot's log")
            print('# %s' % ', '.join('%s %d' % row for row in sorted(model.counts.items())),
                  flush=True)


def _agree(server, mount, model):
    time.sleep(1.5)
    client = server.imap()
    found = []
    for box, path in BOXES.items():
        folder = mount.box(path)
        lib.ctl(folder, 'sync')
        lib.ctl_sizes(folder)
        validity, messages = dovecot.look(client, box)
        head, _, rows = lib.state(folder)
        lib.same(head['uidvalidity'], validity, 'UIDVALIDITY of ' + box)
        lib.same(lib.uids(folder), sorted(messages), 'UIDs of %s, mailtree and Dovecot' % box)
        for uid, (flags, size, _, octets) in messages.items():
            row = rows[uid]
            lib.same((row['size'], row['flags'], row['keywords']),
                     (size, dovecot.letters_of(flags), {f for f in flags if f[0] != '\\'}),
                     '%s %d' % (box, uid))
            lib.same(lib.text_of('%s/%d.eml' % (folder, uid)), octets, 'octets')
            model.saw(box, uid, tag_of(octets))
            found.append(tag_of(octets))
    client.logout()
    lost = model.delivered - set(found) - model.doomed
    lib.check(not lost, '%d letters are lost: %s', len(lost), sorted(lost)[:5])
    twice = {t for t in found if found.count(t) > 1} - model.raced
    lib.check(not twice, 'letters that are there twice: %s', sorted(twice)[:5])
    lib.check(set(found) <= model.delivered, 'letters from nowhere: %s',
              sorted(set(found) - model.delivered)[:5])


if __name__ == '__main__':
    lib.run_tests([both_at_once_lose_nothing])
