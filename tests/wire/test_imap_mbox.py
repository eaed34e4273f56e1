#!/usr/bin/env python3
"""What IMAP and POP3 say of mboxes alone: nothing lies below one, and another program may have
it locked."""
import os

import imapclient
import imapwire
import lib
from test_mbox_locks import held, mbox, put, settings

LETTER = b'Subject: new\r\n\r\nx\r\n'


class Mailtree(imapwire.Mailtree):
    def __init__(self, folder, *options):
        self.folder, self.separator = folder, '/'
        os.makedirs(folder + '/mail/Dir')
        for name in ('inbox', 'Other', 'Dir/Leaf'):
            put('%s/mail/%s' % (folder, name), mbox(b'a', b'b'), 0, 0)
        self.mount = lib.Mount(folder, 'mbox:%s/mail' % folder, *options)

    def __enter__(self):
        self.mount.__enter__()
        return self

    def __exit__(self, *how):
        self.mount.__exit__(*how)

    def imap(self):
        return imapclient.Process(self.spawn())


def attributes(session, command='LIST "" *'):
    """{name: attributes} of the answer."""
    return {r.args[2].decode(): sorted(r.args[0])
            for r in session.ok(command).named('LIST')}


def nothing_lies_below_an_mbox():
    with lib.scratch() as folder, Mailtree(folder) as server:
        session = server.imap()
        leaf = ['\\HasNoChildren', '\\NoInferiors']
        lib.same(attributes(session),
                 {'INBOX': leaf, 'Other': leaf, 'Dir/Leaf': leaf,
                  'Dir': ['\\HasChildren', '\\NonExistent', '\\Noselect']}, 'LIST')
        for name in ('Other/below', 'INBOX/below', 'Dir/Leaf/a/b', 'Other/x (USE (\\Sent))'):
            session.no('CREATE ' + name, 'CANNOT')
        session.no('RENAME Dir/Leaf Other/below', 'CANNOT')
        session.ok('SELECT INBOX')
        session.no('COPY 1 Other/below', 'TRYCREATE')
        session.ok('SUBSCRIBE Other')
        lib.same(attributes(session, 'LIST (SUBSCRIBED RECURSIVEMATCH) "" %'),
                 {'Other': sorted(leaf + ['\\Subscribed'])}, 'what is subscribed')
        session.ok('CREATE Dir/More')
        session.logout()
        lib.same(sorted(os.listdir(folder + '/mail/Dir')), ['Leaf', 'More'], 'files')


def every_command_that_writes_says_who_is_in_its_way():
    """INUSE (RFC 5530 section 3), and nothing has changed; later it works."""
    with lib.scratch() as folder, Mailtree(folder, *settings(mbox_lock_timeout='1 sec')) as server:
        session = server.imap()
        session.ok('SELECT INBOX')
        files = [folder + '/mail/' + name for name in ('inbox', 'Other')]
        with held('fcntl', files[0]), held('fcntl', files[1]):
            for command in ('STORE 1 +FLAGS (\\Flagged)', 'COPY 1 Other', 'MOVE 2 Other',
                            ['APPEND Other ', LETTER], 'DELETE Other',
                            'RENAME INBOX Elsewhere'):
                session.no(command, 'INUSE')
            session.ok('CREATE Fresh')	# what has no file cannot be locked
            session.ok('RENAME Other Elsewhere')	# and a name is not the file's
            session.ok('RENAME Elsewhere Other')
            lib.same([lib.text_of(f) for f in files], 2 * [mbox(b'a', b'b')], 'the files')
        session.ok('STORE 1 +FLAGS (\\Deleted)')
        with held('fcntl', files[0]):
            session.no('EXPUNGE', 'INUSE')
            session.ok('NOOP')
        session.ok('EXPUNGE')
        session.ok(['APPEND Other ', LETTER])
        session.ok('DELETE Other')
        session.logout()


def pop3_says_that_it_is_for_a_while():
    """[SYS/TEMP] (RFC 3206 section 4) of a QUIT that cannot remove; the next one does."""
    with lib.scratch() as folder, Mailtree(folder, *settings(mbox_lock_timeout='1 sec')) as server:
        for locked in (True, False):
            with lib.Session(server.mount.path) as session:
                lib.same(session.ask('DELE 1')[:3], b'+OK', 'DELE')
                if locked:
                    with held('dotlock', folder + '/mail/inbox'):
                        said = session.ask('QUIT')
                else:
                    said = session.ask('QUIT')
                want = b'-ERR [SYS/TEMP] ' if locked else b'+OK'
                lib.same(said[:len(want)], want, 'QUIT')
        lib.same(lib.uids(server.mount.box('INBOX')), [2], 'UIDs')


if __name__ == '__main__':
    lib.run_tests([nothing_lies_below_an_mbox, every_command_that_writes_says_who_is_in_its_way,
                   pop3_says_that_it_is_for_a_while])
