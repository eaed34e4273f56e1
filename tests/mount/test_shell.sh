#!/bin/bash
# limit: 200
# Every shell verb on a real mount. test_shell_user.sh runs the same as an ordinary user,
# test_shell_mbox.sh (or STORE=mbox) on a store of mboxes.
. "$(dirname "$0")/lib.sh"

t_cat_gives_wire_bytes()
{
	fill INBOX 1 3
	same 3 "$(count "$INBOX")" messages
	for i in 1 2 3; do
		wire_letter "$i" | cmp - "$INBOX/$i.eml"
	done
}

t_wc_and_stat_agree()
{
	fill INBOX 1 20
	for i in $(seq 1 20); do
		want=$(wire_letter "$i" | wc -c)
		same "$want" "$(stat -c %s "$INBOX/$i.eml")" "stat $i"
		same "$want" "$(wc -c < "$INBOX/$i.eml")" "wc $i"
		same "$(((want + 511) / 512))" "$(stat -c %b "$INBOX/$i.eml")" "blocks of $i"
		same $((1500000000 + i)) "$(stat -c %Y "$INBOX/$i.eml")" "date of $i"
	done
}

t_ls_shows_the_tree()
{
	store_folder Archive$leaf
	store_folder Archive/2024
	fill INBOX 1 2
	fill Archive/2024 1 1
	same "Archive INBOX " "$(ls "$mnt" | tr '\n' ' ')" top
	same ". .. .mailbox 1.eml 2.eml " "$(ls -a "$INBOX" | tr '\n' ' ')" "ls -a INBOX"
	same "2024 ${leaf:+Own }" "$(ls "$mnt/Archive" | tr '\n' ' ')" Archive
	ls -lR "$mnt" > /dev/null
	same 700 "$(stat -c %a "$mnt/INBOX")" "mode of a mailbox"
	same 1 "$(stat -c %h "$mnt/INBOX")" "link count of a directory"
	same "$(id -u)" "$(stat -c %u "$INBOX/1.eml")" owner
	[ -d "$INBOX/.mailtree" ]
}

t_grep_finds()
{
	store_folder Work
	fill INBOX 1 30
	fill Work 1 30 w
	same "$mnt/Work/17.eml" "$(grep -rl 'letter w17\.' "$mnt")" "grep -r"
	same 60 "$(grep -r '^Subject: letter' "$mnt" | wc -l)" "lines found"
}

t_find_sees_every_message()
{
	store_folder A/B
	fill INBOX 1 25
	fill A/B 1 25
	same 50 "$(find "$mnt" -name '*.eml' -type f | wc -l)" "find -name"
	same 4 "$(find "$mnt" -type d | wc -l)" "find -type d"
	same "$INBOX/5.eml" "$(find "$INBOX" -newermt @1500000004 ! -newermt @1500000005 -name '*.eml')" \
	    "find by date"
	find "$INBOX" -name '1?.eml' -delete
	same 15 "$(count "$INBOX")" "after find -delete"
}

t_du_counts_octets()
{
	fill INBOX 1 10
	want=$(cat "$INBOX"/*.eml | wc -c)
	got=$(find "$INBOX" -name '*.eml' -print0 | du -cb --files0-from=- | tail -1 | cut -f1)
	same "$want" "$got" "du -b"
	df "$mnt" > /dev/null
}

t_tar_out()
{
	store_folder Sub
	fill INBOX 1 40
	fill Sub 1 5
	tar -C "$mnt" -cf all.tar INBOX Sub
	mkdir x
	tar -C x -xf all.tar
	diff -r "$mnt" x
	same 47 "$(find x -type f | wc -l)" "files in the archive"
}

t_cp_out()
{
	fill INBOX 1 10
	cp -p "$INBOX"/*.eml .
	for i in $(seq 1 10); do
		cmp "$INBOX/$i.eml" "$i.eml"
		same $((1500000000 + i)) "$(stat -c %Y "$i.eml")" "date of copy $i"
	done
	cp -a "$mnt" all
	diff -r "$mnt" all
}

t_cp_in_delivers()
{
	letter a > a.eml
	letter b | sed 's/$/\r/' > b.eml
	cp a.eml b.eml "$INBOX/"
	same 2 "$(count "$INBOX")" messages
	wire_letter a | cmp - "$INBOX/1.eml"
	wire_letter b | cmp - "$INBOX/2.eml"
	same 2 "$(stored INBOX)" "messages in the store"
}

t_cp_p_keeps_the_date()
{
	letter old > old.eml
	touch -d '2001-02-03 04:05:06 UTC' old.eml
	cp -p old.eml "$INBOX/"
	same 1 "$(count "$INBOX")" messages
	same 981173106 "$(stat -c %Y "$INBOX/1.eml")" "date of 1.eml"
	grep -q ' 981173106 ' "$INBOX/.mailbox"
	same "981173106 " "$(stored_dates INBOX)" "date in the store"
}

t_cp_takes_the_next_uid()
{
	fill INBOX 1 3
	count "$INBOX" > /dev/null
	letter new > 7.eml
	cp 7.eml "$INBOX/"
	same "1.eml 2.eml 3.eml 4.eml " "$(ls "$INBOX" | tr '\n' ' ')" listing
	wire_letter new | cmp - "$INBOX/4.eml"
	[ ! -e "$INBOX/7.eml" ]
}

t_rm_expunges()
{
	fill INBOX 1 10
	rm "$INBOX/3.eml" "$INBOX/10.eml"
	same 8 "$(count "$INBOX")" messages
	[ ! -e "$INBOX/3.eml" ]
	same 8 "$(stored INBOX)" "messages in the store"
	letter next > next
	cp next "$INBOX/"
	[ -e "$INBOX/11.eml" ]		# never 10 again
	[ ! -e "$INBOX/10.eml" ]
	refused "No such file" rm "$INBOX/12.eml"
}

t_rm_r_removes_a_mailbox()
{
	store_folder Old$leaf
	store_folder Old/Older
	fill Old$leaf 1 200
	fill Old/Older 1 5
	rm -r ${leaf:+-f} "$mnt/Old"	# what is no mailbox goes with the last one in it
	[ ! -e "$mnt/Old" ]
	not_stored Old$leaf
	not_stored Old/Older
}

t_rmdir_wants_it_empty()
{
	store_folder Box
	fill Box 1 1
	refused "not empty" rmdir "$mnt/Box"
	same 1 "$(count "$mnt/Box")" "still there"
	rm "$mnt/Box/1.eml"
	rmdir "$mnt/Box"
	not_stored Box
	refused "busy" rmdir "$INBOX"
	store_parents P/C
	mkdir -p "$mnt/P/C"
	refused "not empty" rmdir "$mnt/P"
	rmdir "$mnt/P/C" ${leaf:+"$mnt/P$leaf"}
	[ -n "$leaf" ] || rmdir "$mnt/P"
	[ ! -e "$mnt/P" ]
}

t_mkdir_makes_mailboxes()
{
	mkdir "$mnt/New"
	store_parents a/b/c
	mkdir -p "$mnt/a/b/c"
	is_stored New
	is_stored a/b/c
	refused "File exists" mkdir "$mnt/New"
	letter x | cat > "$mnt/a/b/c/x"
	same 1 "$(count "$mnt/a/b/c")" "delivered into a new mailbox"
	mkdir "$mnt/Grüße & mehr"
	is_stored "Gr&APwA3w-e &- mehr"
	[ -d "$mnt/Grüße & mehr" ]
}

t_mv_renames_mailboxes()
{
	store_parents One/Sub
	store_parents Two/Uno
	mkdir -p "$mnt/One/Sub" "$mnt/Two"
	letter 1 | cat > "$mnt/One$leaf/x"
	letter 2 | cat > "$mnt/One/Sub/x"
	mv "$mnt/One" "$mnt/Uno"
	[ ! -e "$mnt/One" ]
	same "1 " "$(subjects "$mnt/Uno$leaf")" "message moved along"
	same "2 " "$(subjects "$mnt/Uno/Sub")" "child moved along"
	mv "$mnt/Uno" "$mnt/Two/"
	same "2 " "$(subjects "$mnt/Two/Uno/Sub")" "child two levels down"
	is_stored Two/Uno/Sub
	not_stored One
	not_stored Uno
	refused "" mv "$INBOX" "$mnt/Elsewhere"
	[ -d "$INBOX" ]
}

t_mv_moves_messages()
{
	store_folder Archive
	fill INBOX 1 5
	date=$(stat -c %Y "$INBOX/2.eml")
	mv "$INBOX/2.eml" "$mnt/Archive/"
	same "1 3 4 5 " "$(subjects "$INBOX")" INBOX
	same "2 " "$(subjects "$mnt/Archive")" Archive
	same "1.eml" "$(ls "$mnt/Archive")" "its UID there"
	same "$date" "$(stat -c %Y "$mnt/Archive/1.eml")" "its date"
}

t_mv_keeps_flags()
{
	store_folder Archive
	fill INBOX 1 1
	echo 'flags +\Seen,\Flagged,Later 1' > "$INBOX/.mailtree/ctl"
	mv "$INBOX/1.eml" "$mnt/Archive/"
	grep -q '^ *1 .* -F-S- ' "$mnt/Archive/.mailbox"
	grep -q ' Later ' "$mnt/Archive/.mailbox"
}

t_mv_fifty_onto_fifty()
{
	store_folder Archive
	fill INBOX 1 50 i
	fill Archive 1 50 a
	same 50 "$(count "$mnt/Archive")" before
	mv "$INBOX"/*.eml "$mnt/Archive/"
	same 0 "$(count "$INBOX")" "left in INBOX"
	same 100 "$(count "$mnt/Archive")" "in Archive"
	same 100 "$(subjects "$mnt/Archive" | wc -w)" "distinct letters"
	for i in 1 25 50; do
		wire_letter "a$i" | cmp - "$mnt/Archive/$i.eml"
	done
	same 100 "$(stored Archive)" "in the store"
}

t_cp_fifty_through_new()
{
	store_folder Archive
	fill INBOX 1 50 i
	fill Archive 1 50 a
	same 50 "$(count "$mnt/Archive")" before
	cp "$INBOX"/*.eml "$mnt/Archive/.mailtree/new/"
	same 50 "$(count "$INBOX")" "still in INBOX"
	same 100 "$(count "$mnt/Archive")" "in Archive"
	same "" "$(ls -A "$mnt/Archive/.mailtree/new")" ".mailtree/new"
	for i in 1 25 50; do
		wire_letter "a$i" | cmp - "$mnt/Archive/$i.eml"
	done
	same 100 "$(subjects "$mnt/Archive" | wc -w)" "distinct letters"
}

t_mv_in_and_out()
{
	letter in > in.eml
	touch -d @1234567890 in.eml
	mv in.eml "$INBOX/"
	[ ! -e in.eml ]
	same 1234567890 "$(stat -c %Y "$INBOX/1.eml")" "date of a message moved in"
	mv "$INBOX/1.eml" out.eml
	wire_letter in | cmp - out.eml
	same 0 "$(count "$INBOX")" "after moving it out"
}

t_redirections_deliver()
{
	letter a > a
	letter b > b
	cat a > "$INBOX/f"
	same 1 "$(count "$INBOX")" "cat a > f"
	{ cat a; cat b; } > "$INBOX/g"
	same 2 "$(count "$INBOX")" "{ cat a; cat b; } > g"
	cat a b | sed 's/$/\r/' | cmp - "$INBOX/2.eml"
	cat a >> "$INBOX/h"
	same 3 "$(count "$INBOX")" "cat a >> h"
	letter c | tee "$INBOX/i" > /dev/null
	wire_letter c | cmp - "$INBOX/4.eml"
	dd if=a of="$INBOX/j" bs=7 2> /dev/null
	wire_letter a | cmp - "$INBOX/5.eml"
	( cat a; sleep 0.3; cat b ) > "$INBOX/k"
	cat a b | sed 's/$/\r/' | cmp - "$INBOX/6.eml"
}

t_nothing_is_delivered_before_the_last_close()
{
	exec 7> "$INBOX/slow"
	letter 1 >&7
	same 0 "$(count "$INBOX")" "while open"
	letter 2 >&7
	same 0 "$(count "$INBOX")" "while still open"
	exec 7>&-
	same 1 "$(count "$INBOX")" "after the close"
	{ letter 1; letter 2; } | sed 's/$/\r/' | cmp - "$INBOX/1.eml"
}

t_empty_files_are_drafts()
{
	: > "$INBOX/note"
	[ -e "$INBOX/note" ]
	same 0 "$(count "$INBOX")" "an empty file is no message"
	letter n > "$INBOX/note"
	same 1 "$(count "$INBOX")" "once it has bytes"
	: > "$INBOX/gone"
	rm "$INBOX/gone"
	[ ! -e "$INBOX/gone" ]
	letter d > "$INBOX/.hidden"
	same 1 "$(count "$INBOX")" "a name with a dot waits"
	letter e >> "$INBOX/.hidden"
	mv "$INBOX/.hidden" "$INBOX/shown"
	same 2 "$(count "$INBOX")" "delivered by the rename"
	{ letter d; letter e; } | sed 's/$/\r/' | cmp - "$INBOX/2.eml"
}

t_mktemp_and_mv()
{
	t=$(mktemp "$INBOX/.tmp.XXXXXX")
	letter a > "$t"
	mv "$t" "$INBOX/final.eml"
	same 1 "$(count "$INBOX")" "mktemp with a dot"
	t=$(mktemp "$INBOX/msg.XXXXXX")
	letter b > "$t"
	mv "$t" "$INBOX/other.eml"
	same 2 "$(count "$INBOX")" "mktemp without a dot"
	same "a b " "$(subjects "$INBOX")" letters
}

t_install_delivers()
{
	letter a > a.eml
	install -m 644 a.eml "$INBOX/b.eml"
	install -p -m 600 a.eml "$INBOX/.mailtree/new/"
	same 2 "$(count "$INBOX")" messages
	wire_letter a | cmp - "$INBOX/2.eml"
}

t_aliases_work_for_a_while()
{
	letter a > "$INBOX/written"
	chmod 644 "$INBOX/written"
	chown "$(id -u)" "$INBOX/written"
	touch -d @1300000000 "$INBOX/written"
	same "1.eml" "$(ls "$INBOX")" listing
	same 1300000000 "$(stat -c %Y "$INBOX/1.eml")" "date set through the alias"
	letter b > "$INBOX/second"
	mv "$INBOX/second" "$INBOX/third"
	same "1.eml 2.eml " "$(ls "$INBOX" | tr '\n' ' ')" "after renaming an alias"
}

moved()		# regular files that an rsync from the mount to `copy` transfers
{
	rsync -a --out-format=%n "$@" "$mnt/" copy/ | grep -v '/$' | sort | tr '\n' ' '
}

t_rsync_out_is_incremental()
{
	store_folder Archive
	fill INBOX 1 100
	fill Archive 1 30
	same 132 "$(moved | wc -w)" "first run"
	diff -r "$mnt" copy
	same "" "$(moved)" "second run"
	sleep 1.1
	echo 'flags +\Seen 1:50' > "$INBOX/.mailtree/ctl"
	same "INBOX/.mailbox " "$(moved)" "after flag changes"
	same "" "$(moved)" "and again"
	mount_stop
	mount_start
	same "" "$(moved)" "after a remount"
	rm "$INBOX/1.eml"
	sleep 1.1
	moved --delete > /dev/null
	diff -r "$mnt" copy
}

t_rsync_in_delivers()
{
	mkdir in
	for i in $(seq 1 25); do
		letter "$i" > "in/$i-letter.eml"
		touch -d "@$((1400000000 + i))" "in/$i-letter.eml"
	done
	rsync -a in/ "$mnt/INBOX/"
	same 25 "$(count "$INBOX")" messages
	same 25 "$(subjects "$INBOX" | wc -w)" letters
	same 1400000001 "$(stat -c %Y "$INBOX"/*.eml | sort -n | head -1)" "oldest date"
	same 1400000025 "$(stat -c %Y "$INBOX"/*.eml | sort -n | tail -1)" "newest date"
}

t_rsync_in_of_a_tree()
{
	store_parents Lists/c
	mkdir -p in/Lists/c "in/Lists$leaf"
	letter 1 > "in/Lists$leaf/one"
	letter 2 > in/Lists/c/two
	rsync -a in/ "$mnt/"
	same "1 " "$(subjects "$mnt/Lists$leaf")" Lists
	same "2 " "$(subjects "$mnt/Lists/c")" Lists/c
}

t_flags_by_ctl()
{
	fill INBOX 1 5
	echo 'flags +\Seen,\Answered 1:3' > "$INBOX/.mailtree/ctl"
	echo 'flags -\Answered 2' > "$INBOX/.mailtree/ctl"
	echo 'flags =$Junk 5' > "$INBOX/.mailtree/ctl"
	same 'RS S RS - $Junk ' "$(stored_flags INBOX)" "in the store"
	[ "$kind" != maildir ] || same '0 $Junk' "$(cat "$store/dovecot-keywords")" dovecot-keywords
	refused "Invalid argument" bash -c "echo 'nonsense' > '$INBOX/.mailtree/ctl'"
}

t_ctl_copies_and_expunges()
{
	store_folder Archive
	fill INBOX 1 5
	echo 'copy 1:3 Archive' > "$INBOX/.mailtree/ctl"
	same "1 2 3 " "$(subjects "$mnt/Archive")" copied
	echo 'move 4 Archive' > "$INBOX/.mailtree/ctl"
	same "1 2 3 5 " "$(subjects "$INBOX")" "left in INBOX"
	exec 6<> "$INBOX/.mailtree/ctl"
	echo 'expunge 1,2,9' >&6
	same "expunged 1:2 ok " "$(cat <&6 | tr '\n' ' ')" "reply"
	exec 6>&-
	same "3 5 " "$(subjects "$INBOX")" "after expunge"
}

t_busy_mount_and_clean_end()
{
	fill INBOX 1 1
	exec 5< "$INBOX/1.eml"
	refused "busy" sh -c 'umount "$1" || fusermount3 -u "$1"' - "$mnt"
	wire_letter 1 | cmp - "$INBOX/1.eml"
	exec 5<&-
}

run_tests "$@"
