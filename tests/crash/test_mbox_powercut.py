#!/usr/bin/env python3
# limit: 600
"""The power goes while an mbox on ext4 is changed: the file system is shut down, with its log
or without, mounted again, and mailtreed is started on what is there. The mailbox is as it was
before the change that was under way, or as after it; what was acknowledged is there; the file
itself says the same. The mbox and mailtree's index lie on that file system, on a loop device.

MT_POWERCUTS        cuts (default 4)
MT_POWERCUT_SEED    for the same choices again (the cuts still fall where they fall)
"""
import os
import random
import re
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '../wire'))
sys.dont_write_bytecode = True
import lib  # noqa: E402

CUTS = int(os.environ.get('MT_POWERCUTS', 4))
SEED = int(os.environ.get('MT_POWERCUT_SEED', random.randrange(1 << 30)))
FLAGS = ('\\Seen', '\\Flagged', '\\Answered', '\\Draft', 'work', 'a-keyword-of-some-length')
LETTERS = {'\\Seen': 'S', '\\Flagged': 'F', '\\Answered': 'R', '\\Draft': 'D'}
FROM = re.compile(rb'^From \S+ +\w{3} \w{3} [ \d]\d [\d:]{8} \d{4}\n', re.M)


class Disk:
    """An ext4 on a loop device that can lose its power."""

    def __init__(self, folder):
        self.image, self.path = folder + '/image', folder + '/disk'
        os.mkdir(self.path)
        with open(self.image, 'wb') as f:
            f.truncate(64 << 20)
        lib.run('mkfs.ext4', '-q', '-F', self.image)
        self.mount()

    def mount(self):
        lib.run('mount', '-o', 'loop', self.image, self.path)

    def cut(self, how):
        """`-f`: what it has logged so far reaches the disk first."""
        lib.run('xfs_io', '-x', '-c', 'shutdown ' + how, self.path)

    def umount(self):
        lib.run('umount', self.path)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        lib.run('umount', '-l', self.path, ok=False)


def letter(tag, lines):
    return b'From: a@b\nSubject: %s\n\n' % tag.encode() + b'some line of text\n' * lines


class Model:
    """What is there: tag -> set of flags; `before` and `after` differ while a change runs."""

    def __init__(self):
        self.before, self.after = {}, {}
        self.text, self.uid = {}, {}
        self.validity, self.serial, self.what = None, 0, 'nothing'

    def begin(self, what, after):
        self.what, self.after = what, after

    def done(self):
        self.before = self.after

    def learn(self, box):
        """Compare a fresh mount with what may be; from then on it is certain."""
        lib.ctl_sizes(box)
        head, _, rows = lib.state(box)
        if self.validity is not None:
            lib.same(head['uidvalidity'], self.validity, 'UIDVALIDITY')
        self.validity = head['uidvalidity']
        there = {}
        for uid, row in rows.items():
            octets = lib.text_of('%s/%d.eml' % (box, uid))
            tag = octets.split(b'\r\n')[1][9:].decode()
            lib.check(tag in self.text, 'UID %d: unknown letter %r', uid, tag)
            lib.same(octets, lib.wire_of(self.text[tag]), 'letter %s' % tag)
            lib.check(tag not in there, '%s is there twice', tag)
            lib.same(self.uid.setdefault(tag, uid), uid, 'UID of %s' % tag)
            lib.check(uid < head['uidnext'], 'UID %d above UIDNEXT', uid)
            there[tag] = frozenset(row['keywords']) | {
                name for name, c in LETTERS.items() if c in row['flags']}
        if there not in (self.before, self.after):
            raise lib.Failed('during %s: neither before (%s) nor after (%s)' % (
                self.what, apart(there, self.before), apart(there, self.after)))
        lib.check(len(set(self.uid.values())) == len(self.uid), 'a UID was used twice')
        was = 'after' if there == self.after else 'before'
        self.before = self.after = there
        return was


def apart(got, want):
    return ', '.join(['lost ' + t for t in want if t not in got] +
                     ['new ' + t for t in got if t not in want] +
                     ['%s has %s, not %s' % (t, sorted(got[t]), sorted(want[t]))
                      for t in want if t in got and got[t] != want[t]][:5])[:400] or 'equal'


# ---- changes ----------------------------------------------------------------------------------

def deliver(model, box, pick):
    model.serial += 1
    tag = 't%d' % model.serial
    model.text[tag] = letter(tag, pick.choice((0, 1, 20, 400, 3000)))
    model.begin('delivery of ' + tag, dict(model.before, **{tag: frozenset()}))
    fd = os.open(os.path.join(box, tag), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.write(fd, model.text[tag])
    finally:
        os.close(fd)
    model.done()


def some_of(model, pick):
    known = sorted(t for t in model.before if t in model.uid)
    return pick.sample(known, min(len(known), pick.choice((1, 1, 3, 10))))


def command(model, box, text, tags, after):
    if not tags:
        return
    text = '%s %s' % (text, ','.join(str(u) for u in sorted(model.uid[t] for t in tags)))
    model.begin(text, after)
    status = lib.ctl(box, text)[1]
    if status != 'ok':
        raise OSError(status)
    model.done()


def flag(model, box, pick):
    tags, how = some_of(model, pick), pick.choice('+-=')
    names = frozenset(pick.sample(FLAGS, pick.choice((1, 2, 4))))
    after = dict(model.before)
    for t in tags:
        after[t] = names if how == '=' else after[t] | names if how == '+' else after[t] - names
    command(model, box, 'flags %s%s' % (how, ','.join(sorted(names))), tags, after)


def expunge(model, box, pick):
    tags = some_of(model, pick)
    after = {t: f for t, f in model.before.items() if t not in tags}
    command(model, box, 'expunge', tags, after)


def remove(model, box, pick):
    tags = some_of(model, pick)[:1]
    if tags:
        model.begin('rm of ' + tags[0], {t: f for t, f in model.before.items() if t not in tags})
        os.unlink('%s/%d.eml' % (box, model.uid[tags[0]]))
        model.done()


def work(model, box, pick, counts):
    """Changes until the disk is gone."""
    try:
        while True:
            few = len([t for t in model.before if t in model.uid]) < 15
            verb = pick.choice((deliver, deliver, flag) if few else
                               (deliver, flag, flag, expunge, remove))
            verb(model, box, pick)
            counts[verb.__name__] = counts.get(verb.__name__, 0) + 1
    except (OSError, lib.Failed):
        return


# ---- the whole -----------------------------------------------------------------------------------

def check_file(path, model):
    """The file read without mailtree: its messages, whole and in order of their UIDs."""
    octets = lib.text_of(path)
    parts = [p for p in FROM.split(octets)]
    lib.same(parts[0], b'', 'before the first message')
    found = []
    for part in parts[1:]:
        head, _, body = part.partition(b'\n\n')
        if re.search(rb'^X-IMAP: ', head, re.M):
            continue
        tag = re.search(rb'^Subject: (\w+)$', head, re.M).group(1).decode()
        lib.check(tag in model.text, 'the file has %s', tag)
        want = model.text[tag].partition(b'\n\n')[2]
        lib.check(body in (want, want + b'\n'), '%s in the file: %d octets, not %d', tag,
                  len(body), len(want))
        found.append(tag)
    lib.same(sorted(found), sorted(model.before), 'messages of the file')


def two_minutes_later(top):
    """A dotlock whose bytes never reached the disk names no holder, and is stale then only."""
    for above, _, names in os.walk(top):
        for name in names:
            if name.endswith('.lock'):
                os.unlink(os.path.join(above, name))


def one_cut(disk, mount, model, pick, counts):
    box = mount.box('INBOX')
    was = model.learn(box)
    worker = threading.Thread(target=work, args=(model, box, pick, counts))
    worker.start()
    time.sleep(pick.choice((0.02, 0.1, 0.3, 0.6, 1.0)) * (0.5 + pick.random()))
    disk.cut(pick.choice(('', '-f')))
    worker.join(5)
    mount.crash()
    worker.join(60)
    lib.check(not worker.is_alive(), 'a change that never ended')
    disk.umount()
    disk.mount()
    two_minutes_later(disk.path)
    mount.start()
    return was


def a_power_cut_leaves_before_or_after():
    print('# seed %d' % SEED, flush=True)
    pick, model, counts, seen = random.Random(SEED), Model(), {}, {'before': 0, 'after': 0}
    with lib.scratch() as folder, Disk(folder) as disk:
        os.mkdir(disk.path + '/mail')
        inbox, index = disk.path + '/inbox', 'disk/index'
        open(inbox, 'w').close()
        lib.run('sync', '-f', inbox)
        mount = lib.Mount(folder, 'mbox:%s/mail:INBOX=%s' % (disk.path, inbox), index=index)
        try:
            for _ in range(CUTS):
                seen[one_cut(disk, mount, model, pick, counts)] += 1
            box = mount.box('INBOX')
            model.learn(box)
            check_file(inbox, model)
        except lib.Failed as e:
            raise lib.Failed('%s; the log: %s' % (e, mount.log_text()[-500:]))
        finally:
            mount.stop()
    print('# %d cuts; %s' % (CUTS, ', '.join('%s %d' % c for c in sorted(counts.items()))),
          flush=True)


lib.run_tests([a_power_cut_leaves_before_or_after])
