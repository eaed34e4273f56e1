#!/usr/bin/env python3
"""No command about many messages makes a round trip for each: what the daemon reads from
/dev/fuse meanwhile is a small constant and one request per 128 KB of mail. Counted by
strace, which sees each request as one read, its opcode in the octets.
"""
import collections
import contextlib
import os
import re
import signal
import struct
import subprocess
import time

import imapwire
import lib
from lib import check

MESSAGES = 2000
A_FEW = 60		# requests of a command whatever its messages
ITEMS = '(UID FLAGS INTERNALDATE RFC822.SIZE ENVELOPE BODYSTRUCTURE)'
READ_OF_FUSE = re.compile(r'read\(\d+(?:<[^>]*>)?, "((?:\\x[0-9a-f]{2})+)"')
NAMES = {1: 'LOOKUP', 2: 'FORGET', 3: 'GETATTR', 8: 'MKNOD', 14: 'OPEN', 15: 'READ', 16: 'WRITE',
         18: 'RELEASE', 25: 'FLUSH', 27: 'OPENDIR', 28: 'READDIR', 35: 'CREATE', 39: 'IOCTL',
         40: 'POLL', 42: 'BATCH_FORGET', 44: 'READDIRPLUS'}


class Trace:
    """Requests of a daemon from now on, by opcode."""

    def __init__(self, pid, path):
        self.path, self.at, self.counted = path, 0, collections.Counter()
        self.strace = subprocess.Popen(
            ['strace', '-f', '-q', '-xx', '-s', '8', '-e', 'trace=read', '-P', '/dev/fuse', '-o',
             path, '-p', str(pid)], stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def new(self):
        """Those since the last call."""
        time.sleep(.2)		# strace writes a line when the read has returned
        with open(self.path) as f:
            f.seek(self.at)
            text = f.read()
        whole = text.rfind('\n') + 1
        self.at += len(text[:whole].encode())
        out = collections.Counter()
        for hexes in READ_OF_FUSE.findall(text[:whole]):
            head = bytes.fromhex(hexes.replace('\\x', ''))
            opcode = struct.unpack_from('<I', head, 4)[0]
            out[NAMES.get(opcode, opcode)] += 1
        return out

    def stop(self):
        self.strace.send_signal(signal.SIGTERM)
        self.strace.wait(20)


def fill(store):
    """Messages of a few KB; octets on the wire."""
    octets = 0
    for n in range(MESSAGES):
        text = b'From: a%d@example.org\nSubject: number %d\n\n%s' % (n, n, b'some words\n' * (n % 500))
        store.deliver(text, info=':2,')
        octets += len(lib.wire_of(text))
    return octets


@contextlib.contextmanager
def traced():
    """(the server, a session of it, trace, octets in INBOX)."""
    with lib.scratch() as folder:
        store = lib.Maildir(os.path.join(folder, 'store', 'Maildir'))
        store.folder('Other')
        octets = fill(store)
        with imapwire.Mailtree(folder, store.path) as server, server.imap() as imap:
            trace = Trace(server.mount.process.pid, os.path.join(folder, 'strace'))
            try:
                lib.wait_until(lambda: asked(server, trace) > 0, 20, 'strace')
                yield server, imap, trace, octets
            finally:
                trace.stop()


def asked(server, trace):
    """Requests that a look at something new makes; none while strace is not there yet."""
    trace.n = getattr(trace, 'n', 0) + 1
    os.path.exists(server.mount.box('INBOX', 'no-%d' % trace.n))
    return sum(trace.new().values())


def few(imap, trace, command, octets, lines=None):
    """That command makes few requests; `lines` untagged responses come."""
    trace.new()
    done, untagged = imap.ask(command)
    check(done.name == 'OK', '%s: %r', command, done.raw)
    if lines is not None:
        lib.same(len([r for r in untagged if r.name == 'FETCH']), lines, command)
    counted = trace.new()
    total = sum(counted.values())
    print('# %-66s %4d requests: %s' % (command, total, ', '.join(
        '%s %d' % c for c in counted.most_common(5))), flush=True)
    check(total <= A_FEW + octets // 131072, '%s: %d requests for %d messages of %d octets: %s',
          command, total, MESSAGES, octets, counted)
    return total


def counting_counts():
    """A trip per message is seen: 100 files are looked at by name."""
    with traced() as (server, _, trace, _):
        trace.new()
        for n in range(1, 101):
            lib.text_of(server.mount.box('INBOX', '%d.eml' % n))
        total = sum(trace.new().values())
        check(total >= 100, 'reading 100 files made only %d requests', total)


def bulk_commands():
    with traced() as (_, imap, trace, octets):
        few(imap, trace, 'SELECT INBOX', octets)
        few(imap, trace, 'FETCH 1:* (FLAGS)', 0, MESSAGES)
        few(imap, trace, 'FETCH 1:* ' + ITEMS, octets, MESSAGES)
        few(imap, trace, 'FETCH 1:* ' + ITEMS, octets, MESSAGES)
        few(imap, trace, 'FETCH 1:* (BODY.PEEK[HEADER])', octets, MESSAGES)
        few(imap, trace, 'FETCH 1:* (BODY.PEEK[])', octets, MESSAGES)
        few(imap, trace, 'FETCH 1:* (BODY.PEEK[]<0.100>)', octets, MESSAGES)
        few(imap, trace, 'SEARCH SUBJECT "number 7"', octets)
        few(imap, trace, 'SEARCH TEXT "no such words"', octets)
        few(imap, trace, 'SEARCH UNSEEN LARGER 2000', 0)
        few(imap, trace, 'STORE 1:* +FLAGS (\\Flagged)', 0, MESSAGES)
        few(imap, trace, 'STORE 1:* -FLAGS.SILENT (\\Flagged)', 0)
        few(imap, trace, 'FETCH 1:* (BODY[])', octets, MESSAGES)
        few(imap, trace, 'COPY 1:* Other', 0)
        few(imap, trace, 'MOVE 1:1000 Other', 0)
        few(imap, trace, 'STORE 1:* +FLAGS.SILENT (\\Deleted)', 0)
        few(imap, trace, 'EXPUNGE', 0)


lib.run_tests([counting_counts, bulk_commands])
