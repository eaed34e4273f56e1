#!/usr/bin/env python3
"""An mbox goes through Dovecot, mailtree, mutt and NeoMutt, one after the other and back:
UIDs, UIDVALIDITY, flags and keywords are as whoever changed them left them, and the octets of
what nobody changed too. Reading alone leaves the file as it is."""
import contextlib
import fcntl
import os
import pty
import select
import struct
import subprocess
import termios
import threading
import time

import imapwire
import lib
import mboxes

FLAGS = ['', '\\Seen', '\\Seen \\Answered', '\\Flagged $Junk', 'work urgent', '\\Draft',
         '\\Deleted', '\\Seen work $Forwarded']
LOCATION = 'mail_location = mbox:~/mail:INBOX=~/inbox\n'


def letter(tag, lines=1):
    return ('From: ann@example.org\r\nSubject: %s\r\n\r\nletter %s\r\nFrom here on\r\n%s' %
            (tag, tag, 'a line of text\r\n' * lines)).encode()


def stored(tag, extra=b''):
    """As a mail program leaves it: with its length."""
    body = b'letter %s\nand more\n' % tag.encode()
    return (b'From ann@example.org Thu Nov 29 22:33:52 2001\nFrom: ann@example.org\nSubject: %s\n'
            b'%sContent-Length: %d\nLines: 2\n\n%s\n' % (tag.encode(), extra, len(body), body))


class Place:
    """A home with an mbox, for several programs."""

    def __init__(self, folder, uid=lib.MAIL_UID):
        self.folder, self.home, self.uid = folder, os.path.join(folder, 'home/ann'), uid
        self.store, self.inbox = self.home + '/mail', self.home + '/inbox'
        os.makedirs(self.store)
        lib.run('chown', '-R', '%d:%d' % (uid, uid), self.home)
        self.n = 0

    def put(self, octets):
        mboxes.put(self.inbox, octets, self.uid)

    def dovecot(self):
        self.n += 1
        folder = os.path.join(self.folder, 'd%d' % self.n)
        os.mkdir(folder)
        os.chown(folder, self.uid, self.uid)
        return mboxes.Dovecot(folder, self.store, ':INBOX=%s:INDEX=MEMORY' % self.inbox,
                              self.uid)

    def by_dovecot(self):
        with self.dovecot() as server, server.imap() as imap:
            seen = mboxes.by_imap(imap, 'INBOX')
            lib.same(server.complaints(), [], 'complaints of Dovecot')
            return seen

    def server(self):
        return lib.Server(self.folder, ['ann'], LOCATION, uid=self.uid)

    def by_mailtree(self, forget=True):
        """What a mailtree that has never seen it shows, or one that has."""
        if forget:
            lib.run('rm', '-rf', self.folder + '/index')
        with self.server() as ours:
            return mboxes.by_tree(ours.view('ann'))


def rows_of(seen):
    """{uid: (flags, keywords, octets)}; the last line end is no difference."""
    return {u: (f, frozenset(k), o.rstrip(b'\r\n')) for u, f, k, o in
            zip(seen.uids, seen.flags, seen.keywords, seen.octets)}


def same(got, want, what):
    lib.same(got.validity, want.validity, what + ': UIDVALIDITY')
    got, want = rows_of(got), rows_of(want)
    lib.same(sorted(got), sorted(want), what + ': UIDs')
    for uid in want:
        lib.same(got[uid][:2], want[uid][:2], '%s: flags of %d' % (what, uid))
        lib.same(got[uid][2], want[uid][2], '%s: octets of %d' % (what, uid))


# ---- reading alone -----------------------------------------------------------------------------

def unchanged(place, before, what):
    lib.same(lib.text_of(place.inbox), before[0], what + ': octets of the file')
    st = os.stat(place.inbox)
    lib.same((st.st_mtime_ns, st.st_ino), before[1:], what + ': mtime, inode')
    lib.same(sorted(os.listdir(place.home)), ['inbox', 'mail'], what + ': files beside it')


def read_all_ways(place, view, octets):
    before = octets, os.stat(place.inbox).st_mtime_ns, os.stat(place.inbox).st_ino
    lib.same(len(mboxes.by_tree(view).octets), 40, 'messages')
    unchanged(place, before, 'the tree')
    with lib.Session(view.path) as pop:
        for n in pop.table('UIDL'):
            pop.retr(n)
        pop.quit()
    unchanged(place, before, 'POP3')
    process, sock = imapwire.spawn([os.path.join(lib.BUILD, 'mailtree-imap'), '-u', view.path])
    with imapwire.Imap(sock, process) as imap:
        lib.same(len(mboxes.by_imap(imap, 'INBOX').octets), 40, 'messages')
        imap.ok('FETCH 1:* (BODY[] ENVELOPE BODYSTRUCTURE)')
        imap.ok('LOGOUT')
    unchanged(place, before, 'IMAP')
    lib.run('sh', '-c', 'cat *.eml | wc -c; rsync -a . "$0"', place.folder + '/copy',
            cwd=view.box('INBOX'))
    unchanged(place, before, 'cat and rsync')


def reading_alone_changes_nothing():
    bare = b''.join(stored('m%d' % i) for i in range(40))
    for octets in (bare, stored('m0', b'X-IMAPbase: 1000000000 0000000050\nX-UID: 4\n') +
                   b''.join(stored('m%d' % i) for i in range(1, 40))):
        with lib.scratch() as folder:
            place = Place(folder)
            place.put(octets)
            with place.server() as ours:
                first = mboxes.by_tree(ours.view('ann'))
                read_all_ways(place, ours.view('ann'), octets)
            again = place.by_mailtree(forget=False)
            same(again, first, 'after a restart')
            lib.same(lib.text_of(place.inbox), octets, 'the file after a restart')


# ---- Dovecot -------------------------------------------------------------------------------------

def fill(place):
    with place.dovecot() as server, server.imap() as imap:
        for i in range(24):
            imap.append('INBOX', letter('d%d' % i), FLAGS[i % 8])
        imap.ok('SELECT INBOX')
        imap.ok('UID STORE 3,7 +FLAGS (\\Deleted)')
        imap.ok('EXPUNGE')
        imap.ok('LOGOUT')
        lib.same(server.complaints(), [], 'complaints of Dovecot')


def change_by_mailtree(place, k):
    """Flags that fit in place and that do not, keywords old and new, an expunge, a delivery;
    what it shows afterwards."""
    with place.server() as ours:
        box = ours.view('ann').box('INBOX')
        uids = lib.uids(box)
        for command in ('flags +\\Seen %d' % uids[0], 'flags -\\Seen %d' % uids[1],
                        'flags =\\Answered,work %d' % uids[2],
                        'flags +\\Flagged,new-one-%d %d:%d' % (k, uids[4], uids[8]),
                        'flags = %d' % uids[9], 'expunge %d,%d' % (uids[3], uids[10])):
            lib.same(lib.ctl(box, command)[1], 'ok', command)
        with open(os.path.join(box, 'new'), 'wb') as f:
            f.write(letter('by mailtree %d' % k, 30).replace(b'\r\n', b'\n'))
        with open(os.path.join(box, 'crlf'), 'wb') as f:
            f.write(letter('by mailtree in crlf %d' % k))
        seen = mboxes.by_tree(ours.view('ann'))
        lib.same(seen.uids[-2:], [uids[-1] + 1, uids[-1] + 2], 'UIDs of what is new')
        return seen


def from_as_stored(seen):
    """Dovecot shows mboxrd quoting of ours as it is stored."""
    seen.octets = [o.replace(b'\n>From here on', b'\nFrom here on') for o in seen.octets]
    return seen


def change_by_dovecot(place):
    with place.dovecot() as server, server.imap() as imap:
        imap.ok('SELECT INBOX')
        uids = imapwire.search_hits(imap.ok('UID SEARCH ALL'))
        imap.ok('UID STORE %d,%d FLAGS (\\Flagged urgent)' % (uids[0], uids[-1]))
        imap.ok('UID STORE %d +FLAGS (by-dovecot)' % uids[5])
        imap.ok('UID STORE %d +FLAGS (\\Deleted)' % uids[6])
        imap.ok('UID EXPUNGE %d' % uids[6])
        imap.append('INBOX', letter('late'), '\\Seen')
        imap.ok('LOGOUT')
        lib.same(server.complaints(), [], 'complaints of Dovecot')


def dovecot_and_back():
    with lib.scratch() as folder:
        place = Place(folder)
        fill(place)
        for k in range(3):
            before = place.by_dovecot()
            same(from_as_stored(place.by_mailtree()), from_as_stored(before), 'round %d' % k)
            ours = change_by_mailtree(place, k)
            same(from_as_stored(place.by_dovecot()), from_as_stored(ours),
                 'Dovecot after mailtree, round %d' % k)
            same(place.by_mailtree(), ours, 'a new mailtree, round %d' % k)
            change_by_dovecot(place)
            same(from_as_stored(place.by_mailtree(forget=False)),
                 from_as_stored(place.by_dovecot()), 'after Dovecot, round %d' % k)


def the_same_message_twice_keeps_its_uids():
    """One has its UID in the file, the other has it from mailtree, which starts anew."""
    with lib.scratch() as folder:
        place = Place(folder)
        place.put(stored('m0', b'X-IMAPbase: 1000000000 0000000050\nX-UID: 4\n') +
                  stored('m1') + 2 * stored('m0'))
        for _ in range(3):
            lib.same(place.by_mailtree(forget=False).uids, [4, 51, 52, 53], 'UIDs')


def uids_that_mailtree_gave_are_dovecots_after_the_first_change():
    with lib.scratch() as folder:
        place = Place(folder)
        place.put(b''.join(stored('m%d' % i) for i in range(20)))
        with place.server() as ours:
            first = mboxes.by_tree(ours.view('ann'))
            lib.same(lib.ctl(ours.view('ann').box('INBOX'), 'flags +\\Seen,work 5')[1], 'ok', 'ctl')
            lib.same(lib.ctl(ours.view('ann').box('INBOX'), 'expunge 2')[1], 'ok', 'ctl')
            after = mboxes.by_tree(ours.view('ann'))
        lib.same(after.validity, first.validity, 'UIDVALIDITY')
        lib.same(after.uids, [u for u in first.uids if u != 2], 'UIDs')
        same(place.by_dovecot(), after, 'Dovecot')
        same(place.by_mailtree(), after, 'a mailtree that has lost its index')


# ---- mutt and NeoMutt ------------------------------------------------------------------------------

MUTTRC = '''set mbox_type=mbox
set quit=yes delete=yes move=no mark_old=yes resolve=no wait_key=no
set folder=%s
'''


def mutt(place, program, keys):
    """As that user, on a terminal of its own."""
    rc = place.folder + '/muttrc'
    with open(rc, 'w') as f:
        f.write(MUTTRC % place.store)
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack('HHHH', 40, 120, 0, 0))
    process = subprocess.Popen(
        [program, '-n', '-F', rc, '-f', place.inbox, '-e', 'push "%s<sync-mailbox><quit>"' % keys],
        stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True, user=place.uid,
        group=place.uid, extra_groups=[], env={'TERM': 'xterm', 'HOME': place.home,
                                                  'PATH': os.environ['PATH']})
    os.close(theirs)
    screen, end = b'', time.monotonic() + 60
    try:
        while process.poll() is None:
            if time.monotonic() > end:
                raise lib.Failed('%s does not end: %r' % (program, screen[-500:]))
            if select.select([ours], [], [], 0.1)[0]:
                try:
                    screen += os.read(ours, 65536)
                except OSError:
                    break
        lib.check(process.wait(10) == 0, '%s: exit status %d: %r', program, process.returncode, screen[-500:])
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        os.close(ours)


def mutt_and_back(program):
    with lib.ordinary_user() as user, lib.scratch() as folder:	# mutt asks for its name
        place = Place(folder, user.pw_uid)
        place.put(stored('m0', b'X-IMAPbase: 1000000000 0000000040 work\nX-UID: 11\n') +
                  b''.join(stored('m%d' % i, b'X-UID: %d\n' % (11 + 2 * i)) for i in range(1, 10)))
        with place.server() as ours:
            box = ours.view('ann').box('INBOX')
            for command in ('flags +\\Flagged,work 13', 'flags +\\Seen,\\Answered 15',
                            'flags +\\Deleted 17', 'flags +work 19'):
                lib.same(lib.ctl(box, command)[1], 'ok', command)
            before = mboxes.by_tree(ours.view('ann'))
        # what mailtree flagged is what it finds flagged; and it flags the first
        mutt(place, program, '<delete-pattern>~F<enter><delete-pattern>~Q<enter>'
             '<first-entry><set-flag>!')
        want = rows_of(before)
        del want[13], want[15], want[17]	# a deleted message is deleted by mutt too
        want[11] = ('F', frozenset(), want[11][2])
        after = place.by_mailtree(forget=False)
        lib.same(after.validity, before.validity, 'UIDVALIDITY')
        lib.same(rows_of(after), want, 'after ' + program)
        same(place.by_mailtree(), after, 'a mailtree that has lost its index')
        same(place.by_dovecot(), after, 'Dovecot after ' + program)


def mutt_then_mailtree():
    mutt_and_back('mutt')


def neomutt_then_mailtree():
    mutt_and_back('neomutt')


def what_mutt_rewrites_is_never_other_octets_under_the_same_uid():
    """It adds Lines to messages that have none: while mailtree runs, and while it does not."""
    def bare(i):
        base = b'' if i else b'X-IMAPbase: 1000000000 0000000040\n'
        fields = b'X-UID: %d\nStatus: RO\n' % (11 + i)	# which mutt has no reason to change
        return stored('m%d' % i, base + fields).replace(b'Lines: 2\n', b'')

    for live in (True, False):
        with lib.ordinary_user() as user, lib.scratch() as folder:
            place = Place(folder, user.pw_uid)
            place.put(b''.join(bare(i) for i in range(8)))

            def rewritten(keys):
                if not live:
                    mutt(place, 'mutt', keys)
                    return place.by_mailtree(forget=False)
                view = running.view('ann')
                flagged = lib.text_of(place.inbox).count(b'X-Status: F')
                mutt(place, 'mutt', keys)
                lib.wait_until(lambda: sum('F' in f for f in mboxes.by_tree(view).flags) == flagged + 1, 20,
                               'what mutt did is seen')
                return mboxes.by_tree(view)

            with contextlib.ExitStack() as stack:
                if live:
                    running = stack.enter_context(place.server())
                    before = mboxes.by_tree(running.view('ann'))
                else:
                    before = place.by_mailtree(forget=False)
                lib.same(before.uids, list(range(11, 19)), 'UIDs')
                after = rewritten('<jump>5<enter><set-flag>!')
                lib.check(b'Lines: ' in lib.text_of(place.inbox), 'mutt wrote no Lines')
                lib.same(len(after.uids), 8, 'messages')
                was, now = rows_of(before), rows_of(after)
                for uid in set(was) & set(now):
                    lib.same(now[uid][2], was[uid][2], 'octets of %d' % uid)
                lib.same(after.uids, [11, 12, 13, 14, 41, 42, 43, 44], 'UIDs after mutt')
                lib.check('F' in now[41][0], 'flags: %r', now[41])
                again = rewritten('<jump>6<enter><set-flag>!')
                lib.same(again.uids, after.uids, 'UIDs, once they have Lines')
                same_octets = {u: o for u, (_, _, o) in rows_of(again).items()}
                lib.same(same_octets, {u: o for u, (_, _, o) in now.items()}, 'octets')


def nobody_does_without_the_index_that_another_still_has():
    """Under what octets a UID was told stands there. A daemon that is at its end keeps it until
    it is on disk, which takes long on a busy machine: the next one waits."""
    def letters(extra):
        return b''.join(stored('m%d' % i, b'X-UID: %d\nStatus: RO\n%s' % (11 + i, extra) if i else
                               b'X-IMAPbase: 1000000000 0000000040\nX-UID: 11\n')
                        for i in range(4))

    def by_mount():
        with lib.Mount(place.folder, 'mbox:%s:INBOX=%s' % (place.store, place.inbox)) as mount:
            return mboxes.by_tree(mount)

    for look in ('server', 'mount'):
        with lib.scratch() as folder, contextlib.ExitStack() as stack:
            place = Place(folder)
            place.put(letters(b''))
            show = by_mount if look == 'mount' else lambda: place.by_mailtree(forget=False)
            before = show()
            lib.same(before.uids, [11, 12, 13, 14], 'UIDs')
            place.put(letters(b'Changed: yes\n'))
            fd = os.open(folder + '/index', os.O_RDONLY)
            stack.callback(os.close, fd)
            fcntl.flock(fd, fcntl.LOCK_EX)
            timer = threading.Timer(3, fcntl.flock, (fd, fcntl.LOCK_UN))
            timer.start()
            stack.callback(timer.join)
            after = show()
            lib.same(after.uids, [11, 41, 42, 43], 'UIDs by a ' + look)


lib.run_tests([reading_alone_changes_nothing, dovecot_and_back,
               the_same_message_twice_keeps_its_uids,
               uids_that_mailtree_gave_are_dovecots_after_the_first_change,
               mutt_then_mailtree, neomutt_then_mailtree,
               what_mutt_rewrites_is_never_other_octets_under_the_same_uid,
               nobody_does_without_the_index_that_another_still_has])
