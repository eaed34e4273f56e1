"""What must be true of one account under many hands: messages that tell who they are, a
ledger of what was delivered, copied and removed on purpose, and one session's view of a
mailbox, checked against both.

Numbers of messages decide who may do what to them, so that what must come out is known
however the hands interleave: only some may ever be removed (`deletable`), and two flags of
each message belong to one session alone (`owner`).
"""
import functools
import random
import re
import zlib

OWNED = frozenset(('\\Answered', '\\Draft'))	# only a message's owner touches these
SHARED = ('\\Seen', '\\Flagged', 'work', '$Later')
IDENTITY = re.compile(rb'^X-Hands: (\d+) ([0-9a-f]{8})\r$', re.M)


def deletable(ident):
    return ident % 3 == 0


def owner(ident, sessions):
    return ident // 3 % sessions


@functools.lru_cache(4096)
def octets_of(ident):
    """The message with that number, as it goes over the wire."""
    rnd = random.Random(ident)
    lines = 400 if ident % 41 == 0 else rnd.randrange(1, 40)
    text = ''.join('%s%d of %d %s\r\n' % ('.' * rnd.randrange(3), i, ident, 'x' * rnd.randrange(60))
                   for i in range(lines))
    kind = 'text/plain'
    if ident % 5 == 1:
        kind = 'multipart/mixed; boundary="=%d="' % ident
        text = ('--=%d=\r\n\r\n%s--=%d=\r\nContent-Type: text/html\r\n\r\n<p>%d\r\n--=%d=--\r\n' %
                (ident, text, ident, ident, ident))
    return ('From: "Hand %d" <h%d@example.org>\r\nTo: ann@example.org\r\nSubject: hands %d.\r\n'
            'Date: Mon, 02 Mar 2026 10:%02d:%02d +0000\r\nMessage-ID: <%d@hands.example>\r\n'
            'MIME-Version: 1.0\r\nContent-Type: %s\r\nX-Hands: %d %08x\r\n\r\n%s' %
            (ident % 7, ident % 7, ident, ident // 60 % 60, ident % 60, ident, kind, ident,
             zlib.crc32(text.encode()), text)).encode()


def ident_of(octets):
    """Its number, or None when these are not the octets of such a message (or its header)."""
    found = IDENTITY.search(octets)
    return int(found.group(1)) if found else None


class Ledger:
    """Shared by all hands on the account. What it finds wrong is (kind, who, text)."""

    def __init__(self, sessions):
        self.sessions, self.next = sessions, 1
        self.born = {}		# ident -> how many of it there must be when nothing removes it
        self.unsure = {}	# ident -> how many more there may be: an answer was an error
        self.doomed = set()	# idents that somebody began to remove
        self.meaning = {}	# (box, uid) -> ident, for ever
        self.dates = {}		# (box, uid) -> INTERNALDATE, likewise
        self.flags = {}		# (box, uid) -> {modseq: flags}
        self.owned = {}		# (box, uid) -> (owned flags, modseq from which they hold or None)
        self.gone = {}		# (box, uid) -> clock when somebody was told
        self.uids = {}		# box -> highest UID that somebody was told
        self.clock = 0
        self.wrongs = []

    def wrong(self, kind, who, why, *args):
        self.wrongs.append((kind, str(who), why % args if args else why))

    def new_ident(self, removable=None):
        """The next number; `removable` chooses one that may or may not be removed."""
        ident = self.next
        while removable is not None and deletable(ident) != removable:
            ident += 1
        self.next = ident + 1
        return ident

    def bear(self, ident, n=1):
        self.born[ident] = self.born.get(ident, 0) + n

    def doubt(self, ident):
        """One more of it may or may not have come to be."""
        self.unsure[ident] = self.unsure.get(ident, 0) + 1

    def means(self, who, box, uid, ident):
        self.saw(box, uid)
        was = self.meaning.setdefault((box, uid), ident)
        if was != ident:
            self.wrong('meaning', who, 'UID %d of %s was message %d and is %d', uid, box, was, ident)

    def saw(self, box, uid):
        if uid > self.uids.get(box, 0):
            self.uids[box] = uid

    def went(self, box, uid):
        self.clock += 1
        self.gone.setdefault((box, uid), self.clock)

    def octets(self, who, box, uid, octets):
        """A whole message was read."""
        ident = ident_of(octets)
        if ident is None or octets != octets_of(ident):
            self.wrong('octets', who, 'UID %d of %s (message %s) has wrong octets: %r...', uid, box,
                       ident, octets[:200])
        else:
            self.means(who, box, uid, ident)

    def dated(self, who, box, uid, date):
        if self.dates.setdefault((box, uid), date) != date:
            self.wrong('date', who, 'UID %d of %s: INTERNALDATE was %s, is %s', uid, box,
                       self.dates[box, uid], date)

    def flagged(self, who, box, uid, modseq, flags):
        """Whoever sees the same MODSEQ sees the same flags."""
        was = self.flags.setdefault((box, uid), {}).setdefault(modseq, flags)
        if was != flags:
            self.wrong('flags', who, 'UID %d of %s at MODSEQ %d: %s and %s', uid, box, modseq,
                       sorted(was), sorted(flags))
        want, since = self.owned.get((box, uid), (None, None))
        if want is not None and since is not None and modseq >= since and flags & OWNED != want:
            self.wrong('flags', who, 'UID %d of %s at MODSEQ %d has %s; its owner left %s at %d',
                       uid, box, modseq, sorted(flags & OWNED), sorted(want), since)

    def alive(self, box=None, removable=None):
        """(box, uid, ident) of what is known and was not told to be gone."""
        return [(b, uid, ident) for (b, uid), ident in self.meaning.items()
                if (b, uid) not in self.gone and (box is None or b == box) and
                (removable is None or deletable(ident) == removable)]

    def settle(self, found):
        """At the end: found is {(box, uid): (ident, flags)} of all that is there."""
        counts = {}
        for (box, uid), (ident, flags) in found.items():
            counts[ident] = counts.get(ident, 0) + 1
            if (box, uid) in self.gone:
                self.wrong('ghost', 'end', 'UID %d of %s was expunged and is there', uid, box)
            self.means('end', box, uid, ident)
            if '\\Deleted' in flags and not deletable(ident):
                self.wrong('flags', 'end', 'UID %d of %s: nobody set \\Deleted', uid, box)
        for ident in self.born.keys() | counts.keys():
            there, least = counts.get(ident, 0), self.born.get(ident, 0)
            most = least + self.unsure.get(ident, 0)
            if there > most:
                self.wrong('twice', 'end', 'message %d is there %d times, not %d: %s', ident, there,
                           most, [k for k, v in found.items() if v[0] == ident])
            if there < least and ident not in self.doomed:
                self.wrong('lost', 'end', 'message %d is there %d times, not %d; it was at %s', ident,
                           there, least, [k for k, v in self.meaning.items() if v == ident])


class View:
    """A selected mailbox as one session was told. `uids[n - 1]` of message n, None while it
    has not been told."""

    def __init__(self, ledger, box, who, hand=0):
        self.ledger, self.box, self.who, self.hand = ledger, box, who, hand
        self.uids, self.flags, self.modseqs = [], {}, {}
        self.modseq = 0			# HIGHESTMODSEQ as told
        self.validity, self.uidnext = None, 0
        self.arrived = 0		# messages that EXISTS has told of
        self.suspects = set()		# UIDs that an answer left out: expunged, or a mistake
        self.began = ledger.clock

    def wrong(self, kind, why, *args):
        self.ledger.wrong(kind, self.who, self.box + ': ' + why, *args)

    def exists(self, n):
        if n < len(self.uids):
            self.wrong('exists', '%d EXISTS, but there were %d and no EXPUNGE', n, len(self.uids))
            del self.uids[n:]
        self.arrived += n - len(self.uids)
        self.uids += [None] * (n - len(self.uids))

    def expunge(self, n):
        if not 1 <= n <= len(self.uids):
            self.wrong('number', '%d EXPUNGE of %d', n, len(self.uids))
            return
        self._went(self.uids.pop(n - 1))

    def _went(self, uid):
        if uid is not None:
            self.flags.pop(uid, None)
            self.modseqs.pop(uid, None)
            self.suspects.discard(uid)
            self.ledger.went(self.box, uid)

    def vanished(self, uids):
        for uid in uids:
            at = self.uids.index(uid) if uid in self.uids else self.unknown(uid)
            if at is None:
                self.wrong('number', 'VANISHED %d, which is not here', uid)
                continue
            del self.uids[at]
            self._went(uid)

    def unknown(self, uid):
        """Where a message lies that may have that UID, between those whose UIDs are known."""
        before = 0
        for at, there in enumerate(self.uids):
            if there is None and before < uid and uid < next(
                    (u for u in self.uids[at:] if u is not None), uid + 1):
                return at
            before = there or before
        return None

    def place(self, n, uid):
        """Message n has that UID."""
        was = self.uids[n - 1]
        if was is not None:
            if was != uid:
                self.wrong('uid', 'message %d has UID %d, and had %d', n, uid, was)
            return
        before = next((u for u in reversed(self.uids[:n - 1]) if u is not None), 0)
        after = next((u for u in self.uids[n:] if u is not None), uid + 1)
        if not before < uid < after:
            self.wrong('uid', 'message %d has UID %d, between %d and %d', n, uid, before, after)
        self.uids[n - 1] = uid
        self.ledger.saw(self.box, uid)
        if self.ledger.gone.get((self.box, uid), self.began + 1) <= self.began:
            self.wrong('ghost', 'UID %d was expunged before this was selected', uid)

    def fetch(self, n, items, needs_uid, needs_modseq):
        """A FETCH response; what it must hold besides what was asked. The UID, or None."""
        if not 1 <= n <= len(self.uids):
            self.wrong('number', 'FETCH of %d; there are %d', n, len(self.uids))
            return None
        uid = items.get('UID')
        if uid is not None:
            self.place(n, uid)
        elif needs_uid:
            self.wrong('form', 'FETCH of %d without UID', n)
        uid = self.uids[n - 1]
        if uid is None:
            return None
        modseq = items.get('MODSEQ')
        if modseq is not None and modseq < self.modseqs.get(uid, 0):
            self.wrong('modseq', 'UID %d has MODSEQ %d, and had %d', uid, modseq, self.modseqs[uid])
        if 'FLAGS' in items:
            self._flags(uid, items['FLAGS'] - {'\\Recent'}, modseq)
            if modseq is None and needs_modseq:
                self.wrong('form', 'FLAGS of %d without MODSEQ', n)
        elif modseq is not None and modseq != self.modseqs.get(uid):
            self.flags.pop(uid, None)		# changed, and it does not say how
        if modseq is not None:
            self.modseqs[uid] = modseq
        return uid

    def _flags(self, uid, flags, modseq):
        key = (self.box, uid)
        if modseq is not None:
            if modseq == self.modseqs.get(uid) and self.flags.get(uid, flags) != flags:
                self.wrong('flags', 'UID %d at MODSEQ %d: %s, and had %s', uid, modseq,
                           sorted(flags), sorted(self.flags[uid]))
            self.ledger.flagged(self.who, self.box, uid, modseq, flags)
        ident = self.ledger.meaning.get(key)
        if ident is not None and owner(ident, self.ledger.sessions) == self.hand:
            want = self.ledger.owned.get(key, (None, None))[0]
            if want is not None and flags & OWNED != want:
                self.wrong('flags', 'UID %d has %s; I left %s', uid, sorted(flags & OWNED),
                           sorted(want))
        self.flags[uid] = flags

    def highest(self, modseq):
        if modseq < self.modseq:
            self.wrong('modseq', 'HIGHESTMODSEQ %d, and was %d', modseq, self.modseq)
        self.modseq = modseq

    def answered(self, wanted, got):
        """An answer about UIDs `wanted` had only `got`."""
        self.suspects |= set(wanted) - set(got)

    def synchronised(self):
        """A command has passed that may tell every EXPUNGE: who was left out must be gone."""
        left = self.suspects & set(self.uids)
        if left:
            self.wrong('missing', 'answers left out UIDs %s, which nobody expunged', sorted(left)[:20])
        self.suspects.clear()
