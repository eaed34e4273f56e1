#!/usr/bin/env python3
"""What another one removes stays readable to a session until it is told: expunged, moved
within the session's sight or further on, by IMAP, POP3 or the mount; whether its size was
known or not, small and large.
"""
import os

import imapwire
import lib
from ledger import octets_of
from lib import same

IDENTS = (42, 41, 43, 82)		# 41 and 82 are of 400 lines
LARGE = b'Subject: large\r\n\r\n' + b'0123456789abcdef' * 4 * 6000 + b'\r\n'


class Two:
    """A session that reads, `other` that removes, and the mount; four messages and a large
    one in INBOX, whose sizes nobody has asked for."""

    def __enter__(self):
        self.scratch = lib.scratch()
        self.folder = self.scratch.__enter__()
        store = lib.Maildir(os.path.join(self.folder, 'store', 'Maildir'))
        store.folder('Other')
        store.folder('Third')
        self.server = imapwire.Mailtree(self.folder, store.path)
        self.want = [octets_of(i) for i in IDENTS] + [LARGE]
        self.other = self.server.imap()
        for octets in self.want:
            self.other.append('INBOX', octets)
        self.session = self.server.imap()
        for imap in (self.session, self.other):
            imap.ok('SELECT INBOX')
        return self

    def __exit__(self, *how):
        self.session.close()
        self.other.close()
        self.server.stop()
        self.scratch.__exit__(*how)

    def path(self, *names):
        return self.server.mount.box(*names)

    def read_all(self):
        """Every message as it was, in FETCH, which tells of no expunge."""
        for n, want in enumerate(self.want, 1):
            got = [r.items() for r in self.session.ok('FETCH %d (UID BODY.PEEK[])' % n)
                   if r.name == 'FETCH']
            same(len(got), 1, 'answers about message %d' % n)
            same(got[0]['UID'], n, 'UID of message %d' % n)
            same(got[0]['BODY[]'], want, 'message %d' % n)

    def then_told(self, gone):
        told = [r for r in self.session.ok('NOOP') if r.name == 'EXPUNGE']
        same(len(told), gone, 'EXPUNGE responses')


def expunged():
    with Two() as t:
        t.other.ok('STORE 1:* +FLAGS.SILENT (\\Deleted)')
        t.other.ok('EXPUNGE')
        t.read_all()
        t.then_told(5)


def moved():
    with Two() as t:
        t.other.ok('UID MOVE 1:3,5 Other')
        t.read_all()
        t.then_told(4)


def moved_and_expunged_there():
    with Two() as t:
        t.other.ok('UID MOVE 1:* Other')
        t.other.ok('SELECT Other')
        t.other.ok('UID MOVE 1:2 Third')
        t.other.ok('STORE 1:* +FLAGS.SILENT (\\Deleted)')
        t.other.ok('EXPUNGE')
        t.read_all()
        t.then_told(5)


def moved_in_the_mount():
    with Two() as t:
        os.rename(t.path('INBOX', '1.eml'), t.path('Other', '1.eml'))
        os.rename(t.path('INBOX', '5.eml'), t.path('Other', '5.eml'))
        t.read_all()
        t.then_told(2)


def removed_in_the_mount():
    with Two() as t:
        os.unlink(t.path('INBOX', '2.eml'))
        os.unlink(t.path('INBOX', '5.eml'))
        t.read_all()
        t.then_told(2)


def deleted_by_pop3():
    with Two() as t:
        with lib.Session(t.server.mount.path) as pop:
            for n in range(1, 6):
                pop.ok('DELE %d' % n)
            pop.quit()
        t.read_all()
        t.then_told(5)


def searched_afterwards():
    with Two() as t:
        t.other.ok('UID MOVE 1:3 Other')
        same(imapwire.search_hits(t.session.ok('SEARCH SUBJECT "hands 43."')), [3], 'SEARCH')
        same(imapwire.search_hits(t.session.ok('SEARCH BODY " of 42 "')), [1], 'SEARCH')
        t.then_told(3)


lib.run_tests([expunged, moved, moved_and_expunged_there, moved_in_the_mount,
               removed_in_the_mount, deleted_by_pop3, searched_afterwards])
