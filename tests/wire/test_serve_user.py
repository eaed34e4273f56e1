#!/usr/bin/env python3
# limit: 600
"""`mailtree serve` run by an ordinary user, for mail of that user alone."""
import os

import lib

LETTER = b'Subject: one\n\nhello\n'


def one_s_own_mail():
    with lib.ordinary_user() as user, lib.scratch() as path:
        os.chmod(path, 0o755)
        os.mkdir(os.path.join(path, 'index'))
        os.chown(os.path.join(path, 'index'), user.pw_uid, user.pw_gid)
        server = lib.Server(path, ('ann',), uid=user.pw_uid, run_by=user)
        try:
            lib.Maildir(server.maildir('ann'), user.pw_uid).deliver(LETTER)
            pop = server.session('ann')
            lib.same(pop.retr(1)[1], lib.wire_of(LETTER), 'RETR 1')
            pop.ok('DELE 1')
            pop.quit()
            lib.same(lib.Maildir(server.maildir('ann'), user.pw_uid).files(), {}, 'what is left')
        finally:
            lib.same(server.stop(), 0, 'exit status; the log: ' + server.log_text()[-600:])


def nobody_else_s():
    with lib.ordinary_user() as user, lib.scratch() as path:
        os.mkdir(os.path.join(path, 'index'))
        os.chown(os.path.join(path, 'index'), user.pw_uid, user.pw_gid)
        server = lib.Server(path, ('ann', 'bob'), uid=user.pw_uid, run_by=user)
        try:
            text = lib.text_of(server.passwd).decode()
            with open(server.passwd, 'w') as f:
                f.write(text.replace('secret-bob:%d' % user.pw_uid, 'secret-bob:%d' % lib.MAIL_UID))
            pop = server.connect()
            pop.ok('USER bob')
            pop.err('PASS secret-bob')
            pop.close()
            server.session('ann').quit()
        finally:
            server.stop()


lib.run_tests([one_s_own_mail, nobody_else_s])
