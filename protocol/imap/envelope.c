#include "protocol/imap/envelope.h"

#include "protocol/imap/print.h"

static int
print_address(const struct address *a, struct buf *b)
{
	return buf_addc(b, '(') == -1 || imap_print_text(b, a->name) == -1 ||
	               buf_addc(b, ' ') == -1 || imap_print_nstring(b, a->adl) == -1 ||
	               buf_addc(b, ' ') == -1 ||
	               imap_print_nstring(b, a->mailbox) == -1 ||
	               buf_addc(b, ' ') == -1 || imap_print_nstring(b, a->host) == -1 ||
	               buf_addc(b, ')') == -1
	           ? -1
	           : 0;
}

/* A list that is empty is the other one: From, for Sender and Reply-To. */
static int
print_list(const struct address_list *list, const struct address_list *other,
           struct buf *b)
{
	const struct address *a = list->first;

	if (a == NULL && other != NULL)
		a = other->first;
	if (a == NULL)
		return buf_add(b, SPAN(" NIL"));
	if (buf_add(b, SPAN(" (")) == -1)
		return -1;
	for (; a != NULL; a = a->next)
		if (print_address(a, b) == -1)
			return -1;
	return buf_addc(b, ')');
}

static int
print(const struct envelope *e, struct buf *b)
{
	if (buf_addc(b, '(') == -1 || imap_print_nstring(b, e->date) == -1 ||
	    buf_addc(b, ' ') == -1 || imap_print_text(b, e->subject) == -1)
		return -1;
	if (print_list(&e->from, NULL, b) == -1 ||
	    print_list(&e->sender, &e->from, b) == -1 ||
	    print_list(&e->reply_to, &e->from, b) == -1 ||
	    print_list(&e->to, NULL, b) == -1 || print_list(&e->cc, NULL, b) == -1 ||
	    print_list(&e->bcc, NULL, b) == -1)
		return -1;
	if (buf_addc(b, ' ') == -1 || imap_print_nstring(b, e->in_reply_to) == -1 ||
	    buf_addc(b, ' ') == -1 || imap_print_nstring(b, e->message_id) == -1)
		return -1;
	return buf_addc(b, ')');
}

int
envelope_print(const struct envelope *e, struct buf *b)
{
	static const struct envelope none;
	size_t was = b->n;

	if (print(e != NULL ? e : &none, b) == 0)
		return 0;
	b->n = was;
	return -1;
}
