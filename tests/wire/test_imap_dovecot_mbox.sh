#!/bin/bash
# limit: 300
# FETCH and SEARCH beside Dovecot on an mbox.
STORE=mbox exec "$(dirname "$0")/test_imap_dovecot.py" fetch_and_search_agree
