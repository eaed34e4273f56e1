#!/usr/bin/env python3
# limit: 600
# alone
"""From the rename into new/ to the untagged EXISTS of a session that idles: alone, among
500 that idle in other mailboxes, and among 500 in the same one. $MT_DELIVERIES (200) each;
$MT_SESSIONS (500).

At most 5 ms in the median and 50 ms for 99 of 100 is what is asked for; four times that
fails, since other work on the machine is in these figures too. Where 500 processes are woken
by one delivery, whoever comes last waits for all the others: only ten times as much fails.
"""
import contextlib
import os
import select
import statistics
import time

import imapwire
import lib
from lib import check

DELIVERIES = int(os.environ.get('MT_DELIVERIES', 200))
SESSIONS = int(os.environ.get('MT_SESSIONS', 500))
MEDIAN_MS, P99_MS, NOISE, CROWD = 5, 50, 4, 10
GLANCE = .0003		# s between looks at who has been told
OTHERS = 20		# mailboxes for those that idle elsewhere
SERVER = {'mailtree': imapwire.Mailtree, 'dovecot': imapwire.Dovecot}[
    os.environ.get('MT_SERVER', 'mailtree')]


class Idler:
    """A session that idles in a mailbox, and counts the EXISTS that it is told."""

    def __init__(self, server, box):
        self.imap = server.imap()
        self.imap.ok('SELECT ' + box)
        self.imap.send('IDLE')
        while self.imap.response().name != '+':
            pass
        self.told = 0		# as the last EXISTS said

    def fileno(self):
        return self.imap.sock.fileno()

    def take(self):
        """What has come; the socket is readable."""
        octets = self.imap.sock.recv(65536)
        check(octets, 'a session that idled has ended')
        self.imap.framer.push(octets)
        while (raw := self.imap.framer.next()) is not None:
            if raw.endswith(b' EXISTS\r\n'):
                self.told = int(raw.split(b' ')[1])


class Watch:
    """Idlers, and when each of those that count has been told of n messages. While they are
    being told, only who has something is noted: this one client, which stands for hundreds
    on other machines, would else take the processors from those that it measures."""

    def __init__(self, idlers):
        self.by_fd = {i.fileno(): i for i in idlers}
        self.poll = select.epoll()
        for fd in self.by_fd:
            self.poll.register(fd, select.EPOLLIN | select.EPOLLET)

    def collect(self, times, began, want):
        """Until `want` have something, or for a while; then read it. {descriptor: when}."""
        found, end = {}, time.perf_counter() + 1
        while len(found) < want and time.perf_counter() < end:
            if want > 1:
                time.sleep(GLANCE)	# a time noted is late by this much at most
            ready = self.poll.poll(0 if want > 1 else 1)
            now = time.perf_counter() - began
            for fd, _ in ready:
                found.setdefault(fd, now)
        for fd, at in found.items():
            self.by_fd[fd].take()
            times[fd] = at

    def all_told(self, idlers, n, seconds=30):
        """[seconds from now until idler i knew of n messages]."""
        began, times, left = time.perf_counter(), {}, [i for i in idlers if i.told < n]
        while left:
            seen = {}
            self.collect(seen, began, len(left))
            for i in left:
                if i.told >= n:
                    times[i.fileno()] = seen[i.fileno()]
            left = [i for i in left if i.told < n]
            check(time.perf_counter() < began + seconds,
                  'of %d sessions %d have not been told of message %d within %d s', len(idlers),
                  len(left), n, seconds)
        return [times.get(i.fileno(), 0) for i in idlers]


def in_ms(seconds):
    """Median and 99th percentile as text, and as figures."""
    ordered = sorted(seconds)
    median, p99 = statistics.median(ordered), ordered[min(len(ordered) - 1, len(ordered) * 99 // 100)]
    return median * 1000, p99 * 1000


def deliver_and_watch(store, box, watched, all_idlers):
    """Latencies of all that are watched, and of the last one, of each delivery."""
    watch, every, last = Watch(all_idlers), [], []
    for n in range(1, DELIVERIES + 1):
        store.deliver(b'Subject: number %d\n\nHello.\n' % n)
        times = watch.all_told(watched, n)
        every += times
        last.append(max(times))
        time.sleep(.01)
    return every, last


@contextlib.contextmanager
def server_and_boxes():
    with lib.scratch() as folder:
        uid = lib.MAIL_UID if SERVER is imapwire.Dovecot else None
        store = lib.Maildir(os.path.join(folder, 'store', 'Maildir'), uid)
        for n in range(OTHERS):
            store.folder('other%d' % n)
        with SERVER(folder, store.path) as server:
            yield server, store


def idle(server, boxes):
    return [Idler(server, box) for box in boxes]


def let_go(idlers):
    """Hang up on all of them, then wait: they end side by side."""
    for i in idlers:
        i.imap.sock.close()
    for i in idlers:
        imapwire.end_of(i.imap.process, 60)


def measure(name, boxes, watched):
    """Deliveries to INBOX, watched by the first `watched` of the sessions."""
    with server_and_boxes() as (server, store):
        idlers = idle(server, boxes)
        try:
            every, last = deliver_and_watch(store, 'INBOX', idlers[:watched], idlers)
        finally:
            let_go(idlers)
    median, p99 = in_ms(every)
    print('# %s: median %.2f ms, 99%% %.2f ms' % (name, median, p99), end='')
    print('; the last of %d: median %.2f ms, 99%% %.2f ms' % (watched, *in_ms(last))
          if watched > 1 else '', flush=True)
    most = NOISE * (CROWD if watched > 1 else 1)
    check(median <= MEDIAN_MS * most, 'median %.1f ms, not %d', median, MEDIAN_MS)
    check(p99 <= P99_MS * most, '99%% within %.1f ms, not %d', p99, P99_MS)


def one_session():
    measure('one session', ['INBOX'], 1)


def many_elsewhere():
    boxes = ['other%d' % (n % OTHERS) for n in range(SESSIONS - 1)]
    measure('one of %d, the others elsewhere' % SESSIONS, ['INBOX'] + boxes, 1)


def many_together():
    measure('%d in one mailbox' % SESSIONS, ['INBOX'] * SESSIONS, SESSIONS)


lib.run_tests([one_session, many_elsewhere, many_together])
