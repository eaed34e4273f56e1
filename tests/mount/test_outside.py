#!/usr/bin/env python3
# limit: 600
"""Changes made by other programs in the store are seen: at once by inotify (1 s), and
within 5 s where only polling is to be had."""
import os
import shutil

from support import letter, lib, mounted


def changes(options, seconds):
    def before(store):
        store.folder('Work')

    with mounted(*options, messages=[letter(b'%d' % i) for i in range(5)],
                 before=before) as (store, mount):
        inbox = mount.box('INBOX')
        lib.same(lib.uids(inbox), [1, 2, 3, 4, 5], 'at first')
        lib.state(inbox)

        store.deliver(letter(b'new'))
        lib.wait_until(lambda: lib.uids(inbox) == [1, 2, 3, 4, 5, 6], seconds, 'a delivery')
        lib.same(lib.text_of(inbox + '/6.eml'), lib.wire_of(letter(b'new')), '6.eml')

        base = dict(store.uidlist()[1])[2]
        os.rename(store.files()[base], os.path.join(store.path, 'cur', base + ':2,FS'))
        lib.wait_until(lambda: lib.state(inbox)[2][2]['flags'] == 'FS', seconds, 'flags')
        lib.same(lib.uids(inbox), [1, 2, 3, 4, 5, 6], 'after a flag change')

        gone = dict(store.uidlist()[1])[4]
        os.unlink(store.files()[gone])
        lib.wait_until(lambda: not os.path.exists(inbox + '/4.eml'), seconds, 'a removal')
        lib.wait_until(lambda: lib.uids(inbox) == [1, 2, 3, 5, 6], seconds, 'its listing')

        work = lib.Maildir(os.path.join(store.path, '.Work'))
        lib.same(lib.uids(mount.box('Work')), [], 'Work at first')
        work.deliver(letter(b'w'))
        lib.wait_until(lambda: lib.uids(mount.box('Work')) == [1], seconds,
                       'a delivery into another mailbox')

        store.folder('Later.Sub')
        lib.wait_until(lambda: os.path.isdir(mount.box('Later', 'Sub')), seconds, 'a new folder')
        lib.wait_until(lambda: 'Later' in os.listdir(mount.path), seconds, 'its parent listed')
        shutil.rmtree(os.path.join(store.path, '.Later.Sub'))
        lib.wait_until(lambda: 'Later' not in os.listdir(mount.path), seconds,
                       'a removed folder')


def outside_changes_are_seen_within_a_second():
    changes((), 1)


def outside_changes_are_seen_within_five_seconds_by_polling():
    changes(('--poll',), 5)


def many_deliveries_at_once_are_all_seen():
    with mounted() as (store, mount):
        inbox = mount.box('INBOX')
        lib.same(lib.uids(inbox), [], 'at first')
        for i in range(2000):
            store.deliver(letter(b'%d' % i))
            if i % 100 == 0:
                os.listdir(inbox)
        lib.wait_until(lambda: len(lib.uids(inbox)) == 2000, 5, '2,000 deliveries')
        lib.same(lib.uids(inbox), list(range(1, 2001)), 'UIDs')
        seen = sorted(lib.text_of('%s/%d.eml' % (inbox, uid)) for uid in lib.uids(inbox))
        lib.same(seen, sorted(lib.wire_of(letter(b'%d' % i)) for i in range(2000)), 'messages')


def flags_renamed_all_the_time_lose_nobody():
    """A scan that meets renames must never take a message for expunged."""
    import threading
    with mounted(messages=[letter(b'%d' % i) for i in range(500)]) as (store, mount):
        inbox = mount.box('INBOX')
        lib.same(len(lib.uids(inbox)), 500, 'at first')
        stop = threading.Event()

        def rename():
            n = 0
            cur = os.path.join(store.path, 'cur')
            while not stop.is_set():
                for name in os.listdir(cur):
                    n += 1
                    os.rename(os.path.join(cur, name), os.path.join(
                        cur, name.split(':')[0] + (':2,S', ':2,', ':2,FS', ':2,RS')[n % 4]))
                    if stop.is_set():
                        break
        thread = threading.Thread(target=rename)
        thread.start()
        try:
            for _ in range(60):
                lib.same(len(lib.uids(inbox)), 500, 'messages while flags change')
                for uid in (1, 250, 500):
                    lib.same(lib.text_of('%s/%d.eml' % (inbox, uid)),
                             lib.wire_of(letter(b'%d' % (uid - 1))), '%d.eml' % uid)
        finally:
            stop.set()
            thread.join()
        lib.same(lib.uids(inbox), list(range(1, 501)), 'UIDs afterwards')


def an_expunged_file_that_reappears_gets_a_new_uid():
    with mounted(messages=[letter(b'a'), letter(b'b')]) as (store, mount):
        inbox = mount.box('INBOX')
        lib.same(lib.uids(inbox), [1, 2], 'at first')
        base = dict(store.uidlist()[1])[1]
        path = store.files()[base]
        os.unlink(inbox + '/1.eml')
        lib.same(lib.uids(inbox), [2], 'after rm')
        with open(path, 'wb') as f:
            f.write(letter(b'a'))
        lib.wait_until(lambda: len(lib.uids(inbox)) == 2, 1, 'it reappears')
        lib.same(lib.uids(inbox), [2, 3], 'under a new UID')


def the_same_base_name_twice_is_one_message():
    def before(store):
        for place in ('new/1600000000.twice.test', 'cur/1600000000.twice.test:2,S',
                      'cur/1600000000.twice.test:2,FS'):
            with open(os.path.join(store.path, place), 'wb') as f:
                f.write(letter(b'twice'))

    with mounted(before=before) as (store, mount):
        lib.same(lib.uids(mount.box('INBOX')), [1], 'listing')
        lib.same(sum(len(os.listdir(os.path.join(store.path, d))) for d in ('new', 'cur')), 3,
                 'files in the store: none is deleted')


def names_of_every_kind_are_messages():
    names = ['new/plain', 'cur/no-info', 'cur/a:2,', 'cur/b:2,SRFTD', 'cur/c:2,fs', 'cur/d:2,Sxyz',
             'cur/e:1,experimental', 'cur/f;2,S', 'cur/g:2,S,extra,S=9', 'cur/h,S=3,W=9:2,S',
             'cur/' + 'n' * 250, 'cur/caf\udcc3\udca9:2,S', 'cur/bad\udcff:2,S']

    def before(store):
        for name in names + ['cur/.hidden', 'new/.also:2,']:
            with open(os.path.join(store.path, name), 'wb') as f:
                f.write(letter(os.fsencode(name)))

    with mounted(before=before) as (store, mount):
        inbox = mount.box('INBOX')
        lib.same(len(lib.uids(inbox)), len(names), 'messages')
        seen = {lib.text_of('%s/%d.eml' % (inbox, uid)) for uid in lib.uids(inbox)}
        lib.same(seen, {lib.wire_of(letter(os.fsencode(name))) for name in names}, 'contents')


def a_store_that_cannot_be_written_is_shown():
    with lib.ordinary_user() as user, lib.scratch() as folder:
        store = lib.Maildir(os.path.join(folder, 'store'), uid=user.pw_uid)
        for i in range(3):
            store.deliver(letter(b'%d' % i))
        for part in ('', 'new', 'cur', 'tmp'):
            os.chmod(os.path.join(store.path, part), 0o500)
        with lib.Mount(folder, store.path, user=user) as mount:
            script = 'cd "$1" && ls INBOX && cat INBOX/1.eml && ! rm -f INBOX/1.eml 2>&1'
            said = lib.run('sh', '-c', script, '-', mount.path,
                           **lib.as_user(user)).stdout.decode()
            lib.check(said.startswith('1.eml\n2.eml\n3.eml\n'), 'listing: %r', said[:80])
            lib.check('Read-only' in said or 'Permission' in said, 'rm: %r', said[-200:])
        with lib.Mount(folder, store.path, user=user) as mount:
            said = lib.run('ls', mount.box('INBOX'), **lib.as_user(user)).stdout.split()
            lib.same(said, [b'1.eml', b'2.eml', b'3.eml'], 'the same UIDs after a remount')
        lib.check(not os.path.exists(os.path.join(store.path, 'dovecot-uidlist')),
                  'something was written into the store')


if __name__ == '__main__':
    lib.run_tests([
        outside_changes_are_seen_within_a_second,
        outside_changes_are_seen_within_five_seconds_by_polling,
        many_deliveries_at_once_are_all_seen,
        flags_renamed_all_the_time_lose_nobody,
        an_expunged_file_that_reappears_gets_a_new_uid,
        the_same_base_name_twice_is_one_message,
        names_of_every_kind_are_messages,
        a_store_that_cannot_be_written_is_shown,
    ])
