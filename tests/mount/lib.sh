# lib.sh: sourced by the shell suites. A scratch folder, a Maildir, a mount of it, and a
# runner that prints a line per test. Everything is undone on exit, also after a failure.
#
#   $scratch   a folder of our own     $store   a Maildir     $mnt   where it is mounted
#   a test is a function t_NAME; it runs under `set -e` on a fresh store and mount

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
build=${MT_BUILD:-$here/../../build}
build=$(cd "$build" && pwd) || exit 1
export LC_ALL=C.UTF-8 TZ=UTC
umask 022

scratch=$(mktemp -d "${TMPDIR:-/tmp}/mt-test.XXXXXX") && chmod 755 "$scratch" || exit 1
store=$scratch/store mnt=$scratch/mnt
failed=0

is_mounted()
{
	grep -q " $1 fuse" /proc/self/mounts
}

# store_new PATH: an empty Maildir; store_folder NAME: a Maildir++ folder in $store
store_new()
{
	mkdir -p -m 700 "$1" && mkdir -m 700 "$1/cur" "$1/new" "$1/tmp"
}

store_folder()
{
	store_new "$store/.$1" && : > "$store/.$1/maildirfolder"
}

# letter TAG: a message with LF lines on stdout
letter()
{
	printf 'From: ann@example.org\nSubject: letter %s\n\nThis is letter %s.\n.\nthe end\n' "$1" "$1"
}

wire_letter()
{
	letter "$1" | sed 's/$/\r/'
}

# fill FOLDER FIRST LAST [PREFIX]: letters as another program would have left them in cur/
fill()
{
	local i
	for i in $(seq "$2" "$3"); do
		letter "${4:-}$i" > "$1/tmp/x"
		touch -d "@$((1500000000 + i))" "$1/tmp/x"
		mv "$1/tmp/x" "$1/cur/$((1600000000 + i)).${4:-m}$i.test:2,"
	done
}

mount_start()	# [mailtreed's options]
{
	local said=
	mkdir -p "$mnt" "$scratch/index"
	rm -f "$scratch/ready" && mkfifo "$scratch/ready"
	"$build/mailtreed" -f --index-path "$scratch/index" --ready 8 "$@" "$store" "$mnt" \
	    8> "$scratch/ready" 2>> "$scratch/daemon.log" < /dev/null &
	echo $! > "$scratch/pid"	# a test may mount again in its own subshell
	read -r said < "$scratch/ready"
	[ "$said" = ready ] || { cat "$scratch/daemon.log" >&2; return 1; }
}

unmount()	# [-l]
{
	is_mounted "$mnt" || return 0
	if [ "$(id -u)" = 0 ]; then
		umount ${1:+-l} "$mnt"
	else
		fusermount3 -u ${1:+-z} "$mnt"
	fi
}

mount_stop()
{
	local status=0 pid
	pid=$(cat "$scratch/pid")
	unmount || return 1
	wait "$pid" 2> /dev/null || status=$?
	if [ "$status" = 127 ]; then	# not our child: a subshell's
		timeout 20 tail --pid="$pid" -f /dev/null || return 1
		status=0
	fi
	rm -f "$scratch/pid"
	[ "$status" = 0 ] || echo "mailtreed ended with $status: $(tail -3 "$scratch/daemon.log")" >&2
	return "$status"
}

mount_kill()
{
	unmount -l
	if [ -e "$scratch/pid" ]; then
		kill -9 "$(cat "$scratch/pid")"
		wait "$(cat "$scratch/pid")"
		rm -f "$scratch/pid"
	fi 2> /dev/null
}

cleanup()
{
	cd /
	mount_kill
	rm -rf --one-file-system "$scratch"
}
trap cleanup EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

fail()
{
	echo "$*" >&2
	exit 1
}

# same WANT GOT WHAT
same()
{
	[ "$1" = "$2" ] || fail "$3: $2, not $1"
}

# refused WORDS-IN-THE-MESSAGE COMMAND...: the command fails and says so
refused()
{
	local why=$1 said
	shift
	if said=$("$@" 2>&1 < /dev/null); then
		fail "allowed: $*"
	fi
	case $said in *"$why"*) ;; *) fail "$*: said '$said', not '$why'" ;; esac
}

count()		# messages that a listing of the mailbox shows
{
	ls "$1" | grep -c '^[0-9]*\.eml$' || true
}

newest()	# path of the message with the highest UID
{
	echo "$1/$(ls "$1" | grep '^[0-9]*\.eml$' | sort -n | tail -1)"
}

subjects()	# tags of all letters of a mailbox, sorted, on one line
{
	cat "$1"/*.eml | sed -n 's/^Subject: letter \(.*\)\r$/\1/p' | sort -V | tr '\n' ' '
}

# run_tests: every function t_* in the order of the file; arguments choose some by name
run_tests()
{
	local t name rc
	for t in $(grep -o '^t_[a-z0-9_]*' "$0"); do
		name=${t#t_}
		[ $# = 0 ] || [[ " $* " = *" $name "* ]] || continue
		rm -rf "$store" "$scratch/index" "$scratch/daemon.log"
		store_new "$store"
		mkdir -p "$scratch/out"
		if mount_start 2> "$scratch/log"; then
			( set -e; cd "$scratch/out"; INBOX=$mnt/INBOX; "$t" ) > "$scratch/log" 2>&1
			rc=$?
			mount_stop >> "$scratch/log" 2>&1 || rc=1
		else
			rc=1
		fi
		if [ "$rc" = 0 ]; then
			echo "ok $name${who:+ ($who)}"
		else
			failed=1
			echo "not ok $name${who:+ ($who)}: $(tail -4 "$scratch/log" | tr '\n' ' ')"
			mount_kill
		fi
		rm -rf "$scratch/out"
	done
	exit "$failed"
}
