#!/usr/bin/env python3
# limit: 300
"""mailtreed dies while the kernel is being told to forget names, which waits for the same
lock as requests that nobody will answer any more: nobody may wait for ever.

MT_KILLS    how often it is killed (default 25)
"""
import os
import random
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '../wire'))
import lib  # noqa: E402

KILLS = int(os.environ.get('MT_KILLS', 25))
ENDED_S = 10


def rename_until_it_dies(mount, n):
    """Moves over names that are taken: after each the kernel is told to forget two names."""
    try:
        for turn in range(100000):
            a, b = ('INBOX', 'Archive') if (turn + n) % 2 else ('Archive', 'INBOX')
            names = [name for name in os.listdir(mount.box(a)) if name.endswith('.eml')]
            if not names:
                continue
            try:
                name = random.choice(names)
                os.rename(mount.box(a, name), mount.box(b, name))
            except FileNotFoundError:
                pass	# the other thread was first
    except OSError:
        pass	# it has died


def a_killed_daemon_leaves_nobody_waiting():
    with lib.scratch() as folder:
        store = lib.Maildir(os.path.join(folder, 'store'))
        store.folder('Archive')
        for i in range(20):
            store.deliver(b'Subject: %d\n\n' % i, info=':2,')
        with lib.Mount(folder, store.path) as mount:
            for kill in range(KILLS):
                threads = [threading.Thread(target=rename_until_it_dies, args=(mount, n),
                                            daemon=True) for n in range(2)]
                for t in threads:
                    t.start()
                time.sleep(0.05 + random.random() * 0.15)
                mount.process.kill()
                end = time.monotonic() + ENDED_S
                for t in threads:
                    t.join(max(0, end - time.monotonic()))
                    lib.check(not t.is_alive(), 'kill %d: somebody waits still', kill)
                mount.crash()
                mount.start()
            lib.same(sum(len(lib.uids(mount.box(b))) for b in ('INBOX', 'Archive')), 20,
                     'letters left')
            mount.unmount()


if __name__ == '__main__':
    lib.run_tests([a_killed_daemon_leaves_nobody_waiting])
