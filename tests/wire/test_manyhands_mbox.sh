#!/bin/bash
# limit: 300
# Many hands on mboxes (STORE=mbox scripts/manyhands), for a short while.
STORE=mbox MT_SECONDS=${MT_SECONDS:-12} exec "$(dirname "$0")/test_manyhands.py" many_hands \
    sees_lost_message
