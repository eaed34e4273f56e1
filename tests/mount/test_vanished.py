#!/usr/bin/env python3
"""What vanished and what changed since a modseq, over restarts, kill -9, a lost index and a
store that is put back: a client that comes back must end with the true mailbox."""
import mmap
import os
import random
import select
import shutil
import struct
import time

from support import letter, lib, mounted


def modseq(box):
    """HIGHESTMODSEQ as the daemon says now."""
    fd = os.open(box + '/.mailtree/index', os.O_RDONLY | os.O_DIRECT)
    try:
        page = mmap.mmap(-1, 4096)
        os.preadv(fd, [page], 0)
        return struct.unpack_from('<Q', page, 32)[0]
    finally:
        os.close(fd)


def vanished(box, since):
    """(UIDs, whether history reaches back so far)"""
    gone, start = set(), 1
    while True:
        lines, status = lib.ctl(box, 'vanished %d %d' % (since, start))
        for line in lines:
            if line == 'incomplete':
                return set(), False
            word, ranges = line.split(' ')
            lib.same(word, 'vanished', 'line')
            for r in ranges.split(','):
                lo, _, hi = r.partition(':')
                gone |= set(range(int(lo), int(hi or lo) + 1))
        if status == 'ok':
            return gone, True
        start = int(status.split(' ')[1])


class Client:
    """What a QRESYNC client keeps; `resync` is RFC 7162 section 3.2.5."""

    def __init__(self, box):
        self.box, self.known, self.modseq = box, {}, 0
        self.resync()

    def resync(self):
        lib.ctl(self.box, 'sync')
        records = lib.index_records(self.box)
        highest = modseq(self.box)
        lib.check(highest >= self.modseq, 'HIGHESTMODSEQ fell from %d to %d', self.modseq, highest)
        gone, complete = vanished(self.box, self.modseq)
        there = {r.uid for r in records}
        for uid in (gone if complete else set(self.known) - there):
            self.known.pop(uid, None)
        lib.check(not gone & there, 'reported as vanished and is there: %s', gone & there)
        self.told = {r.uid for r in records if r.modseq > self.modseq}
        for r in records:
            lib.check(r.modseq <= highest, 'UID %d is above HIGHESTMODSEQ', r.uid)
            if r.modseq > self.modseq:
                self.known[r.uid] = (r.flags, r.keywords)
        self.modseq = highest
        lib.same(self.known, {r.uid: (r.flags, r.keywords) for r in records}, 'what it knows')
        return complete


def only_what_changed_is_told():
    with mounted(messages=[letter(b'%d' % i) for i in range(50)]) as (store, mount):
        inbox = mount.box('INBOX')
        client = Client(inbox)
        lib.check(client.resync(), 'nothing happened: history reaches back')
        lib.same(client.told, set(), 'nothing happened')
        for command, told in (('flags +\\Seen 3:5', {3, 4, 5}), ('flags +\\Seen 3:6', {6}),
                              ('flags -\\Seen 1:4', {3, 4}), ('flags +$X 9', {9}),
                              ('flags +$X 9', set()), ('keyword $Y', set()),
                              ('flags =\\Draft 40', {40}), ('expunge 7:8', set())):
            lib.ctl(inbox, command)
            lib.check(client.resync(), 'history after %s', command)
            lib.same(client.told, told, command)
        base = dict(store.uidlist()[1])
        files = store.files()
        os.rename(files[base[20]], os.path.join(store.path, 'cur', base[20] + ':2,FS'))
        os.unlink(files[base[21]])
        lib.wait_until(lambda: 21 not in lib.uids(inbox), 5, 'a removal by others')
        lib.check(client.resync(), 'history after changes by others')
        lib.same(client.told, {20}, 'a change by others')
        # another keyword behind the same letter
        with open(os.path.join(store.path, 'dovecot-keywords')) as f:
            table = f.read()
        with open(os.path.join(store.path, 'dovecot-keywords.new'), 'w') as f:
            f.write(table.replace('$X', '$Z'))
        os.rename(os.path.join(store.path, 'dovecot-keywords.new'),
                  os.path.join(store.path, 'dovecot-keywords'))
        lib.wait_until(lambda: client.resync() and client.told == {9}, 5, 'a renamed keyword')


def _life(pick, inbox):
    """Something happens."""
    uids = lib.uids(inbox)
    for _ in range(pick.randrange(1, 6)):
        some = ','.join(str(u) for u in pick.sample(uids, min(len(uids), 5)) or [1])
        what = pick.randrange(4)
        if what == 0:
            lib.ctl(inbox, 'expunge ' + some)
        elif what == 1:
            lib.ctl(inbox, 'flags %s%s %s' % (pick.choice('+-='), pick.choice(
                ['\\Seen', '\\Flagged', '$A', '$B']), some))
        else:
            with open(inbox + '/.mailtree/new/%d' % pick.randrange(1 << 60), 'wb') as f:
                f.write(letter(b'x'))


def _while_it_is_down(store, pick):
    files = list(store.files().values())
    for path in pick.sample(files, min(len(files), 2)):
        if pick.random() < 0.5:
            os.unlink(path)
        else:
            os.rename(path, os.path.join(store.path, 'cur', os.path.basename(path)
                                         .split(':')[0] + ':2,' + pick.choice(['', 'S', 'F'])))
    if pick.random() < 0.5:
        store.deliver(letter(b'y'))


def a_client_that_comes_back_has_the_true_mailbox():
    """Random life with restarts, kill -9, changes while it is down, a lost or spoilt index."""
    seed = int(os.environ.get('SEED', '0')) or random.randrange(1 << 30)
    print('# SEED=%d' % seed, flush=True)
    pick = random.Random(seed)
    with lib.scratch() as folder:
        store = lib.Maildir(os.path.join(folder, 'store'))
        for i in range(30):
            store.deliver(letter(b'%d' % i))
        mount = lib.Mount(folder, store.path)
        inbox = mount.box('INBOX')
        try:
            clients = [Client(inbox) for _ in range(3)]
            reached = 0
            for _ in range(40):
                _life(pick, inbox)
                if pick.random() < 0.3:
                    pick.choice(clients).resync()
                end = pick.randrange(6)
                if end < 2:
                    mount.unmount()
                elif end < 4:
                    mount.crash()
                if end < 4:
                    _while_it_is_down(store, pick)
                    _spoil(mount, pick)
                    mount.start()
                reached += pick.choice(clients).resync()
            for client in clients:
                client.resync()
            lib.check(reached > 5, 'history reached back only %d times', reached)
        finally:
            mount.stop()


def _spoil(mount, pick):
    number = next((n for n in os.listdir(mount.index)
                   if os.path.exists(os.path.join(mount.index, n, 'index'))), None)
    if number is None:
        return
    what = pick.randrange(8)
    path = os.path.join(mount.index, number, 'log' if what % 2 else 'index')
    size = os.path.getsize(path)
    if what < 2:
        os.unlink(path)
    elif what < 4 and size > 0:
        with open(path, 'r+b') as f:
            if pick.random() < 0.5:
                f.truncate(pick.randrange(size))
            else:
                f.seek(pick.randrange(size))
                octet = f.read(1)
                f.seek(-1, 1)
                f.write(bytes([octet[0] ^ 1 << pick.randrange(8)]))
    elif what == 4:
        shutil.rmtree(mount.index)
        os.mkdir(mount.index)


def history_survives_what_it_can():
    with lib.scratch() as folder:
        store = lib.Maildir(os.path.join(folder, 'store'))
        for i in range(10):
            store.deliver(letter(b'%d' % i))
        mount = lib.Mount(folder, store.path)
        inbox = mount.box('INBOX')
        try:
            since = Client(inbox).modseq
            lib.ctl(inbox, 'expunge 3')
            mount.restart()
            lib.same(vanished(inbox, since), ({3}, True), 'after a restart')
            lib.ctl(inbox, 'expunge 5')
            mount.crash()
            os.unlink(store.files()[dict(store.uidlist()[1])[7]])
            mount.start()
            lib.same(vanished(inbox, since), ({3, 5, 7}, True), 'after kill -9')
            lib.same(vanished(inbox, modseq(inbox)), (set(), True), 'from now on')
            lib.same(vanished(inbox, since - 1)[1], False, 'from before')
            lib.same(vanished(inbox, modseq(inbox) + 1)[1], False, 'from the future')
            mount.unmount()
            os.unlink(mount.index + '/.epoch')	# as after a power cut: another epoch
            mount.start()
            lib.same(vanished(inbox, since)[1], False, 'after a power cut')
            lib.check(all(r.modseq > since for r in lib.index_records(inbox)), 'all look changed')
        finally:
            mount.stop()


def a_store_that_is_put_back():
    with lib.scratch() as folder:
        store = lib.Maildir(os.path.join(folder, 'store'))
        for i in range(10):
            store.deliver(letter(b'%d' % i))
        mount = lib.Mount(folder, store.path)
        inbox = mount.box('INBOX')
        try:
            early = Client(inbox)
            mount.unmount()
            shutil.copytree(store.path, os.path.join(folder, 'backup'))
            mount.start()
            lib.ctl(inbox, 'expunge 2:4')
            lib.ctl(inbox, 'flags +\\Seen 6')
            with open(inbox + '/.mailtree/new/a', 'wb') as f:
                f.write(letter(b'later'))
            late = Client(inbox)
            lib.same(sorted(late.known), [1, 5, 6, 7, 8, 9, 10, 11], 'before it is put back')
            mount.unmount()
            shutil.rmtree(store.path)
            shutil.copytree(os.path.join(folder, 'backup'), store.path)
            mount.start()
            for client in late, early:
                lib.check(client.resync(), 'history reaches back')
                lib.same(sorted(client.known), list(range(1, 11)), 'put back')
        finally:
            mount.stop()


def a_row_for_each_that_vanishes():
    with mounted(messages=[letter(b'')] * 20) as (_, mount):
        inbox = mount.box('INBOX')
        first = Client(inbox).modseq
        fd = os.open(os.path.join(mount.index, next(
            n for n in os.listdir(mount.index)
            if os.path.exists(os.path.join(mount.index, n, 'log'))), 'log'), os.O_RDONLY)
        lib.same(os.fstat(fd).st_size, 64, 'an empty log')
        lib.ctl(inbox, 'expunge 1:5')
        lib.same(os.fstat(fd).st_size, 64 + 5 * 16, 'a row each')
        os.close(fd)
        lib.same(vanished(inbox, first), ({1, 2, 3, 4, 5}, True), 'vanished')


def events_come_before_the_index_is_read():
    """What `events` announced is in `index` when it is read past the page cache."""
    with mounted(messages=[letter(b'%d' % i) for i in range(100)]) as (_, mount):
        inbox = mount.box('INBOX')
        fd = os.open(inbox + '/.mailtree/events', os.O_RDONLY | os.O_NONBLOCK)
        pid = os.fork()
        if pid == 0:
            for i in range(300):
                lib.ctl(inbox, 'flags %s\\Seen %d' % ('+-'[i // 100 % 2], i % 100 + 1))
            os._exit(0)
        seen = 0
        while seen < 300:
            select.select([fd], [], [], 10)
            try:
                news = os.read(fd, 1 << 16)
            except BlockingIOError:
                continue
            now = {r.uid: r.modseq for r in lib.index_records(inbox)}
            highest = modseq(inbox)
            for at in range(0, len(news), 80):
                kind, = struct.unpack_from('<H', news, at)
                rec = lib.Record(news[at + 16:at + 80])
                seen += kind == 2
                if rec.uid:
                    lib.check(now[rec.uid] >= rec.modseq and highest >= rec.modseq,
                              'UID %d: told of %d, index has %d', rec.uid, rec.modseq,
                              now[rec.uid])
        os.waitpid(pid, 0)
        os.close(fd)


def a_delivery_wakes_at_once():
    """Of many who follow the mailbox, the first is woken in a few milliseconds."""
    with mounted() as (store, mount):
        inbox = mount.box('INBOX')
        for n in 1, 500:
            fds = [os.open(inbox + '/.mailtree/events', os.O_RDONLY | os.O_NONBLOCK)
                   for _ in range(n)]
            poll = select.epoll()
            for fd in fds:
                poll.register(fd, select.EPOLLIN)
            took = []
            for i in range(15):
                tmp = os.path.join(store.path, 'tmp', '%d.M%dP%d' % (time.time(), i, n))
                with open(tmp, 'wb') as f:
                    f.write(letter(b'x'))
                time.sleep(0.1)
                for fd in fds:
                    _drain(fd)
                poll.poll(0, n)
                began = time.monotonic()
                os.rename(tmp, os.path.join(store.path, 'new', os.path.basename(tmp)))
                lib.check(poll.poll(5, 1), 'nobody was woken')
                took.append(time.monotonic() - began)
            took.sort()
            print('# %d follow: woken after %.1f ms (median), %.1f ms at most'
                  % (n, took[len(took) // 2] * 1000, took[-1] * 1000), flush=True)
            lib.check(took[len(took) // 2] < 0.1, 'median of %.1f ms', took[7] * 1000)
            poll.close()
            for fd in fds:
                os.close(fd)


def _drain(fd):
    try:
        while os.read(fd, 1 << 16):
            pass
    except BlockingIOError:
        pass


if __name__ == '__main__':
    lib.run_tests([
        only_what_changed_is_told,
        a_client_that_comes_back_has_the_true_mailbox,
        history_survives_what_it_can,
        a_store_that_is_put_back,
        a_row_for_each_that_vanishes,
        events_come_before_the_index_is_read,
        a_delivery_wakes_at_once,
    ])
