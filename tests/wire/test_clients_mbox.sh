#!/bin/bash
# limit: 300
# Real clients on mboxes: POP3's three, and those of IMAP whose cases need no children of mailboxes.
here=$(dirname "$0")
export STORE=mbox
"$here/test_clients.py"
pop3=$?
"$here/test_imap_clients.py" curl imaplib_messages two_clients_at_once || exit
exit "$pop3"
