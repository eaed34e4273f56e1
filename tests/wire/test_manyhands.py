#!/usr/bin/env python3
# limit: 400
"""Many hands on one account (scripts/manyhands) for $MT_SECONDS (60), and the proof that its
checks see what they are there for: mistakes planted between server and checker. STORE=mbox:
on mboxes.
"""
import os
import re
import time

import hands
import imapwire
import lib
import stores
from lib import check

SECONDS = float(os.environ.get('MT_SECONDS', 60))
SEED = int(os.environ.get('MT_SEED', time.time()))


def run(folder, seed, **kwargs):
    store = stores.new(os.path.join(folder, 'store'))
    store.folder('Lost')
    with imapwire.Mailtree(folder, store.location, store.separator) as server:
        crowd = hands.Crowd(server, store, seed=seed, **kwargs)
        crowd.run()
    return crowd


def many_hands():
    with lib.scratch() as folder:
        crowd = run(folder, SEED, seconds=SECONDS)
    print('\n'.join('# ' + line for line in ['seed %d' % SEED] + crowd.report()), flush=True)
    check(not crowd.ledger.wrongs, '%d wrongs, seed %d', len(crowd.ledger.wrongs), SEED)


# ---- plants -----------------------------------------------------------------------------

class Plant:
    """Passes everything on, except what a mistake makes of it. `seen`: kinds of wrong, any
    of which is the right name for it."""
    seen, once = (), True

    def __init__(self):
        self.planted = 0

    def response(self, hand, raw):
        if hand.n < 6 or (self.once and self.planted):
            return (raw,)
        out = self.spoil(hand, raw)
        if out is None:
            return (raw,)
        self.planted += 1
        return out

    def spoil(self, hand, raw):
        """None: nothing to be done with this one."""
        return None

    def command(self, hand, octets):
        return (octets,)


def is_removal(raw):
    return re.match(rb'\* (\d+ EXPUNGE|VANISHED \d)', raw)


class DroppedExpunge(Plant):
    """One EXPUNGE, or VANISHED, does not arrive."""
    seen = ('uid', 'missing', 'exists', 'number', 'qresync', 'bad')

    def spoil(self, hand, raw):
        return () if is_removal(raw) and hand.running[0] not in ('CLOSE', 'LOGOUT') else None


class DoubledExists(Plant):
    """New messages are counted twice."""
    seen = ('missing', 'exists', 'uid', 'number', 'bad')

    def spoil(self, hand, raw):
        found = re.match(rb'\* (\d+) EXISTS', raw)
        if not found or hand.view is None or hand.running[0] in ('SELECT', 'EXAMINE'):
            return None
        more = int(found.group(1)) - len(hand.view.uids)
        return (b'* %d EXISTS\r\n' % (int(found.group(1)) + more),) if more > 0 else None


class WrongUid(Plant):
    """A FETCH names the UID of the next message."""
    seen = ('uid', 'meaning', 'octets')

    def spoil(self, hand, raw):
        found = re.match(rb'(\* \d+ FETCH \(UID )(\d+)', raw)
        if not found:
            return None
        return (found.group(1) + b'%d' % (int(found.group(2)) + 1) + raw[found.end():],)


class StaleFlags(Plant):
    """One session is told of the flags that were, under the MODSEQ of what is."""
    seen, once = ('flags',), False

    def __init__(self):
        super().__init__()
        self.was = {}

    def spoil(self, hand, raw):
        found = re.match(rb'\* \d+ FETCH \(UID (\d+) FLAGS \(([^)]*)\)', raw)
        if not found or hand.number != 1:
            return None
        was = self.was.setdefault((hand.view.box, found.group(1)), found.group(2))
        if was == found.group(2):
            return None
        return (raw[:found.start(2)] + was + raw[found.end(2):],)


class SwappedOctet(Plant):
    """Two octets of a message change places."""
    seen = ('octets',)

    def spoil(self, hand, raw):
        found = re.search(rb'BODY\[\] \{\d+\}\r\n', raw)
        if not found:
            return None
        at = raw.index(b' of ', found.end()) + 1
        return (raw[:at] + b'fo' + raw[at + 2:],)


class ExpungeDuringFetch(Plant):
    """An EXPUNGE among the answers of a FETCH by numbers."""
    seen = ('when',)

    def spoil(self, hand, raw):
        if hand.running == ('FETCH', False) and hand.level != 'qresync' and b' FETCH (' in raw:
            return (raw, b'* %d EXPUNGE\r\n' % len(hand.view.uids))
        return None


class ExpungeUnasked(Plant):
    """An EXPUNGE between commands."""
    seen = ('when',)

    def spoil(self, hand, raw):
        if hand.view and hand.level != 'qresync' and raw.startswith(hand.tag.encode() + b' OK'):
            return (raw, b'* 1 EXPUNGE\r\n')
        return None


class DeafResync(Plant):
    """What vanished while a QRESYNC client was away is kept from it."""
    seen, once = ('qresync', 'missing', 'uid', 'number'), False

    def spoil(self, hand, raw):
        return () if raw.startswith(b'* VANISHED (EARLIER)') else None


class LostMessage(Plant):
    """One message that is appended, and acknowledged, lands elsewhere."""
    seen = ('lost', 'meaning', 'uidnext', 'twice')

    def command(self, hand, octets):
        found = re.match(rb'\w+ APPEND (\S+) ', octets)
        if not found or self.planted:
            return (octets,)
        self.planted += 1
        return (octets[:found.start(1)] + b'Lost' + octets[found.end(1):],)


class ForgottenStore(Plant):
    """Flags are acknowledged and never set: the server is asked for another set."""
    seen, once = ('flags',), False

    def command(self, hand, octets):
        found = re.match(rb'\w+ (?:UID )?STORE \S+ \+FLAGS \([^)]*(Answered|Draft)', octets)
        if not found:
            return (octets,)
        self.planted += 1
        return (octets.replace(b'\\' + found.group(1), b'\\Seen'),)


class OldModseq(Plant):
    """MODSEQ goes back."""
    seen = ('modseq',)

    def spoil(self, hand, raw):
        found = re.match(rb'\* (\d+) FETCH \(.*MODSEQ \((\d+)\)', raw)
        if not found or not hand.view or int(found.group(1)) > len(hand.view.uids):
            return None
        known = hand.view.modseqs.get(hand.view.uids[int(found.group(1)) - 1])
        if known is None:
            return None
        return (raw[:found.start(2)] + b'%d' % (known - 1) + raw[found.end(2):],)


def caught(kind):
    """A small crowd with that mistake in it stops, and for the right reason."""
    for seed in range(1, 6):
        plant = kind()
        with lib.scratch() as folder:
            crowd = run(folder, seed, sessions=8, seconds=8, pops=0, shells=0, pause=.01,
                        plant=plant)
        wrongs = crowd.ledger.wrongs
        if wrongs:
            check(plant.planted, 'wrong without a plant: %s', wrongs[0])
            check(wrongs[0][0] in kind.seen, 'seen as %s', wrongs[0])
            print('# %s: %s: %.150s' % (kind.__name__, wrongs[0][0], wrongs[0][2]), flush=True)
            return
    raise lib.Failed('%s was planted %d times and not seen' % (kind.__name__, plant.planted))


def test_of(kind):
    def test():
        caught(kind)
    test.__name__ = 'sees_' + re.sub('(?<!^)([A-Z])', r'_\1', kind.__name__).lower()
    return test


lib.run_tests([test_of(kind) for kind in (
    DroppedExpunge, DoubledExists, WrongUid, StaleFlags, SwappedOctet, ExpungeDuringFetch,
    ExpungeUnasked, DeafResync, LostMessage, ForgottenStore, OldModseq)] + [many_hands])
