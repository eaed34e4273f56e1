#!/usr/bin/env python3
"""A POP3 session's frozen messages: readable after an expunge through the mount, a clean
-ERR when removed behind our back, and never short or wrong octets."""
import os
import random
import threading
import time

import lib


def letter(tag, lines=3):
    return b'Subject: %s\n\n' % tag + b''.join(b'.%d of %s\n' % (i, tag) for i in range(lines))


MIXED = [letter(b'%d' % i, (3, 40, 700, 9000, 60000)[i % 5]) for i in range(40)]


def store_in(folder, messages):
    store = lib.Maildir(os.path.join(folder, 'store'))
    for stored in messages:
        store.deliver(stored, info=':2,')
    return store


def expunged_by_a_shell_stays_readable():
    with lib.scratch() as folder:
        store = store_in(folder, MIXED)
        with lib.Mount(folder, store.path) as mount, lib.Session(mount.path) as pop:
            inbox = mount.box('INBOX')
            before = pop.table('LIST'), pop.table('UIDL'), pop.ok('STAT')
            for uid in range(1, 41, 2):
                os.unlink('%s/%d.eml' % (inbox, uid))
            os.mkdir(mount.box('Other'))
            os.rename(inbox + '/2.eml', mount.box('Other', '2.eml'))
            lib.same(len(lib.uids(inbox)), 19, 'messages left')
            lib.same((pop.table('LIST'), pop.table('UIDL'), pop.ok('STAT')), before,
                     'the frozen view')
            for n in range(1, 41):
                size, octets = pop.retr(n)
                lib.same(octets, lib.wire_of(MIXED[n - 1]), 'RETR %d' % n)
                lib.same(size, len(octets), 'announced for %d' % n)
            pop.quit()
            lib.wait_until(lambda: os.listdir(os.path.join(store.path, 'tmp')) == [], 5,
                           'held files go')
            with lib.Session(mount.path) as again:
                lib.same(len(again.table('LIST')), 19, 'the next session')
                again.quit()


def deleting_what_is_already_gone_succeeds():
    with lib.scratch() as folder:
        store = store_in(folder, MIXED[:6])
        with lib.Mount(folder, store.path) as mount, lib.Session(mount.path) as pop:
            inbox = mount.box('INBOX')
            for n in (1, 2, 3):
                pop.ok('DELE %d' % n)
            os.unlink(inbox + '/2.eml')
            pop.quit()
            lib.same(lib.uids(inbox), [4, 5, 6], 'left')


def removed_behind_our_back_is_a_clean_error():
    with lib.scratch() as folder:
        store = store_in(folder, MIXED)
        with lib.Mount(folder, store.path) as mount, lib.Session(mount.path) as pop:
            count = len(pop.table('LIST'))
            base = dict(store.uidlist()[1])
            gone = set(range(1, count + 1, 3))
            for uid in gone:
                os.unlink(store.files()[base[uid]])
            errors = 0
            for n in range(1, count + 1):
                said = pop.ask('RETR %d' % n)
                if said.startswith(b'+OK'):	# perhaps read before it was removed
                    lib.same(pop.body(), lib.wire_of(MIXED[n - 1]), 'RETR %d' % n)
                else:
                    lib.check(said.startswith(b'-ERR') and n in gone, 'RETR %d: %r', n, said)
                    errors += 1
            lib.check(errors >= len(gone) // 2, 'only %d of %d refused', errors, len(gone))
            pop.ok('NOOP')
            pop.quit()


def removed_while_it_is_sent_is_never_cut_short():
    """Correct and whole, or the connection ends without the final dot."""
    big = letter(b'big', 600000)
    want = lib.wire_of(big)
    for after in (0, 100000, 3000000):
        with lib.scratch() as folder:
            store = store_in(folder, [big])
            with lib.Mount(folder, store.path) as mount, lib.Session(mount.path) as pop:
                pop.ok('STAT')
                pop.send(b'RETR 1\r\n')
                said = pop.line()
                lib.check(said.startswith(b'+OK'), 'RETR: %r', said)
                while len(pop.buf) < after:
                    pop._more()
                os.unlink(next(iter(store.files().values())))
                try:
                    lib.same(pop.body(), want, 'removed after %d octets' % after)
                except EOFError:
                    got = pop.buf
                    if got.startswith(b'.'):
                        got = got[1:]
                    got = got.replace(b'\r\n.', b'\r\n')
                    lib.check(want.startswith(got[:-1]), 'wrong octets before the end')
                    pop.buf = b''


def replaced_behind_our_back_gives_no_wrong_octets():
    with lib.scratch() as folder:
        messages = [letter(b'%d' % i, 800) for i in range(30)]
        store = store_in(folder, messages)
        with lib.Mount(folder, store.path) as mount, lib.Session(mount.path) as pop:
            pop.ok('LIST')
            pop.raw_body()
            for base, path in store.files().items():
                with open(path + '.tmp', 'wb') as f:
                    f.write(b'Subject: another\n\n' + b'altogether different\n' * 700)
                os.rename(path + '.tmp', path)
            for n in range(1, 31):
                said = pop.ask('RETR %d' % n)
                if said.startswith(b'+OK'):
                    octets = pop.body()
                    lib.check(octets == lib.wire_of(messages[n - 1]),
                              'RETR %d: %d octets that were never message %d', n, len(octets), n)
            pop.quit()


def only_one_session_at_a_time():
    with lib.scratch() as folder:
        store = store_in(folder, MIXED[:3])
        with lib.Mount(folder, store.path) as mount, lib.Session(mount.path) as pop:
            pop.ok('STAT')
            second = lib.Session(mount.path, '-g')
            lib.check(second.greeting.startswith(b'-ERR') and b'[IN-USE]' in second.greeting,
                      'second session: %r', second.greeting)
            second.kill()
            pop.quit()
            with lib.Session(mount.path) as third:
                third.ok('STAT')
                third.quit()


def a_killed_session_removes_nothing():
    with lib.scratch() as folder:
        store = store_in(folder, MIXED[:10])
        with lib.Mount(folder, store.path) as mount:
            for how in ('kill', 'disconnect', 'half a QUIT'):
                pop = lib.Session(mount.path)
                for n in range(1, 11):
                    pop.ok('DELE %d' % n)
                if how == 'kill':
                    pop.kill()
                elif how == 'half a QUIT':
                    pop.send(b'QUIT\r')
                    pop.close()
                else:
                    pop.close()
                lib.same(lib.uids(mount.box('INBOX')), list(range(1, 11)), 'after ' + how)
            lib.same(len(store.files()), 10, 'files in the store')


def quit_removes_what_was_marked():
    with lib.scratch() as folder:
        store = store_in(folder, MIXED[:10])
        with lib.Mount(folder, store.path) as mount:
            with lib.Session(mount.path) as pop:
                for n in (1, 5, 10):
                    pop.ok('DELE %d' % n)
                pop.err('RETR 5')
                pop.ok('RSET')
                for n in (2, 3):
                    pop.ok('DELE %d' % n)
                lib.same(len(store.files()), 10, 'files before QUIT')
                pop.quit()
            lib.same(lib.uids(mount.box('INBOX')), [1, 4, 5, 6, 7, 8, 9, 10], 'left')
            lib.same(len(store.files()), 8, 'files after QUIT')


def everybody_at_once_sees_whole_messages():
    """A session reads while others deliver, flag, move and remove."""
    with lib.scratch() as folder:
        store = store_in(folder, MIXED)
        with lib.Mount(folder, store.path) as mount:
            os.mkdir(mount.box('Other'))
            inbox, stop = mount.box('INBOX'), threading.Event()

            def others():
                pick = random.Random(3)
                n = 0
                while not stop.is_set():
                    n += 1
                    with open(inbox + '/d%d' % n, 'wb') as f:
                        f.write(letter(b'd%d' % n, pick.randrange(2000)))
                    seen = lib.uids(inbox)
                    uid = pick.choice(seen)
                    try:
                        if pick.random() < 0.5:
                            os.unlink('%s/%d.eml' % (inbox, uid))
                        else:
                            os.rename('%s/%d.eml' % (inbox, uid), mount.box('Other', 'm%d' % n))
                    except FileNotFoundError:
                        pass
                    lib.ctl(inbox, 'flags +\\Seen %d' % pick.choice(seen))
                    time.sleep(0.002)
            thread = threading.Thread(target=others)
            thread.start()
            try:
                for _ in range(5):
                    with lib.Session(mount.path) as pop:
                        for n, size in pop.table('LIST').items():
                            announced, octets = pop.retr(n)
                            lib.same((announced, len(octets)), (int(size), int(size)),
                                     'octets of %d' % n)
                            tag = octets.split(b'\r\n')[0][9:]
                            lines = octets.count(b'\n') - 2
                            lib.same(octets, lib.wire_of(letter(tag, lines)), 'message %d' % n)
                        pop.quit()
            finally:
                stop.set()
                thread.join()


if __name__ == '__main__':
    lib.run_tests([
        expunged_by_a_shell_stays_readable,
        deleting_what_is_already_gone_succeeds,
        removed_behind_our_back_is_a_clean_error,
        removed_while_it_is_sent_is_never_cut_short,
        replaced_behind_our_back_gives_no_wrong_octets,
        only_one_session_at_a_time,
        a_killed_session_removes_nothing,
        quit_removes_what_was_marked,
        everybody_at_once_sees_whole_messages,
    ])
