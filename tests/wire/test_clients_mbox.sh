#!/bin/bash
# limit: 300
# Real clients on mboxes: POP3's three, and those of IMAP whose cases need no children of mailboxes.
here=$(dirname "$0")
export STORE=mbox
status=0
"$here/test_clients.py" || status=1
"$here/test_imap_clients.py" curl imaplib_messages two_clients_at_once neomutt || status=1
"$here/test_imap_sync.py" mbsync_pipelined offlineimap || status=1
exit "$status"
