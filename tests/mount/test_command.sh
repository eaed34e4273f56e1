#!/bin/bash
# limit: 120
# The mailtree command on a real mount: mount, umount, check (which must find what is wrong,
# so some of it is made wrong for check alone, by lie.c), version, help.

. "$(dirname "$0")/lib.sh"

mailtree()
{
	"$build/mailtree" "$@"
}

# The mount of lib.sh is there too; these tests make their own beside it.
own=$scratch/own
mount_own()
{
	mkdir -p "$own"
	mailtree mount --index-path "$scratch/index2" "$@" "$store" "$own"
}

umount_own()
{
	mailtree umount "$own"
}

# status WANT COMMAND...: its exit status, its output in $scratch/said
status()
{
	local want=$1 got=0
	shift
	"$@" > "$scratch/said" 2>&1 < /dev/null || got=$?
	[ "$got" = "$want" ] || fail "$*: exit status $got, not $want: $(cat "$scratch/said")"
}

t_mount_returns_when_mounted()
{
	fill INBOX 1 2
	mount_own
	wire_letter 1 | cmp - "$own/INBOX/1.eml"
	umount_own
	same 0 "$(ls -A "$own" | wc -l)" "left at the mount point"
	mount_own -o ro
	refused "Read-only" rm "$own/INBOX/1.eml"
	umount_own
}

t_mount_says_what_is_wrong()
{
	mkdir -p "$own"
	status 1 mailtree mount "$scratch/none" "$own"
	grep -q "$scratch/none" "$scratch/said" || fail "does not name the source: $(cat "$scratch/said")"
	status 1 mailtree mount "$store" "$scratch/nowhere"
	grep -q "$scratch/nowhere" "$scratch/said" || fail "does not name the place: $(cat "$scratch/said")"
	status 2 mailtree mount "$store"
	status 2 mailtree mount --nonsense "$store" "$own"
	if is_mounted "$own"; then fail "mounted all the same"; fi
}

t_umount_only_ours()
{
	mkdir -p "$scratch/plain"
	status 1 mailtree umount "$scratch/plain"
	grep -q "not a mount point of mailtree" "$scratch/said" || fail "$(cat "$scratch/said")"
	status 1 mailtree umount /proc
	status 1 mailtree umount "$scratch/none"
	status 2 mailtree umount
	[ -e /proc/self ] || fail "/proc is gone"
}

t_umount_busy_and_lazy()
{
	mount_own
	exec 7< "$own/INBOX"
	status 1 mailtree umount "$own"
	grep -q "in use" "$scratch/said" || fail "$(cat "$scratch/said")"
	is_mounted "$own" || fail "unmounted though in use"
	mailtree umount --lazy "$own"
	if is_mounted "$own"; then fail "still mounted"; fi
	exec 7<&-
}

t_umount_after_the_daemon_died()
{
	mount_own
	kill -9 "$(pgrep -f "mailtreed.* $own\$")"
	for _ in $(seq 50); do ls "$own" > "$scratch/ls" 2>&1 || break; sleep 0.1; done
	refused "not connected" ls "$own"
	umount_own
	mount_own
	umount_own
}

t_umount_of_a_strange_name()
{
	own="$scratch/a b\\c	d"
	mount_own
	umount_own
	if grep -qF 'a\040b' /proc/self/mountinfo; then fail "still mounted"; fi
}

t_check_of_a_clean_mount()
{
	store_folder Archive
	fill INBOX 1 30
	fill Archive 1 3
	: > "$store/cur/1700000000.empty:2,S"
	printf 'no end' > "$store/cur/1700000001.noend:2,"
	printf 'a\r\n\r\n.dot\0\200\r' > "$store/cur/1700000002.odd:2,FS"
	printf '\nbody\n' > "$store/new/1700000003.new"
	echo 'flags +\Flagged,$Junk 1:5' > "$INBOX/.mailtree/ctl"
	status 0 mailtree check "$mnt"
	grep -q '^2 mailboxes, 37 messages, 0 violations$' "$scratch/said" || fail "$(cat "$scratch/said")"
	status 0 mailtree check "$mnt/Archive"
	grep -q '^1 mailboxes, 3 messages, 0 violations$' "$scratch/said" || fail "$(cat "$scratch/said")"
	status 2 mailtree check "$scratch/none"
	status 2 mailtree check
}

t_check_of_a_read_only_mount()
{
	fill INBOX 1 4
	mount_own -o ro
	status 0 mailtree check "$own"
	umount_own
	grep -q '4 messages, 0 violations' "$scratch/said" || fail "$(cat "$scratch/said")"
}

t_check_while_mail_comes_and_goes()
{
	fill INBOX 1 300
	(
		for i in $(seq 301 360); do
			letter "$i" > "$INBOX/x$i"
			rm -f "$INBOX/$((i - 300)).eml"
			echo "flags +\\Seen $((i - 200))" > "$INBOX/.mailtree/ctl"
		done
	) &
	for _ in 1 2 3; do status 0 mailtree check "$mnt"; done
	wait
	status 0 mailtree check "$mnt"
}

t_check_of_a_store()
{
	fill INBOX 1 5
	mount_own
	ls "$own/INBOX" > /dev/null
	umount_own
	status 0 mailtree check "$store"
	status 0 mailtree check "maildir:$store"
	status 2 mailtree check "$scratch/nothing/here"
}

# lied KIND NAME WORDS: check finds it and says so
lied()
{
	local got=0
	LD_PRELOAD=$scratch/lie.so MT_LIE=$1:$2 ASAN_OPTIONS=verify_asan_link_order=0 \
	    "$build/mailtree" check "$mnt" > "$scratch/said" 2>&1 || got=$?
	[ "$got" = 1 ] || fail "$1 of $2: exit status $got: $(cat "$scratch/said")"
	grep -q "$3" "$scratch/said" || fail "$1 of $2: $(cat "$scratch/said")"
}

t_check_finds_what_is_wrong()
{
	fill INBOX 1 5
	cc -shared -fPIC -O1 -o "$scratch/lie.so" "${here}/lie.c" -ldl
	lied octet 3.eml '3.eml: S1: does not end in CRLF'
	lied octet 3.eml '3.eml: wire has other octets'
	lied short 3.eml '3.eml: S2: '
	lied size 3.eml '3.eml: S2: stat says'
	lied date 3.eml '3.eml: date'
	lied octet wire 'wire has other octets'
	lied short .mailbox '.mailbox: S2: '
	lied hide 3.eml '4 messages listed, 5 in the index'
	status 0 mailtree check "$mnt"
}

t_usage()
{
	local verb
	mailtree version | grep -q '^mailtree [0-9]' || fail "version"
	mailtree version | grep -q 'fuse3 *3' || fail "libfuse's version"
	for verb in mount umount serve passwd config check version help; do
		mailtree help | grep -q "^  $verb " || fail "help does not list $verb"
		mailtree help "$verb" | grep -q "^usage: mailtree $verb" || fail "help $verb"
	done
	status 2 mailtree
	status 2 mailtree nonsense
	status 2 mailtree help nonsense
	grep -q nonsense "$scratch/said" || fail "does not name the verb"
}

run_tests "$@"
