# lib.sh: sourced by the shell suites. A scratch folder, a store, a mount of it, and a
# runner that prints a line per test. Everything is undone on exit, also after a failure.
#
#   $STORE     maildir (or not set), or mbox: the kind of store that the cases run on
#   $scratch   a folder of our own     $store   the store     $mnt   where it is mounted
#   a test is a function t_NAME; it runs under `set -e` on a fresh store and mount
#
# Cases speak of the store through store_*, fill, and stored_*; NAME is a mailbox as it is in
# the tree (INBOX, Archive/2024).

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
build=${MT_BUILD:-$here/../../build}
build=$(cd "$build" && pwd) || exit 1
export LC_ALL=C.UTF-8 TZ=UTC
umask 022

kind=${STORE:-maildir}
case $kind in maildir) leaf= ;; mbox) leaf=/Own ;; *) echo "STORE=$kind?" >&2; exit 2 ;; esac
who=${who:-}
[ "$kind" = maildir ] || who=$kind${who:+, $who}

scratch=$(mktemp -d "${TMPDIR:-/tmp}/mt-test.XXXXXX") && chmod 755 "$scratch" || exit 1
store=$scratch/store mnt=$scratch/mnt
failed=0

is_mounted()
{
	grep -q " $1 fuse" /proc/self/mounts
}

# store_new PATH: an empty store; store_path NAME: the folder, or file, of that mailbox
store_new()
{
	mkdir -p -m 700 "$1"
	[ "$kind" = mbox ] || mkdir -m 700 "$1/cur" "$1/new" "$1/tmp"
}

store_path()
{
	case $kind/$1 in
	maildir/INBOX) echo "$store" ;;
	maildir/*) echo "$store/.${1//\//.}" ;;
	mbox/INBOX) echo "$store/inbox" ;;
	mbox/*) echo "$store/$1" ;;
	esac
}

# store_folder NAME: a mailbox made by another program. With an mbox what is above it is no
# mailbox: a mailbox that has children keeps its messages in NAME$leaf.
store_folder()
{
	local path
	path=$(store_path "$1")
	if [ "$kind" = mbox ]; then
		mkdir -p "$(dirname "$path")" && : > "$path"
	else
		store_new "$path" && : > "$path/maildirfolder"
	fi
}

# store_parents NAME: where the store has directories for what is above it, they are there,
# and with them a mailbox Own: one without mailboxes is not shown
store_parents()
{
	[ -z "$leaf" ] || store_folder "$(dirname "$1")$leaf"
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

# fill NAME FIRST LAST [PREFIX]: letters as another program would have left them, read
fill()
{
	local path
	path=$(store_path "$1")
	case $kind in
	maildir) fill_maildir "$path" "${@:2}" ;;
	mbox) fill_mbox "$path" "${@:2}" > "$scratch/filled" && cat "$scratch/filled" >> "$path" ;;
	esac
}

fill_maildir()
{
	local i
	for i in $(seq "$2" "$3"); do
		letter "${4:-}$i" > "$1/tmp/x"
		touch -d "@$((1500000000 + i))" "$1/tmp/x"
		mv "$1/tmp/x" "$1/cur/$((1600000000 + i)).${4:-m}$i.test:2,"
	done
}

fill_mbox()	# on stdout
{
	local i
	for i in $(seq "$2" "$3"); do
		echo "From ann@example.org $(date -d "@$((1500000000 + i))" '+%a %b %e %T %Y')"
		letter "${4:-}$i"
		echo
	done
}

# ---- what other programs find in the store ----

stored()	# NAME: how many messages
{
	case $kind in
	maildir) find "$(store_path "$1")"/new "$(store_path "$1")"/cur -type f | wc -l ;;
	mbox) grep -c '^From ' "$(store_path "$1")" || true ;;
	esac
}

is_stored()	# NAME as it is on disk: that mailbox is there
{
	case $kind in
	maildir) [ -d "$(store_path "$1")/cur" ] ;;
	mbox) [ -f "$(store_path "$1")" ] ;;
	esac
}

not_stored()
{
	[ ! -e "$(store_path "$1")" ]
}

stored_dates()	# NAME: of arrival, in seconds, ascending, on one line
{
	case $kind in
	maildir) find "$(store_path "$1")"/new "$(store_path "$1")"/cur -type f -printf '%Ts\n' ;;
	mbox) sed -n 's/^From [^ ]* //p' "$(store_path "$1")" | date -f - +%s ;;
	esac | sort -n | tr '\n' ' '
}

stored_flags()	# NAME: of each message letters of S R F T D and keywords, `-` for none
{
	local path
	path=$(store_path "$1")
	case $kind in
	maildir)
		ls "$path/cur" | sort | sed 's/.*:2,//' | while read -r letters; do
			for key in $(grep -s . "$path/dovecot-keywords" | tr ' ' =); do
				letters=${letters/$(printf "\\$(printf %o $((97 + ${key%%=*})))")/ ${key#*=}}
			done
			echo "${letters:--}"
		done ;;
	mbox)
		awk '/^From / { if (NR > 1) tell(); head = 1; s = x = k = "" }
		     /^$/ { head = 0 }
		     head && /^Status:/ { s = $2 ~ /R/ ? "S" : "" }
		     head && /^X-Status:/ { x = ($2 ~ /A/ ? "R" : "") ($2 ~ /F/ ? "F" : "") \
		         ($2 ~ /T/ ? "D" : "") ($2 ~ /D/ ? "T" : "") }
		     head && /^X-Keywords:/ { for (i = 2; i <= NF; i++) k = k " " $i }
		     function tell() { f = x s k; print f == "" ? "-" : f }
		     END { tell() }' "$path" ;;
	esac | sed 's/^ //' | tr '\n' ' '
}

mount_start()	# [mailtreed's options]
{
	local said=
	mkdir -p "$mnt" "$scratch/index"
	rm -f "$scratch/ready" && mkfifo "$scratch/ready"
	"$build/mailtreed" -f --index-path "$scratch/index" --ready 8 "$@" \
	    "${location:-$kind:$store}" "$mnt" 8> "$scratch/ready" 2>> "$scratch/daemon.log" \
	    < /dev/null &
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
