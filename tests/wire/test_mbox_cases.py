#!/usr/bin/env python3
"""tests/data/mbox/cases.py, with lines that end in LF and in CRLF: what the scanner makes of
each file however it is cut; what the tree, POP3 and IMAP show of it, each case being a
mailbox of one tree; what Dovecot says of the same file. No file has changed afterwards."""
import os
import re
import subprocess
import sys

import imapwire
import lib
import mboxes
from mboxes import Dovecot, Seen, by_imap, by_tree

sys.path.insert(0, os.path.join(lib.ROOT, 'tests/data/mbox'))
sys.dont_write_bytecode = True
import cases  # noqa: E402

NOTHING_ELSE = 20		# differences that are printed
AT_A_TIME = 40			# folders of a mount: each look-up looks at all of them


def as_it_is(octets):
    return octets


def without_nul(octets):
    """An IMAP server may not send one."""
    return octets.replace(b'\0', b'\x80')


def as_dovecot(octets):
    """What is no difference between Dovecot's answers and ours; cases.py says why."""
    return without_nul(lib.wire_of(octets))


def unquoted(octets):
    """A message that we wrote with mboxrd quoting."""
    return re.sub(rb'^>(>*From )', rb'\1', octets, flags=re.M)


def differences(case, seen, fold):
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
                    why = differences(c, scanned(path, c.file(form)), as_it_is)
                except lib.Failed as e:
                    why = [str(e)]
                if why:
                    problems.append('%s (%s): %s' % (c.name, form, ', '.join(why)))
    lib.check(n >= 400, '%d cases', n)
    report(problems, n)


# ---- the tree and its servers -------------------------------------------------------------

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


def imap_of(view, **rest):
    process, sock = imapwire.spawn([os.path.join(lib.BUILD, 'mailtree-imap'), '-u', view.path, '-s', '/'],
                                   stderr=rest.pop('stderr', None))
    return imapwire.Imap(sock, process, **rest)


def look_at(case, view, imap):
    """What the case has otherwise; `imap` is a session of the directory above the view."""
    if case.want is None:
        return differences(case, by_tree(view), as_it_is) + servers_refuse(view)
    why = []
    for name, channel, fold in (('tree', lambda: by_tree(view), as_it_is),
                                ('POP3', lambda: by_pop3(view), as_it_is),
                                ('IMAP', lambda: by_imap(imap, case.name + '/INBOX'),
                                 without_nul)):
        try:
            why += ['%s: %s' % (name, d) for d in differences(case, channel(), fold)]
        except (lib.Failed, OSError, EOFError) as e:
            why.append('%s: %s' % (name, e))
    return why


def servers_refuse(view):
    """Neither shows an empty mailbox where there is no mbox."""
    with lib.Session(view.path, stderr=subprocess.DEVNULL) as pop:
        pop3 = pop.line()	# it ends without being asked
    with imap_of(view, stderr=subprocess.DEVNULL, greeting=False) as imap:
        said = imap.response()
        imap4 = said.name if said.name == 'BYE' else imap.ask('SELECT INBOX')[0].name
    return [] if pop3.startswith(b'-ERR') and imap4 in ('BYE', 'NO') else \
        ['POP3: %r, IMAP: %s' % (pop3, imap4)]


def what_became(case, form, folder):
    """Of the file and of the folder in which it lies alone."""
    why, path = [], folder + '/INBOX'
    if lib.text_of(path) != case.file(form):
        why.append('the file has changed')
    if os.stat(path).st_mtime != mboxes.LONG_AGO:
        why.append('its mtime has changed')
    if os.listdir(folder) != ['INBOX']:
        why.append('files beside it: %s' % os.listdir(folder))
    return why


def in_one_mount(some, form):
    """Each case is the INBOX of a folder, which POP3 takes for a user's directory."""
    problems = []
    with lib.scratch(os.environ.get('MT_MEMORY')) as folder:
        mail = folder + '/home/mail'
        for c in some:
            os.makedirs(os.path.join(mail, c.name))
            mboxes.put(os.path.join(mail, c.name, 'INBOX'), c.file(form))
        with lib.Mount(folder, 'mbox:%s:INBOX=%s/home/inbox' % (mail, folder)) as mount, \
                imap_of(mount) as imap:
            for c in some:
                why = look_at(c, lib.View(mount.box(c.name)), imap)
                why += what_became(c, form, os.path.join(mail, c.name))
                if why:
                    problems.append('%s: %s' % (c.name, ', '.join(why)))
        lib.same((sorted(os.listdir(mail)), os.listdir(folder + '/home')),
                 (sorted(c.name for c in some), ['mail']), 'files of the store')
    return problems


def all_channels(form):
    problems, every = [], all_of(form)
    for at in range(0, len(every), AT_A_TIME):
        problems += in_one_mount(every[at:at + AT_A_TIME], form)
    report(problems, len(every))


def tree_pop3_and_imap_lf():
    all_channels('lf')


def tree_pop3_and_imap_crlf():
    all_channels('crlf')


# ---- Dovecot -----------------------------------------------------------------------------

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
                mboxes.put(os.path.join(store, c.name), c.file(form), lib.MAIL_UID)
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
    lib.run_tests([the_scanner_however_it_is_cut, dovecot_differs_only_where_it_is_said,
                   tree_pop3_and_imap_lf, tree_pop3_and_imap_crlf])
