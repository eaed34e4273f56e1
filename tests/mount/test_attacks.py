#!/usr/bin/env python3
# limit: 400
"""S5: whatever a user plants in their store, nothing outside it is read or written."""
import os
import random
import threading
import time

from support import letter, lib, mounted

SECRET = b'Subject: secret\n\nnobody may see this\n'


def secrets(folder):
    """Things outside the store: a folder that looks like a Maildir, and a file."""
    outside = lib.Maildir(os.path.join(folder, 'outside'))
    outside.deliver(SECRET, base='secret.test', info=':2,')
    outside.folder('Inner').deliver(SECRET)
    path = os.path.join(folder, 'secret-file')
    with open(path, 'wb') as f:
        f.write(SECRET)
    return outside.path, path


def snapshot(path):
    """Everything below a path, with its contents and dates."""
    out = {}
    for folder, _, files in os.walk(path):
        for name in files:
            full = os.path.join(folder, name)
            out[full] = (lib.text_of(full), os.lstat(full).st_mtime_ns, os.lstat(full).st_mode)
        out[folder] = os.lstat(folder).st_mode
    return out


def everything(path):
    """Read all that a mount shows, ignoring refusals; the octets seen."""
    seen = []
    for folder, _, files in os.walk(path):
        for name in files + ['.mailtree/wire', '.mailtree/index']:
            try:
                seen.append(lib.text_of(os.path.join(folder, name)))
            except OSError:
                pass
    return b''.join(seen)


def meddle(mount):
    """One of every writing verb, whatever comes of it."""
    inbox = mount.box('INBOX')

    def deliver(path):
        with open(path, 'wb') as f:
            f.write(letter(b'mine'))

    verbs = [lambda: deliver(inbox + '/x'), lambda: deliver(mount.box('Work', 'y')),
             lambda: lib.ctl(inbox, 'flags +\\Seen,Key 1:*'),
             lambda: lib.ctl(inbox, 'copy 1:* Work'), lambda: lib.ctl(inbox, 'sizes 1:* 500'),
             lambda: os.mkdir(mount.box('Made')), lambda: os.rmdir(mount.box('Made')),
             lambda: os.rename(mount.box('Work'), mount.box('Worked')),
             lambda: [os.unlink(inbox + '/' + n) for n in os.listdir(inbox)],
             lambda: os.rmdir(mount.box('Worked'))]
    for verb in verbs:
        try:
            verb()
        except OSError:
            pass
        except lib.Failed:
            pass


def planted_links_lead_nowhere():
    names = ['cur', 'new', 'tmp', 'dovecot-uidlist', 'dovecot-uidlist.lock', 'dovecot-keywords',
             'dovecot-uidvalidity', 'subscriptions', '.Work', '.Work/cur', '.Work/new',
             '.Work/tmp', '.Work/dovecot-uidlist', '.Work/dovecot-keywords',
             'courierimapuiddb', 'courierpop3dsizelist', 'cur/planted:2,', 'new/planted',
             'tmp/planted', 'maildirfolder', '.Work/maildirfolder', '.INBOX']
    for name in names:
        for kind in ('symlink', 'dangling', 'hardlink', 'fifo', 'folder'):
            # a lock that nobody removes costs every writer its whole patience
            if not name.endswith('.lock') or kind == 'symlink':
                _plant(name, kind)


def _plant(name, kind):
    with lib.scratch() as folder:
        outside, secret = secrets(folder)
        store = lib.Maildir(os.path.join(folder, 'store'))
        store.deliver(letter(b'own'), info=':2,')
        store.folder('Work').deliver(letter(b'work'))
        path = os.path.join(store.path, name)
        is_folder = name.split('/')[-1] in ('cur', 'new', 'tmp', '.Work', '.INBOX')
        if os.path.isdir(path):
            lib.run('rm', '-rf', path)
        elif os.path.lexists(path):
            os.unlink(path)
        if kind == 'symlink':
            target = outside if name.startswith('.') and '/' not in name else \
                os.path.join(outside, name.split('/')[-1]) if is_folder else secret
            os.symlink(target, path)
        elif kind == 'dangling':
            os.symlink(os.path.join(folder, 'outside', 'created'), path)
        elif kind == 'hardlink':
            # planted hard links to foreign files: of another owner
            if is_folder or os.geteuid() != 0:
                return
            os.chown(secret, 12345, 12345)
            os.link(secret, path)
        elif kind == 'fifo':
            os.mkfifo(path)
        elif not is_folder:
            os.mkdir(path)
        else:
            return
        before = snapshot(outside), lib.text_of(secret), os.stat(secret).st_mode
        what = '%s at %s' % (kind, name)
        try:
            with lib.Mount(folder, store.path) as mount:
                done = threading.Event()

                def act():
                    try:
                        lib.check(b'nobody may see' not in everything(mount.path),
                                  'secret shown')
                        meddle(mount)
                        lib.check(b'nobody may see' not in everything(mount.path),
                                  'secret shown afterwards')
                        act.failure = None
                    except Exception as e:
                        act.failure = e
                    done.set()
                act.failure = None
                thread = threading.Thread(target=act, daemon=True)
                thread.start()
                lib.check(done.wait(30), '%s: the mount hangs', what)
                lib.check(act.failure is None, '%s: %s', what, act.failure)
        except lib.Failed as e:
            lib.check('not ready' in str(e), '%s', e)	# refusing the whole store is fine
        after = snapshot(outside), lib.text_of(secret), os.stat(secret).st_mode
        lib.same(after, before, what + ': files outside')


def a_swapper_racing_every_operation():
    """cur/, new/ and messages are swapped for links all the time."""
    seconds = float(os.environ.get('MT_RACE_SECONDS', 6))
    with lib.scratch() as folder:
        outside, secret = secrets(folder)
        store = lib.Maildir(os.path.join(folder, 'store'))
        store.folder('Work')
        for i in range(20):
            store.deliver(letter(b'own%d' % i), info=':2,')
        before = snapshot(outside), lib.text_of(secret)
        stop = threading.Event()

        def swap():
            pick = random.Random(1)
            while not stop.is_set():
                part = pick.choice(['cur', 'new', 'tmp', 'dovecot-uidlist', '.Work',
                                    'dovecot-keywords'])
                path = os.path.join(store.path, part)
                try:
                    os.rename(path, path + '.away')
                    os.symlink(os.path.join(outside, part) if part in ('cur', 'new', 'tmp')
                               else outside if part == '.Work' else secret, path)
                    time.sleep(pick.random() * 0.002)
                    os.unlink(path)
                except OSError:
                    pass
                try:
                    os.rename(path + '.away', path)
                except OSError:
                    pass
        with lib.Mount(folder, store.path) as mount:
            thread = threading.Thread(target=swap)
            thread.start()
            try:
                end = time.monotonic() + seconds
                n = 0
                while time.monotonic() < end:
                    lib.check(b'nobody may see' not in everything(mount.path), 'secret shown')
                    n += 1
                    store_path = mount.box('INBOX', 'r%d' % n)
                    try:
                        with open(store_path, 'wb') as f:
                            f.write(letter(b'race%d' % n))
                    except OSError:
                        pass
                    meddle(mount)
            finally:
                stop.set()
                thread.join()
        lib.same((snapshot(outside), lib.text_of(secret)), before, 'files outside')


def a_store_below_its_own_mount_is_refused():
    with mounted(messages=[letter(b'a')]) as (_, mount):
        said = lib.run('timeout', '20', os.path.join(lib.BUILD, 'mailtreed'), '-f', '--index-path',
                       mount.index + '2', mount.path, mount.path, ok=False)
        lib.check(said.returncode not in (0, 124), 'exit %d', said.returncode)
        lib.check(said.stderr, 'no message')
        lib.same(lib.uids(mount.box('INBOX')), [1], 'the mount afterwards')


def corrupt_indexes_are_rebuilt():
    messages = [letter(b'%d' % i, i * 50) for i in range(50)]
    with mounted(messages=messages) as (_, mount):
        box = mount.box('INBOX')

        def look():
            lib.ctl_sizes(box)
            return ([lib.text_of('%s/%d.eml' % (box, u)) for u in lib.uids(box)],
                    [(r.uid, r.wire_size) for r in lib.index_records(box)])
        first = look()
        lib.same(first[0], list(map(lib.wire_of, messages)), 'at first')
        pick = random.Random(7)
        for damage in ('flip', 'cut', 'empty', 'noise', 'zeros', 'grow', 'link'):
            mount.unmount()
            files = [os.path.join(d, n) for d, _, names in os.walk(mount.index) for n in names]
            lib.check(files, 'no index files in %s', mount.index)
            for path in files:
                text = bytearray(lib.text_of(path))
                if damage == 'flip':
                    for _ in range(30):
                        if text:
                            text[pick.randrange(len(text))] ^= 1 << pick.randrange(8)
                elif damage == 'cut':
                    del text[len(text) * 2 // 3:]
                elif damage == 'empty':
                    text.clear()
                elif damage == 'noise':
                    text[:] = pick.randbytes(len(text))
                elif damage == 'zeros':
                    text[:] = bytes(len(text))
                elif damage == 'grow':
                    text += pick.randbytes(5000)
                os.unlink(path)
                if damage == 'link':
                    os.symlink('/dev/zero', path)
                else:
                    with open(path, 'wb') as f:
                        f.write(text)
            mount.start()
            lib.same(look(), first, 'after damage: ' + damage)


def hostile_uidlists_do_no_harm():
    rows = [b'', b'\0' * 5000, b'3', b'3 V1 N1\n', b'3 V0 N0\n', b'3 V99999999999 N3\n',
            b'3 V1 N5 G' + b'f' * 32 + b'\n9 :x\n8 :y\n', b'3 V1 N1\n1 :../../etc/passwd\n',
            b'3 V1 N4294967295\n', b'3 V1 N4294967296\n', b'1 1 1\n', b'2 x\n', b'garbage\n' * 999,
            b'3 V7 N9\n1 :' + b'n' * 100000 + b'\n', b'3 V7 N9\n' + b'1 S9 W9 P :a\n' * 50,
            b'3 V7 N9\n4294967295 :a\n', b'3 ' + b'K' * 100000 + b'\n']
    want, wrong = [lib.wire_of(letter(b'a')), lib.wire_of(letter(b'b'))], []
    for row, text in enumerate(rows):
        def before(store):
            with open(os.path.join(store.path, 'dovecot-uidlist'), 'wb') as f:
                f.write(text)

        with mounted(messages=[letter(b'a'), letter(b'b')], before=before) as (_, mount):
            box = mount.box('INBOX')
            try:
                seen = sorted(lib.text_of('%s/%d.eml' % (box, u)) for u in lib.uids(box))
            except OSError as e:
                seen = e
            if seen != want:
                wrong.append('row %d, %.40r: %s' % (row, text, seen))
    lib.same(wrong, [], 'uidlists that hide mail')


if __name__ == '__main__':
    lib.run_tests([
        planted_links_lead_nowhere,
        a_swapper_racing_every_operation,
        a_store_below_its_own_mount_is_refused,
        corrupt_indexes_are_rebuilt,
        hostile_uidlists_do_no_harm,
    ])
