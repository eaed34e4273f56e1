#!/usr/bin/env python3
"""A Maildir that Dovecot made goes through mailtree and back: UIDs, UIDVALIDITY, UIDLs,
flags, keywords and subscriptions of what was not touched are as they were, and Dovecot
has nothing to complain about."""
import os

import dovecot
import lib
from dovecot import good

FOLDERS = {'INBOX': 'INBOX', 'Archive': 'Archive', 'Archive.2024': 'Archive/2024',
           'Gr&APwA3w-e': 'Grüße', 'Empty': 'Empty'}
FLAGS = ['', '\\Seen', '\\Seen \\Answered', '\\Flagged $Junk', 'Work urgent', '\\Draft',
         '\\Deleted', '\\Seen Work $Forwarded']


def letter(tag):
    return ('From: ann@example.org\r\nSubject: %s\r\n\r\nletter %s\r\n.\r\n' % (tag, tag)).encode()


def fill(server):
    client = server.imap()
    for folder in FOLDERS:
        if folder != 'INBOX':
            good(client.create(folder))
    for folder in list(FOLDERS)[:-1]:
        for i in range(24):
            good(client.append(folder, '(%s)' % FLAGS[i % 8],
                               '"%02d-Mar-2021 04:05:%02d +0100"' % (i % 27 + 1, i),
                               letter('%s-%d' % (folder, i))))
        good(client.select(folder))
        good(client.uid('STORE', '3,7', '+FLAGS', '(\\Deleted)'))
        good(client.expunge())
        good(client.close())
    for folder in ('INBOX', 'Archive.2024', 'Gr&APwA3w-e'):
        good(client.subscribe(folder))
    client.logout()


def everything(server):
    client = server.imap()
    boxes = {folder: dovecot.look(client, folder) for folder in FOLDERS}
    subscribed = sorted(good(client.lsub()))
    listed = sorted(good(client.list()))
    client.logout()
    pop = server.pop3()
    uidl = list(pop.table('UIDL').values())
    pop.quit()
    return boxes, subscribed, listed, uidl


def dovecot_then_mailtree_then_dovecot():
    with lib.scratch() as folder:
        path = os.path.join(folder, 'home/ann/Maildir')
        lib.Maildir(path, uid=lib.MAIL_UID)
        with dovecot.Dovecot(folder, path) as server:
            fill(server)
            before, subscribed, listed, uidl = everything(server)
            server.stop()

            with lib.Server(folder, ['ann']) as ours:
                _shown_as_dovecot_shows_it(ours, before, uidl)
                _change(ours)

            server.start()
            after, subscribed2, listed2, uidl2 = everything(server)
            lib.same(subscribed2, subscribed, 'subscriptions')
            lib.same([l for l in listed2 if b'Made' not in l], listed, 'LIST')
            _changed_as_asked(before, after, uidl, uidl2)
            lib.same(server.complaints(), [], "complaints in Dovecot's log")


def _shown_as_dovecot_shows_it(ours, before, uidl):
    mount = ours.view('ann')
    for name, path in FOLDERS.items():
        validity, messages = before[name]
        box = mount.box(path)
        lib.ctl_sizes(box)
        head, _, rows = lib.state(box)
        lib.same(head['uidvalidity'], validity, 'UIDVALIDITY of ' + name)
        lib.same(sorted(rows), sorted(messages), 'UIDs of ' + name)
        for uid, (flags, size, _, octets) in messages.items():
            row = rows[uid]
            lib.same(row['size'], size, 'size of %s %d' % (name, uid))
            lib.same(row['flags'], dovecot.letters_of(flags), 'flags of %s %d' % (name, uid))
            lib.same(row['keywords'], {f for f in flags if not f.startswith('\\')},
                     'keywords of %s %d' % (name, uid))
            lib.same(lib.text_of('%s/%d.eml' % (box, uid)), octets, '%s %d' % (name, uid))
    pop = ours.session('ann')
    lib.same(list(pop.table('UIDL').values()), uidl, 'UIDLs by mailtree')
    pop.quit()


def _change(ours):
    """Deliver, flag, delete, move, by a shell's means."""
    mount = ours.view('ann')
    inbox, archive = mount.box('INBOX'), mount.box('Archive')
    with open(inbox + '/delivered', 'wb') as f:
        f.write(letter('delivered').replace(b'\r\n', b'\n'))
    lib.ctl(inbox, 'flags +\\Flagged,Work,NewKeyword 1')
    lib.ctl(inbox, 'flags -\\Seen 2')
    os.unlink(inbox + '/4.eml')
    os.rename(inbox + '/5.eml', archive + '/5.eml')
    lib.ctl(inbox, 'copy 6 Archive/2024')
    os.mkdir(mount.box('Made'))
    with open(mount.box('Made', 'x'), 'wb') as f:
        f.write(letter('made'))
    pop = ours.session('ann')
    pop.ok('DELE %d' % next(n for n, u in pop.table('UIDL').items()
                            if u.startswith('%08x' % 8)))
    pop.quit()


def _changed_as_asked(before, after, uidl, uidl2):
    old, new = before['INBOX'][1], after['INBOX'][1]
    touched = {1, 2, 4, 5, 8}
    lib.same(after['INBOX'][0], before['INBOX'][0], 'UIDVALIDITY of INBOX')
    for uid, message in old.items():
        if uid not in touched:
            lib.same(new.get(uid), message, 'INBOX %d, not touched' % uid)
    lib.same(sorted(set(old) - set(new)), [4, 5, 8], 'UIDs that are gone')
    lib.same(new[1][0], old[1][0] | {'\\Flagged', 'Work', 'NewKeyword'}, 'flags of 1')
    lib.same(new[2][0], old[2][0] - {'\\Seen'}, 'flags of 2')
    lib.same((new[1][1:], new[2][1:]), (old[1][1:], old[2][1:]), 'the rest of 1 and 2')
    added = sorted(set(new) - set(old))
    lib.same([new[uid][3] for uid in added], [letter('delivered')], 'delivered')
    lib.same(added, [max(old) + 1], 'UID of the new one')
    lib.same(uidl2[:-1], [u for u in uidl if int(u[:8], 16) not in (4, 5, 8)], 'UIDLs')

    for name, moved in (('Archive', 5), ('Archive.2024', 6)):
        a, b = before[name], after[name]
        lib.same(b[0], a[0], 'UIDVALIDITY of ' + name)
        lib.same({u: b[1].get(u) for u in a[1]}, a[1], name + ', not touched')
        more = sorted(set(b[1]) - set(a[1]))
        lib.same(len(more), 1, 'new in ' + name)
        lib.same(b[1][more[0]], old[moved], 'message, flags, keywords and date in ' + name)
    for name in ('Gr&APwA3w-e', 'Empty'):
        lib.same(after[name], before[name], name)


def what_mailtree_made_dovecot_takes_over():
    """A Maildir that only mailtree has seen keeps its UIDs, flags and UIDLs at Dovecot."""
    with lib.scratch() as folder:
        path = os.path.join(folder, 'home/ann/Maildir')
        store = lib.Maildir(path, uid=lib.MAIL_UID)
        for i in range(30):
            store.deliver(letter('raw%d' % i).replace(b'\r\n', b'\n'))
        with lib.Server(folder, ['ann']) as ours:
            mount = ours.view('ann')
            inbox = mount.box('INBOX')
            lib.uids(inbox)
            lib.ctl(inbox, 'flags +\\Seen,One 1:10')
            lib.ctl(inbox, 'flags +Two,\\Answered 5:15')
            for uid in (3, 30):
                os.unlink('%s/%d.eml' % (inbox, uid))
            with open(inbox + '/x', 'wb') as f:
                f.write(letter('x'))
            os.mkdir(mount.box('Lists'))
            os.rename(inbox + '/12.eml', mount.box('Lists', '12.eml'))
            lib.ctl_sizes(inbox)
            head, _, rows = lib.state(inbox)
            pop = ours.session('ann')
            uidl = list(pop.table('UIDL').values())
            pop.quit()
        with dovecot.Dovecot(folder, path) as server:
            client = server.imap()
            validity, messages = dovecot.look(client, 'INBOX')
            lib.same(validity, head['uidvalidity'], 'UIDVALIDITY')
            lib.same({u: (dovecot.letters_of(m[0]), {f for f in m[0] if f[0] != '\\'}, m[1])
                      for u, m in messages.items()},
                     {u: (r['flags'], r['keywords'], r['size']) for u, r in rows.items()},
                     'flags, keywords and sizes')
            lib.same(len(dovecot.look(client, 'Lists')[1]), 1, 'Lists')
            client.logout()
            pop = server.pop3()
            lib.same(list(pop.table('UIDL').values()), uidl, 'UIDLs')
            pop.quit()
            lib.same(server.complaints(), [], "complaints in Dovecot's log")


if __name__ == '__main__':
    lib.run_tests([
        dovecot_then_mailtree_then_dovecot,
        what_mailtree_made_dovecot_takes_over,
    ])
