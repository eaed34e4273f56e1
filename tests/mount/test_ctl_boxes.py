#!/usr/bin/env python3
"""Mailboxes as a whole by ctl: list, create, delete, rename, subscribe; drafts of sessions."""
import errno
import json
import os
import struct
import sys
import time

from support import letter, lib, mounted

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '../wire'))
RESET, NEW, EXPUNGED = 7, 1, 4


def all_mailboxes(inbox):
    """Every page: {path: (marks, uses)}, and the paths in the order in which they came."""
    rows, order, after = {}, [], ''
    while True:
        lines, status = lib.ctl(inbox, 'mailboxes' + (' ' + after if after else ''))
        for line in lines:
            marks, uses, path = line.split(' ', 2)
            rows[path] = (marks, uses)
            order.append(path)
        if status == 'ok':
            return rows, order
        lib.check(status.startswith('more ') and lines, 'status: %s', status)
        after = order[-1]


def events(fd):
    out = b''
    try:
        while part := os.read(fd, 1 << 16):
            out += part
    except BlockingIOError:
        pass
    return [struct.unpack_from('<H', out, at)[0] for at in range(0, len(out), 80)]


def open_events(box):
    return os.open(box + '/.mailtree/events', os.O_RDONLY | os.O_NONBLOCK)


def folders(store):
    return sorted(n for n in os.listdir(store.path) if n.startswith('.'))


def gone(path):
    """The kernel is told by a thread of its own, a moment after the reply."""
    lib.wait_until(lambda: not os.path.exists(path), 2, '%s to go' % path)


def life_of_a_mailbox():
    with mounted() as (store, mount):
        inbox = mount.box('INBOX')
        path = 'Arch & Co/ä b%2e'
        lib.refused(errno.ENOENT, 'before', os.stat, mount.box(path))
        lib.refused(errno.EINVAL, 'an escape that the tree would not make', lib.ctl, inbox,
                    'create A/%41')
        path = 'Arch & Co/ä b '
        lib.ctl(inbox, 'create %s\t\\Sent,\\Trash' % path)
        os.stat(mount.box(path))	# at once
        rows, order = all_mailboxes(inbox)
        lib.same(rows, {'Arch & Co': ('--', '-'), path: ('m-', '\\Sent,\\Trash'),
                        'INBOX': ('m-', '-')}, 'mailboxes')
        lib.same(order, sorted(order, key=str.encode), 'order')
        lib.same(lib.text_of(os.path.join(store.path, folders(store)[-1], 'mailtree-use')),
                 b'\\Sent\n\\Trash\n', 'the use in the store')
        lib.refused(errno.EEXIST, 'again', lib.ctl, inbox, 'create ' + path)
        lib.refused(errno.EACCES, 'delivery into a missing parent', open,
                    mount.box('Arch & Co', 'x'), 'w')
        lib.ctl(inbox, 'rename %s\tX/Y/Z' % path)	# superior names are not there
        gone(mount.box(path))
        gone(mount.box('Arch & Co'))
        lib.same(os.listdir(mount.box('X/Y')), ['Z'], 'listing')
        lib.same(all_mailboxes(inbox)[0]['X/Y/Z'], ('m-', '\\Sent,\\Trash'), 'use, renamed')
        for name in 'X/Y/Z', 'Q':
            if name == 'Q':
                lib.ctl(inbox, 'rename X\tQ')	# a missing parent: with what is below it
                name = 'Q/Y/Z'
            os.stat(mount.box(name))
        lib.refused(errno.EEXIST, 'onto another', lib.ctl, inbox, 'rename Q/Y/Z\tINBOX')
        lib.refused(errno.EINVAL, 'into itself', lib.ctl, inbox, 'rename Q\tQ/Y/A')
        lib.refused(errno.ENOENT, 'of nothing', lib.ctl, inbox, 'rename Nothing\tB')
        lib.ctl(inbox, 'delete Q/Y/Z')
        gone(mount.box('Q'))
        lib.same(all_mailboxes(inbox)[0], {'INBOX': ('m-', '-')}, 'at the end')
        lib.same(folders(store), [], 'folders in the store')


def what_cannot_be():
    with mounted() as (_, mount):
        inbox = mount.box('INBOX')
        for name in 'a//b', '/a', 'a/', '.a', 'a/.b', '..', 'a.b', '12.eml', '%', 'x' * 300, \
                'a/' * 400 + 'b':
            try:
                lib.ctl(inbox, 'create ' + name)
                lib.check(False, 'created: %r', name[:40])
            except OSError as e:
                lib.check(e.errno in (errno.EINVAL, errno.ENAMETOOLONG), '%r: %s', name[:40], e)
        lib.refused(errno.EBUSY, 'INBOX', lib.ctl, inbox, 'delete INBOX')
        lib.refused(errno.EBUSY, 'INBOX', lib.ctl, inbox, 'rename INBOX\tA')
        lib.refused(errno.EEXIST, 'INBOX', lib.ctl, inbox, 'create INBOX')
        lib.same(all_mailboxes(inbox)[1], ['INBOX'], 'nothing was made')


def delete_takes_messages_and_leaves_children():
    def before(store):
        box = store.folder('A')
        for i in range(20):
            box.deliver(letter(b'%d' % i), info=':2,')
        store.folder('A.B').deliver(letter(b'child'), info=':2,')

    with mounted(before=before) as (store, mount):
        inbox = mount.box('INBOX')
        fd = open_events(mount.box('A'))
        message = os.open(mount.box('A/3.eml'), os.O_RDONLY)
        draft = os.open(mount.box('A/draft'), os.O_WRONLY | os.O_CREAT)
        os.write(draft, letter(b'draft'))
        lib.ctl(mount.box('A'), 'expunge 1:2')
        lib.ctl(inbox, 'delete A')
        lib.same(events(fd)[-1], RESET, 'the last event')
        lib.same(os.pread(message, 9999, 0), lib.wire_of(letter(b'2')), 'an open message')
        lib.same(os.listdir(mount.box('A')), ['B'], 'what is left of it')
        lib.refused(errno.EACCES, 'delivery', open, mount.box('A/x'), 'w')
        lib.same(lib.text_of(mount.box('A/B/1.eml')), lib.wire_of(letter(b'child')), 'child')
        lib.same(all_mailboxes(inbox)[0]['A'], ('--', '-'), 'A')
        lib.refused(errno.ENOENT, 'once more', lib.ctl, inbox, 'delete A')
        os.close(draft)
        for one in fd, message:
            os.close(one)
        lib.same(folders(store), ['.A.B'], 'the store')
        lib.ctl(inbox, 'create A')
        lib.same(lib.uids(mount.box('A')), [], 'made again')
        lib.same(sorted(os.listdir(mount.box('A'))), ['.mailbox', 'B'], 'with its child')


def a_deletion_that_was_cut_off_is_finished():
    with lib.scratch() as folder:
        store = lib.Maildir(os.path.join(folder, 'store'))
        store.folder('A').deliver(letter(b'x'), info=':2,')
        os.rename(os.path.join(store.path, '.A'),
                  os.path.join(store.path, '..mailtree-erased.0123456789abcdef'))
        with lib.Mount(folder, store.path) as mount:
            lib.same(folders(store), [], 'the store')
            lib.same(all_mailboxes(mount.box('INBOX'))[1], ['INBOX'], 'mailboxes')
            mount.unmount()


def sessions_follow_a_renamed_mailbox():
    with mounted() as (_, mount):
        inbox = mount.box('INBOX')
        lib.ctl(inbox, 'create A/B')
        fd = open_events(mount.box('A/B'))
        lib.ctl(inbox, 'rename A\tC')
        with open(mount.box('C/B/m'), 'wb') as f:
            f.write(letter(b'new'))
        lib.wait_until(lambda: NEW in events(fd), 5, 'events of the renamed mailbox')
        os.close(fd)


def a_thousand_mailboxes_are_cheap_to_list():
    def before(store):
        for i in range(1000):
            box = store.folder('F%04d' % i)
            if i % 10 == 0:
                with open(os.path.join(box.path, 'mailtree-use'), 'w') as f:
                    f.write('\\Archive\n\\Nonsense\n')
        with open(os.path.join(store.path, 'subscriptions'), 'w') as f:
            f.writelines('F%04d\n' % i for i in range(0, 1000, 2))

    with mounted(before=before) as (_, mount):
        inbox = mount.box('INBOX')
        rows, order = all_mailboxes(inbox)
        began = time.monotonic()
        all_mailboxes(inbox)
        took = time.monotonic() - began
        print('# 1,000 mailboxes in %.1f ms' % (took * 1000))
        lib.same(len(order), 1001, 'mailboxes')
        lib.same(order, sorted(order), 'order')
        lib.same(rows['F0010'], ('ms', '\\Archive'), 'F0010')
        lib.same(rows['F0011'], ('m-', '-'), 'F0011')
        lib.check(took < 1, 'listing took %.2f s', took)


def use_files_that_somebody_planted():
    def before(store):
        secret = os.path.join(os.path.dirname(store.path), 'secret')
        with open(secret, 'w') as f:
            f.write('\\Sent\n')
        for i, plant in enumerate([lambda p: os.symlink(secret, p), lambda p: os.link(secret, p),
                                   lambda p: os.mkfifo(p), lambda p: os.mkdir(p),
                                   lambda p: open(p, 'wb').write(b'\\Sent' * 10000)]):
            plant(os.path.join(store.folder('F%d' % i).path, 'mailtree-use'))
        os.symlink(secret, os.path.join(store.path, 'subscriptions'))

    with mounted(before=before) as (store, mount):
        rows, _ = all_mailboxes(mount.box('INBOX'))
        for i in range(5):
            lib.same(rows['F%d' % i], ('m-', '-'), 'F%d' % i)
        try:
            lib.ctl(mount.box('INBOX'), 'subscribe A')
            lib.check(False, 'subscribed by a symbolic link')
        except OSError:
            pass
        lib.check(os.path.islink(os.path.join(store.path, 'subscriptions')), 'left as it was')


def subscriptions_are_dovecots():
    """Written as Dovecot writes them, also of what is not there; version 2 stays 2."""
    for head, a_b, umlaut in ('', b'A.B\n', b'&AOQ-\n'), ('V\t2\n\n', b'A\tB\n', b'&AOQ-\n'):
        def before(store):
            with open(os.path.join(store.path, 'subscriptions'), 'w') as f:
                f.write(head + 'INBOX\nOld\n')

        with mounted(before=before) as (store, mount):
            inbox = mount.box('INBOX')
            file = os.path.join(store.path, 'subscriptions')
            lib.ctl(inbox, 'subscribe A/B')
            lib.ctl(inbox, 'subscribe ä')
            lib.ctl(inbox, 'subscribe ä')
            lib.same(lib.text_of(file), head.encode() + b'INBOX\nOld\n' + a_b + umlaut, 'file')
            lib.same(all_mailboxes(inbox)[0], {'INBOX': ('ms', '-'), 'Old': ('-s', '-'),
                                               'A/B': ('-s', '-'), 'ä': ('-s', '-')}, 'list')
            lib.ctl(inbox, 'unsubscribe Old')
            lib.ctl(inbox, 'unsubscribe Never')
            lib.same(lib.text_of(file), head.encode() + b'INBOX\n' + a_b + umlaut, 'file')
            lib.refused(errno.EINVAL, 'no name', lib.ctl, inbox, 'subscribe a//b')
            lib.check(not os.path.exists(file + '.lock'), 'the lock is gone')


def subscribing_waits_for_dovecots_lock():
    with mounted() as (store, mount):
        lock = os.path.join(store.path, 'subscriptions.lock')
        with open(lock, 'w') as f:
            f.write('1:elsewhere')
        import threading
        done = []
        thread = threading.Thread(target=lambda: done.append(
            lib.ctl(mount.box('INBOX'), 'subscribe A')))
        thread.start()
        time.sleep(0.7)
        lib.same(done, [], 'while it is locked')
        os.unlink(lock)
        thread.join(20)
        lib.same(done, [([], 'ok')], 'afterwards')


def as_user(user, act):
    """act() in a process of that user, since nobody else may look into a user's mount."""
    back, theirs = os.pipe()
    if (pid := os.fork()) == 0:
        try:
            if os.geteuid() == 0:
                os.setgroups([])
                os.setgid(user.pw_gid)
                os.setuid(user.pw_uid)
            os.write(theirs, json.dumps(act()).encode())
        finally:
            os._exit(0)
    os.close(theirs)
    with os.fdopen(back, 'rb') as f:
        said = f.read()
    os.waitpid(pid, 0)
    return json.loads(said)


def dovecot_and_we_agree_on_subscriptions():
    import dovecot
    good = dovecot.good
    with lib.ordinary_user() as user, lib.scratch() as folder:
        path = os.path.join(folder, 'home/ann/Maildir')
        lib.Maildir(path, uid=user.pw_uid)
        with lib.Mount(folder, path, user=user) as mount, \
                dovecot.Dovecot(folder, path, uid=user.pw_uid) as server:
            inbox = mount.box('INBOX')
            lib.same(as_user(user, lambda: [lib.ctl(inbox, c)[1] for c in (
                'create Ours/ä', 'subscribe Ours/ä', 'subscribe Not there')]), ['ok'] * 3, 'ctl')
            client = server.imap()
            said = b' '.join(good(client.lsub()))
            for name in b'Ours.&AOQ-', b'Not there':
                lib.check(name in said, '%s in %r', name, said)
            good(client.create('Theirs.sub'))
            good(client.subscribe('Theirs.sub'))
            good(client.unsubscribe('"Not there"'))
            client.logout()
            lib.same(as_user(user, lambda: all_mailboxes(inbox)[0]),
                     {'INBOX': ['m-', '-'], 'Ours': ['--', '-'], 'Ours/ä': ['ms', '-'],
                      'Theirs': ['--', '-'], 'Theirs/sub': ['ms', '-']}, 'list')
            lib.same(server.complaints(), [], "complaints in Dovecot's log")
            mount.unmount()


# ---- what sessions stage ------------------------------------------------------------------


def stage(box, name, octets=b''):
    fd = os.open('%s/.mailtree/new/.append-%s' % (box, name), os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    if octets:
        os.write(fd, octets)
    return fd


def what_a_session_staged_goes_with_it():
    with mounted() as (store, mount):
        inbox = mount.box('INBOX')
        for i in range(5000):	# more than there may be drafts
            os.close(stage(inbox, 'x', letter(b'lost')))
        pid = os.fork()
        if pid == 0:
            stage(inbox, 'y', letter(b'lost'))
            os.kill(os.getpid(), 9)
        os.waitpid(pid, 0)
        lib.wait_until(lambda: not os.path.exists(inbox + '/.mailtree/new/.append-y'), 5,
                       'the name of a dead session')
        lib.same(lib.uids(inbox), [], 'delivered')
        lib.wait_until(lambda: os.listdir(os.path.join(store.path, 'tmp')) == [], 5, 'tmp/')


def commit_of_many():
    with mounted() as (_, mount):
        inbox = mount.box('INBOX')
        fds = [stage(inbox, str(i), letter(b'%d' % i)) for i in range(256)]
        keyword = '$' + 'k' * 100	# so long that it does not go into one command
        for i in range(256):
            lib.ctl(inbox, 'mark .append-%d date %d flags \\Seen,%s%d' % (i, 1000 + i, keyword,
                                                                         i % 20))
        text = ''.join('commit .append-%d\n' % i for i in range(256))
        lines, status = lib.ctl(inbox, text)
        lib.same((lines, status), (['uids 1:256'], 'ok'), 'commit')
        for fd in fds:
            os.close(fd)
        lib.ctl_sizes(inbox)
        _, _, rows = lib.state(inbox)
        for i in range(256):
            lib.same(lib.text_of('%s/%d.eml' % (inbox, i + 1)), lib.wire_of(letter(b'%d' % i)),
                     'message %d' % i)
            lib.same((rows[i + 1]['date'], rows[i + 1]['flags'], rows[i + 1]['keywords']),
                     (1000 + i, 'S', {keyword + str(i % 20)}), 'row %d' % i)
        os.close(stage(inbox, '0'))	# names are free again
        fds = [stage(inbox, str(i), letter(b'%d' % i)) for i in range(3)]
        lib.refused(errno.ENOENT, 'one of them is missing', lib.ctl, inbox,
                    'commit .append-0\ncommit .append-9\ncommit .append-1')
        lib.same(len(lib.uids(inbox)), 256, 'all or none')
        lib.same(lib.ctl(inbox, 'commit .append-0 flags a,\\Draft\ncommit .append-1'),
                 (['uids 257:258'], 'ok'), 'commit')
        for fd in fds:
            os.close(fd)
        rows = lib.state(inbox)[2]
        lib.same((rows[257]['flags'], rows[257]['keywords']), ('D', {'a'}), 'flags')
        lib.same(sorted(rows)[-2:], [257, 258], 'the third is forgotten')


def answers_that_would_be_too_long():
    """Every second message of many: neither expunge nor flags may fail for that."""
    with mounted(messages=[letter(b'')] * 3000) as (_, mount):
        inbox = mount.box('INBOX')
        lib.same(len(lib.uids(inbox)), 3000, 'messages')
        odd = ','.join(str(i) for i in range(1, 3001, 2))
        since = max(r.modseq for r in lib.index_records(inbox))
        lib.ctl(inbox, 'flags +\\Deleted ' + odd)

        def in_parts(command, word):
            got, start, asked = [], 1, 0
            while True:
                lines, status = lib.ctl(inbox, command % ('%d:3000' % start))
                asked += 1
                for line in lines:
                    lib.check(line.startswith(word + ' '), 'line %r', line[:60])
                    for r in line.split(' ')[1].split(','):
                        lo, _, hi = r.partition(':')
                        got += range(int(lo), int(hi or lo) + 1)
                if status == 'ok':
                    return got
                start = int(status.split(' ')[1])
                lib.check(asked < 100, 'ends')

        kept = in_parts('flags +\\Seen %%s unchangedsince %d' % since, 'modified')
        lib.same(kept, list(range(1, 3001, 2)), 'kept from the change')
        seen = [r.uid for r in lib.index_records(inbox) if r.flags & 1]
        lib.same(seen, list(range(2, 3001, 2)), 'changed')
        gone = in_parts('expunge %s deleted', 'expunged')
        lib.same(gone, list(range(1, 3001, 2)), 'expunged')
        lib.same(lib.uids(inbox), list(range(2, 3001, 2)), 'left')


if __name__ == '__main__':
    lib.commits_under_tsan()
    lib.run_tests([
        life_of_a_mailbox,
        what_cannot_be,
        delete_takes_messages_and_leaves_children,
        a_deletion_that_was_cut_off_is_finished,
        sessions_follow_a_renamed_mailbox,
        a_thousand_mailboxes_are_cheap_to_list,
        use_files_that_somebody_planted,
        subscriptions_are_dovecots,
        subscribing_waits_for_dovecots_lock,
        dovecot_and_we_agree_on_subscriptions,
        what_a_session_staged_goes_with_it,
        commit_of_many,
        answers_that_would_be_too_long,
    ])
