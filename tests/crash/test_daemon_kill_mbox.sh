#!/bin/sh
# limit: 300
# tests/crash/test_daemon_kill.py again, in mboxes.
STORE=mbox MT_CRASH_OPS=${MT_CRASH_OPS:-200} exec "$(dirname "$0")/test_daemon_kill.py"
