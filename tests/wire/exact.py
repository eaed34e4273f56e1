"""Every channel shows the same octets of a mailbox, whatever is in it."""
import os
import subprocess

import lib


def check_mailbox(store, box, session, limit_problems=20):
    """
    Compare `store` (of stores.py) with the mailbox folder `box` of a mount and with
    `session`, a POP3 client that is logged in. Returns counts; raises lib.Failed with the
    first problems.
    """
    problems = []

    def expect(good, why, *args):
        if not good and len(problems) < limit_problems:
            problems.append(why % args)

    os.listdir(box)	# now every message has its UID
    stored = store.by_uid()
    wire = {uid: lib.wire_of(octets) for uid, octets in stored.items()}
    uids = sorted(wire)
    expect(lib.uids(box) == uids, 'the listing has %d messages, the store %d',
           len(lib.uids(box)), len(uids))

    for uid in uids:
        path = os.path.join(box, '%d.eml' % uid)
        octets, size = lib.text_of(path), os.stat(path).st_size
        expect(octets == wire[uid], '%d.eml: %d octets differ from the %d of the rule', uid,
               len(octets), len(wire[uid]))
        expect(size == len(wire[uid]), '%d.eml: stat says %d, not %d', uid, size,
               len(wire[uid]))

    counted = _wc(box)
    for uid in uids:
        expect(counted.get(uid) == len(wire[uid]), 'wc -c %d.eml: %s, not %d', uid,
               counted.get(uid), len(wire[uid]))

    _check_ranges(box, wire, expect)
    _check_state(box, wire, expect)
    octets = _check_pop3(session, wire, expect)
    if problems:
        raise lib.Failed('; '.join(problems))
    return {'messages': len(uids), 'octets': octets}


def _wc(box):
    """{uid: what `wc -c` printed}."""
    said = subprocess.run('ls | grep "[.]eml$" | xargs wc -c', shell=True, cwd=box, check=True,
                          stdout=subprocess.PIPE).stdout.decode()
    rows = (line.split() for line in said.splitlines())
    return {int(name[:-4]): int(size) for size, name in rows if name != 'total'}


def _check_ranges(box, wire, expect):
    """`wire` holds the same octets where `index` says."""
    lib.ctl_sizes(box)
    records = lib.index_records(box)
    expect([r.uid for r in records] == sorted(wire), 'index: other UIDs than the store')
    fd = os.open(os.path.join(box, '.mailtree/wire'), os.O_RDONLY)
    try:
        end = os.fstat(fd).st_size
        for r in records:
            want = wire.get(r.uid, b'')
            expect(r.sound(), 'index record of %d: bad check', r.uid)
            expect(r.wire_size == len(want), 'index: %d has %d octets, not %d', r.uid,
                   r.wire_size, len(want))
            expect(r.wire_off + r.wire_size <= end, 'index: %d ends beyond wire', r.uid)
            got = b''
            while len(got) < len(want):
                part = os.pread(fd, len(want) - len(got), r.wire_off + len(got))
                if not part:
                    break
                got += part
            expect(got == want, 'wire: octets of %d differ', r.uid)
            expect(bool(r.bits & 1) == (want.startswith(b'.') or b'\n.' in want),
                   'index: dot bit of %d is wrong', r.uid)
            expect(bool(r.bits & 2) == (b'\0' in want), 'index: NUL bit of %d is wrong', r.uid)
            expect(bool(r.bits & 4) == any(c > 127 for c in want),
                   'index: 8-bit bit of %d is wrong', r.uid)
            expect(r.header_size == _header_size(want), 'index: header of %d: %d, not %d',
                   r.uid, r.header_size, _header_size(want))
    finally:
        os.close(fd)


def _header_size(message):
    """Up to and with the first empty line; everything when there is none."""
    if message.startswith(b'\r\n'):
        return 2
    at = message.find(b'\n\r\n')
    return at + 3 if at >= 0 else len(message)


def _check_state(box, wire, expect):
    head, _, rows = lib.state(box)
    expect(head['messages'] == len(wire), '.mailbox: %d messages', head['messages'])
    for uid, row in rows.items():
        expect(row['size'] == len(wire.get(uid, b'')), '.mailbox: %d has %d octets', uid,
               row['size'])


def _check_pop3(session, wire, expect):
    """STAT, LIST, UIDL, RETR, TOP 0 of every message; returns the octets received."""
    uids = sorted(wire)
    total = 0
    stat = session.ok('STAT').split()
    listed, uidl = session.table('LIST'), session.table('UIDL')
    expect(int(stat[1]) == len(uids), 'STAT: %s messages', stat[1])
    expect(int(stat[2]) == sum(map(len, wire.values())), 'STAT: %s octets', stat[2])
    expect(sorted(listed) == list(range(1, len(uids) + 1)), 'LIST: numbers')
    expect(len(set(uidl.values())) == len(uids), 'UIDL: not unique')
    for n, uid in enumerate(uids, 1):
        size, octets = session.retr(n)
        total += len(octets)
        expect(int(listed.get(n, -1)) == len(wire[uid]), 'LIST %d: %s, not %d', n,
               listed.get(n), len(wire[uid]))
        expect(size == len(wire[uid]), 'RETR %d announces %s, not %d', n, size, len(wire[uid]))
        expect(octets == wire[uid], 'RETR %d (UID %d): %d octets differ from the %d of the rule',
               n, uid, len(octets), len(wire[uid]))
        session.ok('TOP %d 0' % n)
        top = session.body()
        head = wire[uid][:_header_size(wire[uid])]
        expect(top.rstrip(b'\r\n') == head.rstrip(b'\r\n'), 'TOP %d 0: %d octets, header has %d',
               n, len(top), len(head))
    return total
