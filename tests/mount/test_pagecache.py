#!/usr/bin/env python3
"""The page cache rules of `wire` and `index`, each of which has gone wrong once."""
import ctypes
import errno
import mmap
import os
import select
import struct
import threading
import time

from support import letter, lib, mounted

PAGE = mmap.PAGESIZE
libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int,
                      ctypes.c_long]


def resident(path):
    """Which pages of a file the kernel holds."""
    size = os.stat(path).st_size
    pages = (size + PAGE - 1) // PAGE
    state = (ctypes.c_ubyte * pages)()
    fd = os.open(path, os.O_RDONLY)
    try:
        area = libc.mmap(None, size, mmap.PROT_READ, mmap.MAP_SHARED, fd, 0)
    finally:
        os.close(fd)
    lib.check(area not in (None, ctypes.c_void_p(-1).value), 'mmap of %s', path)
    result = libc.mincore(ctypes.c_void_p(area), ctypes.c_size_t(size), state)
    libc.munmap(ctypes.c_void_p(area), ctypes.c_size_t(size))
    lib.check(result == 0, 'mincore: %s', os.strerror(ctypes.get_errno()))
    return [bool(s & 1) for s in state]


def pread_all(fd, size, at):
    got = b''
    while len(got) < size:
        part = os.pread(fd, size - len(got), at + len(got))
        if not part:
            break
        got += part
    return got


def sized(box):
    lib.ctl_sizes(box)
    return {r.uid: r for r in lib.index_records(box)}


def an_open_keeps_the_shared_pages():
    with mounted(messages=[letter(b'%d' % i, 9000) for i in range(20)]) as (_, mount):
        box = mount.box('INBOX')
        sized(box)
        wire = os.path.join(box, '.mailtree/wire')
        with open(wire, 'rb') as f:
            def all_cached():	# what was told late, of the time before, may drop a page once
                lib.text_of(wire)
                time.sleep(0.2)
                return all(resident(wire))
            lib.wait_until(all_cached, 10, 'all pages to be cached after reading')
            before = resident(wire)
            for _ in range(5):
                with open(wire, 'rb') as again:
                    os.fstat(again.fileno())
            lib.same(resident(wire), before, 'pages after five more opens')


def a_delivery_keeps_the_pages_and_the_mtime():
    with mounted(messages=[letter(b'%d' % i, 9000) for i in range(20)]) as (_, mount):
        box = mount.box('INBOX')
        sized(box)
        wire = os.path.join(box, '.mailtree/wire')
        mtime = os.stat(wire).st_mtime_ns
        for n in range(5):	# what was told late, of the time before, may drop a page once
            lib.text_of(wire)
            before = resident(wire)
            with open(os.path.join(box, 'x%d' % n), 'wb') as f:
                f.write(letter(b'new'))
            lib.wait_until(lambda: len(sized(box)) == 21 + n, 2, 'the delivery')
            os.stat(wire)
            lib.same(os.stat(wire).st_mtime_ns, mtime, 'mtime of wire')
            if all(resident(wire)[:len(before) - 1]):
                return
        lib.check(False, 'each delivery dropped cached pages')


def a_read_is_whole():
    sizes = (1, 100, PAGE - 1, PAGE, PAGE + 1, 70000, 300000)
    with mounted(messages=[letter(b'%d' % n, n) for n in sizes]) as (_, mount):
        box = mount.box('INBOX')
        end = max(r.wire_off + r.wire_size for r in sized(box).values())
        fd = os.open(os.path.join(box, '.mailtree/wire'), os.O_RDONLY)
        direct = os.open(os.path.join(box, '.mailtree/wire'), os.O_RDONLY | os.O_DIRECT)
        try:
            for opened in (fd, direct):
                for at in list(range(0, 3 * PAGE, 511)) + [end - PAGE - 7, end - PAGE, end - 1]:
                    want = min(PAGE + 9, end - at)
                    lib.same(len(os.pread(opened, want, at)), want, 'one read at %d' % at)
                lib.same(os.pread(opened, 100, end + PAGE), b'', 'beyond the end')
        finally:
            os.close(fd)
            os.close(direct)


def new_messages_are_right_in_cached_pages():
    """The old last page must not keep its old tail, nor a mapping its old end."""
    with mounted(messages=[letter(b'first', 5000)]) as (_, mount):
        box = mount.box('INBOX')
        sized(box)
        wire, index = (os.path.join(box, '.mailtree', n) for n in ('wire', 'index'))
        wire_fd, index_fd = os.open(wire, os.O_RDONLY), os.open(index, os.O_RDONLY)
        poll_fd = os.open(os.path.join(box, '.mailtree/events'), os.O_RDONLY | os.O_NONBLOCK)
        try:
            for i in range(40):
                pread_all(wire_fd, os.fstat(wire_fd).st_size, 0)	# all pages cached
                pread_all(index_fd, os.fstat(index_fd).st_size, 0)
                stored = letter(b'n%d' % i, 37 * i * i % 9000)
                with open(os.path.join(box, 'x%d' % i), 'wb') as f:
                    f.write(stored)
                lib.wait_until(lambda: os.path.exists('%s/%d.eml' % (box, i + 2)), 2, 'delivery')
                lib.ctl(box, 'sizes %d' % (i + 2))
                lib.check(select.select([poll_fd], [], [], 2)[0], 'no event for delivery %d', i)
                while select.select([poll_fd], [], [], 0)[0] and os.read(poll_fd, 65536):
                    pass

                def record():
                    os.fstat(index_fd)
                    raw = os.pread(index_fd, 64, 4096 + 64 * (i + 1))
                    return len(raw) == 64 and lib.Record(raw)
                lib.wait_until(lambda: record() and record().sound() and record().uid == i + 2
                               and record().wire_size, 1, 'record %d by a cached read' % i)
                r = record()
                os.stat(wire)
                lib.same(pread_all(wire_fd, r.wire_size, r.wire_off), lib.wire_of(stored),
                         'message %d by a cached read' % i)
        finally:
            for fd in (wire_fd, index_fd, poll_fd):
                os.close(fd)


def flag_changes_reach_a_mapped_index():
    with mounted(messages=[letter(b'%d' % i) for i in range(200)]) as (_, mount):
        box = mount.box('INBOX')
        sized(box)
        fd = os.open(os.path.join(box, '.mailtree/index'), os.O_RDONLY)
        cursor = os.open(os.path.join(box, '.mailtree/events'), os.O_RDONLY | os.O_NONBLOCK)
        area = mmap.mmap(fd, os.fstat(fd).st_size, mmap.MAP_SHARED, mmap.PROT_READ)
        try:
            def flags(row):
                return struct.unpack_from('<H', area, 4096 + 64 * row + 4)[0]
            lib.same(flags(99), 0, 'flags at first')
            lib.ctl(box, 'flags +\\Seen,\\Flagged 100')
            lib.wait_until(lambda: flags(99) == 5, 1, 'flags of a mapped record')
            lib.ctl(box, 'flags -\\Seen 100')
            lib.wait_until(lambda: flags(99) == 4, 1, 'flags of a mapped record again')
        finally:
            area.close()
            os.close(fd)
            os.close(cursor)


def ranges_never_move_within_a_layout():
    with mounted(messages=[letter(b'%d' % i, i * 97) for i in range(60)]) as (_, mount):
        box = mount.box('INBOX')
        where = {u: (r.wire_off, r.wire_size) for u, r in sized(box).items()}
        generation = struct.unpack_from('<I', lib.text_of(box + '/.mailtree/index'), 28)[0]
        ranges = sorted(where.values())
        lib.check(all(a + n <= b for (a, n), (b, _) in zip(ranges, ranges[1:])),
                  'ranges overlap')
        for uid in range(1, 60, 3):
            os.unlink('%s/%d.eml' % (box, uid))
        lib.ctl(box, 'flags +\\Seen 1:*')
        end = max(a + n for a, n in where.values())
        for i in range(10):
            with open('%s/new%d' % (box, i), 'wb') as f:
                f.write(letter(b'new%d' % i, 300))
        lib.wait_until(lambda: len(lib.uids(box)) == 50, 2, 'deliveries')
        after = sized(box)
        same_layout = struct.unpack_from('<I', lib.text_of(box + '/.mailtree/index'),
                                         28)[0] == generation
        lib.check(same_layout, 'the layout changed while mounted')
        for uid, r in after.items():
            if uid in where:
                lib.same((r.wire_off, r.wire_size), where[uid], 'range of %d' % uid)
            else:
                lib.check(r.wire_off >= end, 'range of new message %d is not appended', uid)


def removed_pages_answer_eio_and_shared_pages_nuls():
    stored = [letter(b'before', 1500), letter(b'removed', 9 * PAGE), letter(b'after', 1500)]
    with mounted(messages=stored) as (_, mount):
        box = mount.box('INBOX')
        records = sized(box)
        wire = os.path.join(box, '.mailtree/wire')
        lib.text_of(wire)
        gone = records[2]
        first, end = gone.wire_off, gone.wire_off + gone.wire_size
        fd = os.open(wire, os.O_RDONLY)
        try:
            lib.same(pread_all(fd, gone.wire_size, first), lib.wire_of(stored[1]), 'before')
            os.unlink(box + '/2.eml')
            inside = range((first + PAGE - 1) // PAGE, end // PAGE)
            lib.check(len(inside) >= 7, 'only %d pages lie wholly inside', len(inside))

            def refuses(page):
                try:
                    os.pread(fd, 64, page * PAGE)
                except OSError as e:
                    lib.same(e.errno, errno.EIO, 'errno')
                    return True
                return False
            lib.wait_until(lambda: all(map(refuses, inside)), 2, 'EIO on removed pages')
            for uid in (1, 3):
                r = records[uid]
                lib.same(pread_all(fd, r.wire_size, r.wire_off), lib.wire_of(stored[uid - 1]),
                         'neighbour %d' % uid)
            head = os.pread(fd, inside[0] * PAGE - first, first)
            tail = os.pread(fd, end - inside[-1] * PAGE - PAGE, (inside[-1] + 1) * PAGE)
            lib.same(head, bytes(len(head)), 'the shared page before')
            lib.same(tail, bytes(len(tail)), 'the shared page after')
            # writev from a mapping of such pages answers EFAULT, it does not kill
            area = mmap.mmap(fd, os.fstat(fd).st_size, mmap.MAP_SHARED, mmap.PROT_READ)
            r, w = os.pipe()
            at = inside[1] * PAGE
            with memoryview(area) as whole, whole[at:at + 64] as part:
                lib.refused(errno.EFAULT, 'writev of a removed page', os.writev, w, [part])
            area.close()
            os.close(r)
            os.close(w)
        finally:
            os.close(fd)


def a_lost_index_gives_wire_a_new_inode():
    with mounted(messages=[letter(b'%d' % i, 100 * i) for i in range(30)]) as (_, mount):
        box = mount.box('INBOX')
        sized(box)
        wire = os.path.join(box, '.mailtree/wire')
        inode, text = os.stat(wire).st_ino, lib.text_of(wire)
        mount.restart()
        if os.stat(wire).st_ino == inode:	# then its bytes are the same
            lib.same(lib.text_of(wire), text, 'wire under the same inode')
        new = set()
        for _ in range(3):	# an inode shows 12 bits of the generation
            mount.unmount()
            lib.run('rm', '-rf', mount.index)
            mount.start()
            sized(box)
            new.add(os.stat(wire).st_ino)
        lib.check(len(new - {inode}) >= 2, 'same inode though the index was lost')


def an_open_cursor_holds_an_expunged_message():
    stored = [letter(b'a', 5 * PAGE), letter(b'b', 5 * PAGE)]
    with mounted(messages=stored) as (store, mount):
        box = mount.box('INBOX')
        records = sized(box)
        cursor = os.open(os.path.join(box, '.mailtree/events'), os.O_RDONLY | os.O_NONBLOCK)
        fd = os.open(os.path.join(box, '.mailtree/wire'), os.O_RDONLY | os.O_DIRECT)
        try:
            os.unlink(box + '/1.eml')
            lib.same(lib.uids(box), [2], 'listing')
            r = records[1]
            lib.same(pread_all(fd, r.wire_size, r.wire_off), lib.wire_of(stored[0]), 'held')
            lib.check(select.select([cursor], [], [], 2)[0], 'no event')
            event = os.read(cursor, 80)
            lib.same(len(event), 80, 'octets of an event')
            kind, listeners, row = struct.unpack_from('<HHI', event)
            lib.same((kind, listeners, row, lib.Record(event[16:]).uid), (4, 1, 0, 1),
                     'the event')

            def let_go():
                try:
                    os.pread(fd, 64, (r.wire_off // PAGE + 2) * PAGE)
                except OSError:
                    return True
                return False
            lib.wait_until(let_go, 2, 'the hold ends once the expunge was read')
            # a thread of its own removes the files, right afterwards
            lib.wait_until(lambda: os.listdir(os.path.join(store.path, 'tmp')) == [], 5,
                           'the held file goes')
        finally:
            os.close(cursor)
            os.close(fd)


def an_open_message_keeps_its_bytes_or_fails():
    stored = [letter(b'%d' % i, 40 * PAGE) for i in range(2)]
    with mounted(messages=stored) as (store, mount):
        box = mount.box('INBOX')
        for uid, remove in ((1, lambda: os.unlink(box + '/1.eml')),
                            (2, lambda: os.unlink(store.files()[dict(store.uidlist()[1])[2]]))):
            with open('%s/%d.eml' % (box, uid), 'rb', buffering=0) as f:
                first = f.read(100)
                remove()
                try:
                    rest = f.read()
                except OSError as e:
                    lib.check(e.errno in (errno.EIO, errno.ESTALE), 'errno %d', e.errno)
                    continue
                lib.same(first + rest, lib.wire_of(stored[uid - 1]), 'bytes of %d' % uid)


def events_wake_a_poll():
    with mounted(messages=[letter(b'a')]) as (store, mount):
        box = mount.box('INBOX')
        sized(box)
        cursor = os.open(os.path.join(box, '.mailtree/events'), os.O_RDONLY | os.O_NONBLOCK)
        try:
            lib.check(not select.select([cursor], [], [], 0.2)[0], 'ready without news')
            lib.refused(errno.EAGAIN, 'read without news', os.read, cursor, 80)
            for what, act in (
                    ('a delivery outside', lambda: store.deliver(letter(b'b'))),
                    ('a flag change', lambda: lib.ctl(box, 'flags +\\Seen 1')),
                    ('an expunge', lambda: os.unlink(box + '/1.eml'))):
                timer = threading.Timer(0.1, act)
                timer.start()
                ready = select.select([cursor], [], [], 3)[0]
                timer.join()
                lib.check(ready, '%s does not wake', what)
                while select.select([cursor], [], [], 0.3)[0]:
                    got = os.read(cursor, 800)
                    lib.check(got and len(got) % 80 == 0, 'events of %d octets', len(got))
        finally:
            os.close(cursor)


def an_event_says_how_many_follow():
    with mounted(messages=[letter(b'a')]) as (store, mount):
        box = mount.box('INBOX')
        sized(box)
        path = os.path.join(box, '.mailtree/events')
        cursors = [os.open(path, os.O_RDONLY | os.O_NONBLOCK) for _ in range(3)]
        try:
            for left in 3, 2, 1:
                lib.ctl(box, 'flags %s\\Seen 1' % ('+' if left != 2 else '-'))
                for cursor in cursors:
                    lib.check(select.select([cursor], [], [], 5)[0], 'no event')
                    event = os.read(cursor, 80)
                    lib.same(struct.unpack_from('<HH', event), (2, left), 'type, listeners')
                os.close(cursors.pop())
        finally:
            for cursor in cursors:
                os.close(cursor)


def without_open_the_state_file_is_fresh():
    """A read-only mount: the kernel opens by itself, and keeps pages of .mailbox too."""
    with mounted('-o', 'ro', messages=[letter(b'1'), letter(b'2')]) as (store, mount):
        inbox, cur = mount.box('INBOX'), os.path.join(store.path, 'cur')
        lib.same(len(lib.state(inbox)[-1]), 2, 'at first')
        store.deliver(letter(b'3'), info=':2,S')
        lib.wait_until(lambda: len(lib.state(inbox)[-1]) == 3, 5, 'the new message shows')
        lib.check(b'-F-' not in lib.text_of(inbox + '/.mailbox'), 'no flag yet')
        name = next(n for n in os.listdir(cur) if n.endswith(':2,S'))
        os.rename(os.path.join(cur, name), os.path.join(cur, name[:-1] + 'FS'))
        lib.wait_until(lambda: b' -F-S- ' in lib.text_of(inbox + '/.mailbox'), 5,
                       'flags of the same length show')


if __name__ == '__main__':
    lib.run_tests([
        an_open_keeps_the_shared_pages,
        a_delivery_keeps_the_pages_and_the_mtime,
        a_read_is_whole,
        new_messages_are_right_in_cached_pages,
        flag_changes_reach_a_mapped_index,
        ranges_never_move_within_a_layout,
        removed_pages_answer_eio_and_shared_pages_nuls,
        a_lost_index_gives_wire_a_new_inode,
        an_open_cursor_holds_an_expunged_message,
        an_open_message_keeps_its_bytes_or_fails,
        events_wake_a_poll,
        an_event_says_how_many_follow,
        without_open_the_state_file_is_fresh,
    ])
