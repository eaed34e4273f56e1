#include "protocol/imap/print.h"

#include <errno.h>

/* What stands for NUL, as Dovecot has it: U+FFFD. */
static const struct span nul = {"\xef\xbf\xbd", 3};

static bool
blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* May it be between quotes? NUL, line ends and octets from 128 on may not. */
static bool
quotable(struct span s)
{
	if (s.n > IMAP_QUOTED_MAX)
		return false;
	for (size_t i = 0; i < s.n; i++)
		if ((signed char)s.p[i] <= 0 || s.p[i] == '\r' || s.p[i] == '\n')
			return false;
	return true;
}

static int
print_quoted(struct buf *b, struct span s)
{
	char *p = buf_room(b, 2 + 2 * s.n);

	if (p == NULL)
		return -1;
	*p++ = '"';
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] == '"' || s.p[i] == '\\')
			*p++ = '\\';
		*p++ = s.p[i];
	}
	*p++ = '"';
	b->n = (size_t)(p - b->p);
	return 0;
}

static int
print_literal(struct buf *b, struct span s)
{
	size_t was = b->n, nuls = 0;
	struct span piece;

	for (size_t i = 0; i < s.n; i++)
		nuls += s.p[i] == '\0';
	if (buf_addf(b, "{%zu}\r\n", s.n + nuls * (nul.n - 1)) == -1)
		return -1;
	while (s.n > 0) {
		const char *end = nuls > 0 ? memchr(s.p, '\0', s.n) : NULL;

		piece = (struct span){s.p, end != NULL ? (size_t)(end - s.p) : s.n};
		if (buf_add(b, piece) == -1 || (end != NULL && buf_add(b, nul) == -1)) {
			b->n = was;
			return -1;
		}
		s = span_from(s, end != NULL ? piece.n + 1 : piece.n);
	}
	return 0;
}

int
imap_print_string(struct buf *b, struct span s)
{
	return quotable(s) ? print_quoted(b, s) : print_literal(b, s);
}

int
imap_print_nstring(struct buf *b, struct span s)
{
	return s.p == NULL ? buf_add(b, SPAN("NIL")) : imap_print_string(b, s);
}

int
imap_print_text(struct buf *b, struct span s)
{
	struct buf text = {0};
	char *p;
	int r;

	if (s.p == NULL)
		return buf_add(b, SPAN("NIL"));
	if ((p = buf_room(&text, s.n > 0 ? s.n : 1)) == NULL)
		return -1;
	for (size_t i = 0; i < s.n; i++) {
		char c = blank(s.p[i]) ? ' ' : s.p[i];

		if (c != ' ' || (text.n > 0 && p[text.n - 1] != ' '))
			p[text.n++] = c;
	}
	if (text.n > 0 && p[text.n - 1] == ' ')
		text.n--;
	r = imap_print_string(b, buf_span(&text));
	buf_free(&text);
	return r;
}
