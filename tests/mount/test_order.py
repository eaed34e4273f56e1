#!/usr/bin/env python3
"""What a program did is there when its next call looks, whoever answers that call; and no
number is given out twice, whatever is lost in between."""
import os
import random

from support import letter, lib, mounted


def a_look_right_after_the_close_sees_the_message():
    """The kernel sends the close's last request without waiting for it."""
    big = letter(b'big', 300000)
    with mounted() as (_, mount):
        inbox = mount.box('INBOX')
        os.mkdir(mount.box('Other'))
        looks = [lambda uid: lib.check(uid in lib.uids(inbox), 'a listing without %d', uid),
                 lambda uid: os.stat('%s/%d.eml' % (inbox, uid)),
                 lambda uid: lib.same(lib.state(inbox)[0]['uidnext'], uid + 1, 'uidnext'),
                 lambda uid: lib.same(len(lib.index_records(inbox, live_only=False)), uid,
                                      'records'),
                 lambda uid: lib.same(lib.ctl(inbox, 'names %d' % uid)[1], 'ok', 'names'),
                 lambda uid: lib.ctl(inbox, 'copy %d Other' % uid),
                 lambda uid: os.rename(inbox + '/x', mount.box('Other', 'x%d' % uid))]
        for n in range(len(looks) * 30):
            uid = n + 1
            fd = os.open(inbox + '/x', os.O_WRONLY | os.O_CREAT, 0o600)
            os.write(fd, big[:n % 5 * 70000 + 100])
            os.close(fd)
            try:
                looks[n % len(looks)](uid)
            except OSError as e:
                raise lib.Failed('look %d after delivery %d: %s' % (n % len(looks), uid, e))
            if os.path.exists(inbox + '/x'):	# the alias; the message stays
                os.rename(inbox + '/x', '%s/y%d' % (inbox, n))


def no_uid_is_given_out_twice():
    """The newest message goes, then the index, the cache of the kernel and the daemon."""
    with mounted(messages=[letter(b'%d' % i) for i in range(3)]) as (store, mount):
        inbox, highest = mount.box('INBOX'), 3
        lib.same(lib.uids(inbox), [1, 2, 3], 'at first')
        pick = random.Random(5)
        for n in range(12):
            os.unlink('%s/%d.eml' % (inbox, highest))
            way = n % 4
            if way == 1:
                mount.restart()
            elif way >= 2:
                mount.unmount()
                lib.run('rm', '-rf', mount.index)
                if way == 3:	# and somebody delivers meanwhile
                    store.deliver(letter(b'meanwhile%d' % n))
                mount.start()
            with open('%s/new%d' % (inbox, pick.randrange(1 << 30)), 'wb') as f:
                f.write(letter(b'n%d' % n))
            now = lib.uids(inbox)
            lib.same(now[-1], highest + (2 if way == 3 else 1), 'the next UID, way %d' % way)
            highest = now[-1]


if __name__ == '__main__':
    lib.run_tests([
        a_look_right_after_the_close_sees_the_message,
        no_uid_is_given_out_twice,
    ])
