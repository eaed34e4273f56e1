#!/bin/bash
# limit: 200
# The shell suite on a store of mboxes.
STORE=mbox exec "$(dirname "$0")/test_shell.sh" "$@"
