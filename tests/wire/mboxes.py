"""What the suites of mbox share: what tree and IMAP show of a mailbox, and Dovecot on mboxes."""
import datetime
import os

import imapwire
import lib

LONG_AGO = 1500000000
LETTER = {'\\Seen': 'R', '\\Answered': 'A', '\\Flagged': 'F', '\\Draft': 'T', '\\Deleted': 'D'}


class Seen:
    """What a channel shows of a file: None for the messages when it is no mbox."""

    def __init__(self, octets=None, **rest):
        self.octets = octets
        self.flags = self.keywords = self.uids = self.dates = None
        self.validity = self.uidnext = None
        self.__dict__.update(rest)


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


def put(path, octets, uid=None):
    """A file that was last changed long ago."""
    with open(path, 'wb') as f:
        f.write(octets)
    if uid is not None:
        os.chown(path, uid, uid)
    os.utime(path, (LONG_AGO, LONG_AGO))


class Dovecot(imapwire.Dovecot):
    """Its imap program over mboxes in `store`; `rest` as in mail_location."""

    def __init__(self, folder, store, rest=':INDEX=MEMORY', uid=lib.MAIL_UID):
        super().__init__(folder, 'mbox:' + store + rest, uid, '/')
