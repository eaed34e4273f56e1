#!/bin/bash
# limit: 200
# test_mbox.sh [NAME...]: what a mounted store of mboxes has to itself, and what is in its files
# afterwards. The verbs themselves: test_shell_mbox.sh.
STORE=mbox
. "$(dirname "$0")/lib.sh"

# box FILE FIRST LAST [PREFIX]: letters as another program would have appended them
box()
{
	mkdir -p "$(dirname "$1")"
	fill_mbox "$@" >> "$1"
}

froms()		# FILE: how many messages other programs find there
{
	grep -c '^From ' "$1" || true
}

t_reading_leaves_the_file_alone()
{
	box "$store/inbox" 1 20
	touch -d @1600000000 "$store/inbox"
	before=$(stat -c '%Y %Z %s' "$store/inbox"; md5sum < "$store/inbox")
	same 20 "$(count "$INBOX")" messages
	wire_letter 7 | cmp - "$INBOX/7.eml"
	same "$(wire_letter 7 | wc -c)" "$(stat -c %s "$INBOX/7.eml")" "size"
	same 1500000007 "$(stat -c %Y "$INBOX/7.eml")" "date"
	tar -C "$mnt" -cf all.tar INBOX
	mount_stop
	mount_start
	wire_letter 20 | cmp - "$INBOX/20.eml"
	same "$before" "$(stat -c '%Y %Z %s' "$store/inbox"; md5sum < "$store/inbox")" "the file"
}

t_cp_appends()
{
	box "$store/inbox" 1 2
	same 2 "$(count "$INBOX")" before
	letter new > new
	touch -d @1234567890 new
	cp -p new "$INBOX/"
	same 3 "$(count "$INBOX")" after
	same 3 "$(froms "$store/inbox")" "in the file"
	wire_letter new | cmp - "$INBOX/3.eml"
	same 1234567890 "$(stat -c %Y "$INBOX/3.eml")" "date"
	grep -q '^From MAILER-DAEMON Fri Feb 13 23:31:30 2009$' "$store/inbox"
	box "$store/inbox" 4 4
	same "1 2 4 new " "$(subjects "$INBOX")" "and somebody else"
}

t_rm_expunges()
{
	box "$store/inbox" 1 10
	same 10 "$(count "$INBOX")" before
	rm "$INBOX/1.eml" "$INBOX/5.eml" "$INBOX/10.eml"
	same 7 "$(froms "$store/inbox")" "in the file"
	same "2 3 4 6 7 8 9 " "$(subjects "$INBOX")" left
	letter next | cat > "$INBOX/x"
	[ -e "$INBOX/11.eml" ]		# never 10 again
	rm "$INBOX"/*.eml
	same 0 "$(stat -c %s "$store/inbox")" "nothing is left"
	letter last | cat > "$INBOX/x"
	[ -e "$INBOX/12.eml" ]
}

t_flags_are_in_the_usual_fields()
{
	box "$store/inbox" 1 3
	echo 'flags +\Seen,\Flagged,Later 2' > "$INBOX/.mailtree/ctl"
	same 3 "$(grep -c '^X-UID: [123] ' "$store/inbox")" X-UID
	same 1 "$(grep -c '^X-IMAPbase: [0-9]* 0000000003' "$store/inbox")" X-IMAPbase
	grep -q '^Status: R' "$store/inbox"
	grep -q '^X-Status: F' "$store/inbox"
	grep -q '^X-Keywords: Later' "$store/inbox"
	wire_letter 2 | cmp - "$INBOX/2.eml"
	size=$(stat -c %s "$store/inbox")
	echo 'flags =\Answered 2' > "$INBOX/.mailtree/ctl"
	same "$size" "$(stat -c %s "$store/inbox")" "changed in place"
	mount_stop
	rm -r "$scratch/index"
	mount_start
	grep -q '^ *2 .* --R-- ' "$INBOX/.mailbox"
}

t_others_rewrite_it()
{
	box "$store/inbox" 1 3
	same 3 "$(count "$INBOX")" before
	box "$scratch/out/new" 1 1
	box "$scratch/out/new" 3 4
	cp "$scratch/out/new" "$store/inbox"
	same "1.eml 3.eml 4.eml " "$(ls "$INBOX" | tr '\n' ' ')" "who stays keeps the UID"
	wire_letter 3 | cmp - "$INBOX/3.eml"
}

t_mailboxes_are_files()
{
	box "$store/inbox" 1 2
	box "$store/Lists/c" 1 3 c
	: > "$store/.hidden"; : > "$store/inbox.lock"
	same "INBOX Lists " "$(ls "$mnt" | tr '\n' ' ')" top
	same "c1 c2 c3 " "$(subjects "$mnt/Lists/c")" Lists/c
	rm "$store/inbox.lock"
	mkdir "$mnt/Archive"
	[ -f "$store/Archive" ]
	mv "$INBOX/1.eml" "$mnt/Archive/"
	same "1 " "$(subjects "$mnt/Archive")" moved
	same "2 " "$(subjects "$INBOX")" left
	refused "not supported" mkdir "$mnt/Archive/sub"
	refused "not empty" rmdir "$mnt/Archive"
	mv "$mnt/Archive" "$mnt/Lists/Grüße"
	[ -f "$store/Lists/Gr&APwA3w-e" ]
	same "1 " "$(subjects "$mnt/Lists/Grüße")" renamed
	rm -r "$mnt/Lists/Grüße"
	[ ! -e "$store/Lists/Gr&APwA3w-e" ]
}

t_a_file_of_its_own()
{
	mount_stop
	box "$scratch/out/mail" 1 5
	location=$scratch/out/mail mount_start
	same "INBOX" "$(ls "$mnt")" "one mailbox"
	same "1 2 3 4 5 " "$(subjects "$INBOX")" letters
	rm "$INBOX/2.eml"
	same 4 "$(froms "$scratch/out/mail")" "in the file"
}

t_an_inbox_elsewhere()
{
	mount_stop
	mkdir "$scratch/out/spool"
	box "$scratch/out/spool/me" 1 2
	box "$store/Sent" 3 3
	box "$store/INBOX" 4 4
	location=mbox:$store:INBOX=$scratch/out/spool/me mount_start
	same "INBOX Sent " "$(ls "$mnt" | tr '\n' ' ')" top
	same "1 2 " "$(subjects "$INBOX")" INBOX
	mv "$INBOX/1.eml" "$mnt/Sent/"
	same 1 "$(froms "$scratch/out/spool/me")" "in the spool"
	same 2 "$(froms "$store/Sent")" "in Sent"
}

t_from_lines_come_back()
{
	printf 'Subject: x\n\nFrom here\n>From there\nFrom a@b Thu Nov 29 22:33:52 2001\n' > x
	cp x "$INBOX/"
	same 1 "$(count "$INBOX")" "delivered, since a look at the mailbox waits for that"
	same 1 "$(froms "$store/inbox")" "quoted"
	sed 's/$/\r/' x | cmp - "$INBOX/1.eml"
	mkdir "$mnt/A"
	mv "$INBOX/1.eml" "$mnt/A/"
	sed 's/$/\r/' x | cmp - "$mnt/A/1.eml"
}

t_what_is_no_mbox_is_refused()
{
	echo "some notes" > "$store/notes"
	refused "Input/output error" ls "$mnt/notes"
	same "some notes" "$(cat "$store/notes")" "the file"
}

run_tests "$@"
