#!/bin/bash
# limit: 600
# The shell suite as an ordinary user, who needs neither root nor configuration.
set -u
here=$(cd "$(dirname "$0")" && pwd)
build=$(cd "${MT_BUILD:-$here/../../build}" && pwd) || exit 1

if [ "$(id -u)" != 0 ]; then
	who=user exec "$here/test_shell.sh" "$@"
fi

# Accounts and the mode of /dev/fuse belong to the whole machine: one test at a time.
exec 9< /dev/fuse && flock 9 || exit 1
user=mtuser1 mode=$(stat -c %a /dev/fuse) suite=
there=$(mktemp -d "${TMPDIR:-/tmp}/mt-user.XXXXXX") || exit 1
cleanup()
{
	if [ -n "$suite" ]; then
		kill "$suite" && wait "$suite"
	fi 2> /dev/null
	awk -v s="$there/" 'index($2, s) == 1 { print $2 }' /proc/self/mounts |
	    while read -r left; do umount -f -l "$left"; done
	chmod "$mode" /dev/fuse
	userdel -f "$user" 2> /dev/null
	rm -rf --one-file-system "$there"
}
trap cleanup EXIT
trap 'exit 143' HUP INT TERM

# A clone may lie where that user cannot go: what is needed moves to a place of its own.
chmod 1777 "$there"
cp "$build/mailtreed" "$here/lib.sh" "$here/test_shell.sh" "$there"
userdel -f "$user" 2> /dev/null
useradd --no-create-home --shell /bin/sh "$user" || exit 1
chmod 666 /dev/fuse
cd /
setpriv --reuid "$user" --regid "$user" --clear-groups \
    env HOME=/nonexistent USER="$user" LOGNAME="$user" MT_BUILD="$there" TMPDIR="$there" who=user \
    bash "$there/test_shell.sh" "$@" 9<&- &
suite=$!
wait "$suite"
status=$?
suite=
exit "$status"
