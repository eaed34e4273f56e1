#!/usr/bin/env python3
# limit: 900
"""tests/data/mbox/cases.py, with lines that end in LF and in CRLF: what the scanner makes of
each file however it is cut; what the tree, POP3 and IMAP show of it, each case being the INBOX
of a user; what Dovecot says of the same file. No file has changed afterwards."""
import datetime
import os
import re
import sys

import imapwire
import lib

sys.path.insert(0, os.path.join(lib.ROOT, 'tests/data/mbox'))
sys.dont_write_bytecode = True
import cases  # noqa: E402

LETTER = {'\\Seen': 'R', '\\Answered': 'A', '\\Flagged': 'F', '\\Draft': 'T', '\\Deleted': 'D'}
NOTHING_ELSE = 20		# differences that are printed


class Seen:
    """What a channel shows of a file: None for the messages when it is no mbox."""

    def __init__(self, octets=None, **rest):
        self.octets = octets
        self.flags = self.keywords = self.uids = self.dates = None
        self.validity = self.uidnext = None
        self.__dict__.update(rest)


def as_dovecot(octets):
    """What is no difference between Dovecot's answers and ours; cases.py says why."""
    return lib.wire_of(octets).replace(b'\x80', b'\0')


def unquoted(octets):
    """A message that we wrote with mboxrd quoting."""
    return re.sub(rb'^>(>*From )', rb'\1', octets, flags=re.M)


def differences(case, seen, fold=lambda octets: octets):
    """What `seen` has that is not as the case has it."""
    if case.want is None or seen.octets is None:
        return [] if case.want is None and seen.octets is None else \
            ['an mbox' if case.want is None else 'no mbox']
    want, out = [fold(lib.wire_of(w)) for w in case.want], []
    got = [fold(o) for o in seen.octets]
    if len(got) != len(want):
        out.append('%d messages, not %d' % (len(got), len(want)))
    for i, (g, w) in enumerate(zip(got, want)):
        if g != w:
            at = next((k for k in range(min(len(g), len(w))) if g[k] != w[k]), min(len(g), len(w)))
            out.append('message %d: %d octets, not %d; at %d %r, not %r' %
                       (i, len(g), len(w), at, g[at:at + 30], w[at:at + 30]))
    for what in ('flags', 'keywords', 'uids', 'dates', 'validity', 'uidnext'):
        asked, said = getattr(case, what), getattr(seen, what)
        if what == 'flags':
            asked = asked and [''.join(sorted(f)) for f in asked]
        if asked is not None and said is not None and asked != said:
            out.append('%s: %r, not %r' % (what, said, asked))
    return out[:6]


def all_of(form):
    return [c for c in cases.CASES if form in c.forms]


def report(problems, n):
    if problems:
        raise lib.Failed('%d of %d: %s' % (len(problems), n, '; '.join(problems[:NOTHING_ELSE])))


# ---- the scanner --------------------------------------------------------------------------

def scanned(path, octets):
    said = lib.run(os.path.join(lib.BUILD, 'tests/tools/mboxdump'), path).stdout.decode()
    messages, dates, hidden = [], [], []
    for line in said.splitlines()[:-1]:
        what, *numbers = line.split()
        numbers = [int(n) for n in numbers]
        if what == 'hidden':
            hidden.append(numbers)
            continue
        off, at, end, _, visible, date = numbers[:6]
        ours = octets[off:at].startswith(b'From mailtree-mboxrd ')
        shown = b''
        for field, size in hidden:
            if field < end:
                shown += octets[at:field]
                at = field + size
        shown += octets[at:end]
        lib.check(len(shown) == visible, '%s: %d octets, not %d', line, len(shown), visible)
        hidden = []
        if not numbers[10]:
            messages.append(lib.wire_of(unquoted(shown) if ours else shown))
            dates.append(date)
    no_mbox = said.splitlines()[-1] == 'no-mbox'
    return Seen(None if no_mbox else messages, dates=dates)


def the_scanner_however_it_is_cut():
    problems, n = [], 0
    with lib.scratch() as folder:
        path = os.path.join(folder, 'mbox')
        for form in ('lf', 'crlf'):
            for c in all_of(form):
                n += 1
                with open(path, 'wb') as f:
                    f.write(c.file(form))
                try:
                    why = differences(c, scanned(path, c.file(form)))
                except lib.Failed as e:
                    why = [str(e)]
                if why:
                    problems.append('%s (%s): %s' % (c.name, form, ', '.join(why)))
    lib.check(n >= 400, '%d cases', n)
    report(problems, n)


# ---- the tree and its servers -------------------------------------------------------------

def by_imap(imap, box):
    """Seen, or None for the messages when the mailbox cannot be opened."""
    done, out = imap.ask('EXAMINE "%s"' % box)
    if done.name != 'OK':
        return Seen()
    codes = {}
    for r in out:
        for name in ('UIDVALIDITY', 'UIDNEXT'):
            if r.code and r.code_is(name) is not None:
                codes[name] = int(r.code_is(name))
    rows = []
    if next(r.number for r in out if r.name == 'EXISTS'):
        out = imap.ok('FETCH 1:* (UID FLAGS INTERNALDATE RFC822.SIZE BODY.PEEK[])')
        rows = [r.items() for r in out if r.name == 'FETCH' and r.values[0]]
    for r in rows:
        lib.same(r['RFC822.SIZE'], len(r['BODY[]'] or b''), 'RFC822.SIZE')
    return Seen([r['BODY[]'] or b'' for r in rows],
                flags=[''.join(sorted(LETTER[f] for f in r['FLAGS'] if f in LETTER))
                       for r in rows],
                keywords=[{f for f in r['FLAGS'] if not f.startswith('\\')} for r in rows],
                uids=[r['UID'] for r in rows],
                dates=[seconds_of(r['INTERNALDATE']) for r in rows],
                validity=codes['UIDVALIDITY'], uidnext=codes['UIDNEXT'])


def seconds_of(date):
    text = date.decode().strip()
    return int(datetime.datetime.strptime(text, '%d-%b-%Y %H:%M:%S %z').timestamp())


def by_tree(view):
    box = view.box('INBOX')
    try:
        uids = lib.uids(box)
    except OSError:
        return Seen()
    lib.ctl_sizes(box)
    octets, dates = [], []
    for uid in uids:
        path = os.path.join(box, '%d.eml' % uid)
        octets.append(lib.text_of(path))
        lib.same(os.stat(path).st_size, len(octets[-1]), 'st_size of %d' % uid)
        dates.append(int(os.stat(path).st_mtime))
    head, _, rows = lib.state(box)
    lib.same(sorted(rows), uids, 'UIDs of .mailbox')
    letters = {'S': 'R', 'R': 'A', 'F': 'F', 'D': 'T', 'T': 'D'}
    return Seen(octets, uids=uids, dates=dates, validity=head['uidvalidity'],
                uidnext=head['uidnext'],
                flags=[''.join(sorted(letters[c] for c in rows[u]['flags'])) for u in uids],
                keywords=[rows[u]['keywords'] for u in uids])


def by_pop3(view):
    with lib.Session(view.path) as pop:
        listed = pop.table('LIST')
        octets = []
        for n in sorted(listed):
            size, message = pop.retr(n)
            octets.append(message)
            lib.same((size, int(listed[n])), (len(message), len(message)), 'size of %d' % n)
        lib.same(int(pop.ok('STAT').split()[2]), sum(map(len, octets)), 'STAT')
        pop.quit()
    return Seen(octets)


def by_imap_session(view):
    process, sock = imapwire.spawn([os.path.join(lib.BUILD, 'mailtree-imap'), '-u', view.path])
    with imapwire.Imap(sock, process) as imap:
        return by_imap(imap, 'INBOX')


CHANNELS = (('tree', by_tree), ('POP3', by_pop3), ('IMAP', by_imap_session))
LOCATION = 'mail_location = mbox:~/mail:INBOX=~/inbox\n'


def put(path, octets, uid=lib.MAIL_UID):
    """A file that was last changed long ago."""
    with open(path, 'wb') as f:
        f.write(octets)
    os.chown(path, uid, uid)
    os.utime(path, (1500000000, 1500000000))


def look_at(case, view):
    why = []
    for name, channel in CHANNELS:
        if case.want is None and name == 'POP3':
            continue	# it has no words for a maildrop that is none
        try:
            why += ['%s: %s' % (name, d) for d in differences(case, channel(view))]
        except (lib.Failed, OSError, EOFError) as e:
            why.append('%s: %s' % (name, e))
    return why


def all_channels(form):
    problems, todo = [], all_of(form)
    with lib.scratch() as folder:
        for i, c in enumerate(todo):
            home = os.path.join(folder, 'home/u%d' % i)
            os.makedirs(home + '/mail')
            lib.run('chown', '-R', '%d:%d' % (lib.MAIL_UID, lib.MAIL_UID), home)
            put(home + '/inbox', c.file(form))
        with lib.Server(folder, ['u%d' % i for i in range(len(todo))], LOCATION) as server:
            for i, c in enumerate(todo):
                why = look_at(c, server.view('u%d' % i))
                path = os.path.join(server.home('u%d' % i), 'inbox')
                if lib.text_of(path) != c.file(form):
                    why.append('the file has changed')
                if os.stat(path).st_mtime != 1500000000:
                    why.append('its mtime has changed')
                if os.listdir(server.home('u%d' % i) + '/mail') or \
                        len(os.listdir(server.home('u%d' % i))) != 2:
                    why.append('files beside it')
                if why:
                    problems.append('%s: %s' % (c.name, ', '.join(why)))
    report(problems, len(todo))


def tree_pop3_and_imap_lf():
    all_channels('lf')


def tree_pop3_and_imap_crlf():
    all_channels('crlf')


# ---- Dovecot -----------------------------------------------------------------------------

class Dovecot(imapwire.Dovecot):
    def __init__(self, folder, store):
        super().__init__(folder, store)
        with open(self.conf) as f:
            text = f.read()
        with open(self.conf, 'w') as f:
            f.write(text.replace('maildir:' + store, 'mbox:%s:INDEX=MEMORY' % store)
                    .replace('separator = .', 'separator = /'))


def by_dovecot(server, imap, case):
    """(Seen, session): a new session when this one was ended, which is told as no mbox."""
    try:
        return by_imap(imap, case.name), imap
    except (EOFError, ConnectionError):
        imap.close()
        return Seen(), server.imap()


def dovecot_differs_only_where_it_is_said():
    problems, n = [], 0
    for form in ('lf', 'crlf'):
        with lib.scratch() as folder:
            store = os.path.join(folder, 'mail')
            os.mkdir(store)
            os.chown(store, lib.MAIL_UID, lib.MAIL_UID)
            for c in all_of(form):
                put(os.path.join(store, c.name), c.file(form))
            with Dovecot(folder, store) as server:
                imap = server.imap()
                for c in all_of(form):
                    n += 1
                    seen, imap = by_dovecot(server, imap, c)
                    why = differences(c, seen, as_dovecot)
                    if bool(why) != (form in c.dovecot):
                        problems.append('%s (%s): %s' % (c.name, form,
                                                         ', '.join(why) or 'no difference'))
                imap.close()
    report(problems, n)


if __name__ == '__main__':
    lib.run_tests([the_scanner_however_it_is_cut, dovecot_differs_only_where_it_is_said])
