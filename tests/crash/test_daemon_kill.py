#!/usr/bin/env python3
# limit: 300
"""S3, S4: mailtreed is killed at random points of deliveries, flag changes, moves and
expunges; after a remount everything acknowledged is there, once, and no UID is used twice.

MT_CRASH_OPS    operations in all (default 1,000)
MT_CRASH_SEED   for the same choices again (the kills still fall where they fall)
STORE=mbox      in mboxes, not in a Maildir
"""
import collections
import os
import random
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '../wire'))
import lib  # noqa: E402
import stores  # noqa: E402

OPS = int(os.environ.get('MT_CRASH_OPS', 1000))
SEED = int(os.environ.get('MT_CRASH_SEED', random.randrange(1 << 30)))
BOXES = ('INBOX', 'Archive', 'Lists')


def letter(tag, lines):
    return b'Subject: %s\n\n' % tag.encode() + b'line of text\n' * lines


class Model:
    """What must be there: for each letter the mailboxes in which it may be, and whether it
    may be gone; for each flag what it may be."""

    def __init__(self):
        self.text = {}		# tag -> stored bytes
        self.where = {}		# tag -> set of places; None stands for gone
        self.flags = {}		# tag -> set of possible flag strings
        self.uid = {}		# (box, uid) -> tag, for ever
        self.uidnext = collections.Counter()
        self.validity = {}

    def learn(self, mount):
        """Compare a fresh mount with what is allowed; from then on it is certain."""
        found = collections.defaultdict(list)
        for box in BOXES:
            path = mount.box(box)
            lib.ctl_sizes(path)
            head, _, rows = lib.state(path)
            lib.same(self.validity.setdefault(box, head['uidvalidity']), head['uidvalidity'],
                     'UIDVALIDITY of ' + box)
            lib.check(head['uidnext'] >= self.uidnext[box], 'UIDNEXT of %s fell: %d, was %d',
                      box, head['uidnext'], self.uidnext[box])
            lib.check(all(uid < head['uidnext'] for uid in rows), 'UIDs above UIDNEXT')
            lib.same(lib.uids(path), sorted(rows), 'listing of ' + box)
            for uid, row in rows.items():
                octets = lib.text_of('%s/%d.eml' % (path, uid))
                tag = octets.split(b'\r\n')[0][9:].decode()
                lib.check(tag in self.text, '%s/%d: unknown letter %r', box, uid, tag)
                lib.same(octets, lib.wire_of(self.text[tag]), 'letter %s' % tag)
                lib.same(row['size'], len(octets), 'size of %s' % tag)
                lib.same(self.uid.setdefault((box, uid), tag), tag,
                         'who has UID %d of %s' % (uid, box))
                found[tag].append((box, uid, row['flags']))
            self.uidnext[box] = head['uidnext']
        self.names = {}
        for tag, allowed in self.where.items():
            places = found.get(tag, [])
            if not places:
                lib.check(None in allowed, 'letter %s is lost; it was in %s', tag, allowed)
            for box, _, flags in places:
                lib.check(box in allowed, 'letter %s is in %s, not in %s', tag, box, allowed)
                lib.check(flags in self.flags[tag], 'letter %s has flags %r, not %s', tag, flags,
                          self.flags[tag])
            # a move that was cut may leave both; a delivery must not
            lib.check(len(places) <= (2 if len(allowed - {None}) > 1 else 1),
                      'letter %s is there %d times: %s', tag, len(places), places)
            if len(places) == 2:
                os.unlink(mount.box(places[0][0], '%d.eml' % places[0][1]))
                places = places[1:]
            self.where[tag] = {places[0][0]} if places else {None}
            if places:
                self.flags[tag] = {places[0][2]}
                self.names[tag] = places[0][:2]
        for box in BOXES:
            self.uidnext[box] = max(self.uidnext[box], lib.state(mount.box(box))[0]['uidnext'])


def deliver(model, mount, pick, tag):
    box = pick.choice(BOXES)
    stored = letter(tag, pick.choice((0, 1, 20, 400, 9000)))
    model.text[tag], model.flags[tag] = stored, {''}
    model.where[tag] = {box, None}
    way = pick.randrange(4)
    path = mount.box(box, *(['.mailtree', 'new', tag] if way == 1 else ['.' + tag] if way == 2
                            else [tag]))
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        at = 0
        while at < len(stored):
            at += os.write(fd, stored[at:at + 65536])
        if way == 3:
            os.fsync(fd)
    finally:
        os.close(fd)
    if way == 2:	# a temporary name, then the real one: as mktemp and mv, or rsync
        os.rename(path, mount.box(box, tag))
    model.where[tag] = {box}


def flag(model, mount, pick, tag):
    box, uid = model.names[tag]
    old, want = next(iter(model.flags[tag])), pick.choice(('', 'S', 'FS', 'RS', 'DF'))
    names = {'S': '\\Seen', 'F': '\\Flagged', 'R': '\\Answered', 'D': '\\Draft'}
    model.flags[tag] = {old, want}
    lib.ctl(mount.box(box), 'flags =%s %d' % (','.join(names[c] for c in want), uid))
    model.flags[tag] = {want}


def move(model, mount, pick, tag):
    box, uid = model.names.pop(tag)
    to = pick.choice([b for b in BOXES if b != box])
    model.where[tag] = {box, to}
    os.rename(mount.box(box, '%d.eml' % uid), mount.box(to, '%d.eml' % uid))
    model.where[tag] = {to}


def expunge(model, mount, pick, tag):
    box, uid = model.names.pop(tag)
    model.where[tag] = {box, None}
    os.unlink(mount.box(box, '%d.eml' % uid))
    model.where[tag] = {None}


def work(model, mount, pick, serial):
    """Operations until the daemon is gone; how many succeeded."""
    done = 0
    try:
        while True:
            tags = [t for t in model.names if len(model.where[t]) == 1]
            verb = pick.choice((deliver, deliver, flag, move, expunge) if len(tags) > 5
                               else (deliver,))
            serial[0] += 1
            tag = 't%d' % serial[0] if verb is deliver else pick.choice(tags)
            verb(model, mount, pick, tag)
            done += 1
    except (OSError, lib.Failed):
        return done


def left_over(store):
    """Files of deliveries, and of locks, that nobody will remove soon."""
    for above, _, names in os.walk(store.path):
        for name in names:
            if above.endswith('/tmp') or name.startswith('temp.') or name.endswith('.lock'):
                yield os.path.join(above, name)


def killed_at_random_points_nothing_is_lost():
    pick, model, serial = random.Random(SEED), Model(), [0]
    print('# seed %d' % SEED, flush=True)
    with lib.scratch() as folder:
        store = stores.new(os.path.join(folder, 'store'))
        for name in BOXES[1:]:
            store.folder(name)
        mount = lib.Mount(folder, store.location)
        try:
            model.learn(mount)
            done = kills = 0
            while done < OPS:
                daemon = mount.process
                timer = threading.Timer(pick.random() * 0.25, mount.kill)
                timer.start()
                done += work(model, mount, pick, serial)
                # anything else than a dead daemon that stopped the work is a failure
                lib.wait_until(lambda: daemon.poll() is not None, 30,
                               'an operation failed though the daemon lives; its end')
                timer.join()
                kills += 1
                mount.crash()
                mount.start()
                model.learn(mount)
                if kills % 10 == 0:
                    lib.run(os.path.join(lib.BUILD, 'mailtree'), 'check', mount.path)
            lib.run(os.path.join(lib.BUILD, 'mailtree'), 'check', mount.path)
            mount.unmount()
            lib.run(os.path.join(lib.BUILD, 'mailtreed'), '--check', store.location)
            left = list(left_over(store))
            lib.check(len(left) <= kills, 'left in the store: %s', left[:5])
            print('# %d operations, %d kills, %d letters left' %
                  (done, kills, sum(None not in w for w in model.where.values())), flush=True)
        finally:
            mount.stop()


def what_was_flushed_is_delivered_by_recovery():
    """The daemon dies between a flush that it answered and the last close: recovery
    delivers, once; a draft under a dot name, or one that was removed, stays undelivered."""
    want = {'fsync': True, 'flush': True, 'in-new': True, '.draft': False, 'removed': False,
            'renamed': True}
    with lib.scratch() as folder:
        store = stores.new(os.path.join(folder, 'store'))
        mount = lib.Mount(folder, store.location)
        try:
            for step in range(2):
                held = []
                for name in want:
                    box = mount.box('INBOX')
                    path = os.path.join(box, '.mailtree/new' if name == 'in-new' else '',
                                        '.was' if name == 'renamed' else name)
                    fd = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
                    held.append(fd)
                    os.write(fd, letter(name, 300))
                    if name == 'fsync':
                        os.fsync(fd)
                    else:
                        os.close(os.dup(fd))	# a flush; the file stays open
                    if name == 'renamed':
                        os.rename(path, os.path.join(box, name))
                    elif name == 'removed':
                        os.unlink(path)
                lib.same(len(lib.uids(mount.box('INBOX'))), step * 4, 'before the last close')
                mount.crash()
                for fd in held:
                    try:
                        os.close(fd)
                    except OSError:
                        pass		# its daemon is dead
                mount.start()
                expected = sorted(n for n in want if want[n])
                for again in range(2):
                    box = mount.box('INBOX')
                    texts = [lib.text_of('%s/%d.eml' % (box, u)) for u in lib.uids(box)]
                    found = sorted(t.split(b'\r\n')[0][9:].decode() for t in texts)
                    lib.same(found, sorted(expected * (step + 1)), 'after recovery')
                    lib.same({len(t) - len(n) for n, t in zip(found, sorted(texts))},
                             {len(lib.wire_of(letter('', 300)))}, 'their sizes')
                    mount.restart()
        finally:
            mount.stop()


def the_index_may_be_lost_with_it():
    """As above, in few steps, and the index is removed each time. (That of an mbox has the
    journal, and UIDs that the file does not tell.)"""
    pick, model, serial = random.Random(SEED + 1), Model(), [0]
    with lib.scratch() as folder:
        store = stores.new(os.path.join(folder, 'store'))
        for name in BOXES[1:]:
            store.folder(name)
        mount = lib.Mount(folder, store.location)
        try:
            model.learn(mount)
            for _ in range(8):
                timer = threading.Timer(pick.random() * 0.3, mount.kill)
                timer.start()
                work(model, mount, pick, serial)
                timer.join()
                mount.crash()
                lib.run('rm', '-rf', mount.index)
                mount.start()
                model.learn(mount)
        finally:
            mount.stop()


def readers_get_errors_not_wrong_bytes():
    """While the daemon dies, whoever reads sees the right octets or an error."""
    with lib.scratch() as folder:
        store = stores.new(os.path.join(folder, 'store'))
        stored = [letter('r%d' % i, 500 * i) for i in range(30)]
        for text in stored:
            store.deliver(text, info=':2,')
        mount = lib.Mount(folder, store.location)
        try:
            for delay in (0.01, 0.05, 0.1, 0.2):
                timer = threading.Timer(delay, mount.kill)
                timer.start()
                try:
                    while True:
                        for uid in range(1, 31):
                            lib.same(lib.text_of(mount.box('INBOX', '%d.eml' % uid)),
                                     lib.wire_of(stored[uid - 1]), '%d.eml' % uid)
                        time.sleep(0.001)
                except OSError:
                    pass
                timer.join()
                mount.crash()
                mount.start()
        finally:
            mount.stop()


if __name__ == '__main__':
    lib.run_tests([
        killed_at_random_points_nothing_is_lost,
        what_was_flushed_is_delivered_by_recovery,
        readers_get_errors_not_wrong_bytes,
        *([the_index_may_be_lost_with_it] if stores.KIND == 'maildir' else []),
    ])
