#include "storage/mime/words.h"

#include "storage/mime/decode.h"

/* What has been read of `=?charset?B?text?=`. */
enum { W_TEXT, W_EQUALS, W_CHARSET, W_ENCODING, W_ENCODED, W_MARK };

void
words_init(struct words *w)
{
	w->state = W_TEXT;
	w->after = w->done = w->fold = false;
	w->nheld = w->nblank = w->from = w->nready = 0;
	w->nname = 0;
	charset_begin(&w->text, SPAN(""));
}

void
words_drop(struct words *w)
{
	charset_drop(&w->text);
}

/* ---- text ------------------------------------------------------------------------------------ */

/* `ready` is empty before each octet that is looked at, and has room for whatever that
 * octet can set free: three octets for each that is held, at most. */
static void
put(struct words *w, struct span octets)
{
	w->nready =
	    (uint16_t)(w->nready + charset_push(&w->text, &octets, w->ready + w->nready,
	                                        sizeof w->ready - w->nready));
}

/* From here on in that charset; "": as it is. */
static void
change_charset(struct words *w, struct span name)
{
	if (span_caseeq(name, (struct span){w->name, w->nname}))
		return;
	w->nready = (uint16_t)(w->nready + charset_end(&w->text, w->ready + w->nready,
	                                               sizeof w->ready - w->nready));
	charset_begin(&w->text, name);
	w->nname = (uint8_t)name.n;
	memcpy(w->name, name.p, name.n);
}

static void
put_text(struct words *w, struct span octets)
{
	if (octets.n == 0)
		return;
	change_charset(w, SPAN(""));
	put(w, octets);
	w->after = false;
}

static void
put_blanks(struct words *w)
{
	put_text(w, (struct span){w->blank, w->nblank});
	w->nblank = 0;
}

/* ---- one encoded word -------------------------------------------------------------------------- */

static int
hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return -1;
}

/* RFC 2047 section 4.2, in place. */
static struct span
decode_q(char *p, size_t n)
{
	size_t to = 0;

	for (size_t i = 0; i < n; i++) {
		if (p[i] == '=' && n - i > 2 && hex(p[i + 1]) >= 0 &&
		    hex(p[i + 2]) >= 0) {
			p[to++] = (char)(hex(p[i + 1]) << 4 | hex(p[i + 2]));
			i += 2;
		} else
			p[to++] = p[i] == '_' ? ' ' : p[i];
	}
	return (struct span){p, to};
}

static struct span
decode_b(char *p, size_t n)
{
	char out[WORDS_MAX];
	struct span in = {p, n};
	struct decode d;
	size_t made;

	decode_init(&d, ENCODING_BASE64);
	made = decode_push(&d, &in, out, sizeof out);
	made += decode_end(&d, out + made, sizeof out - made);
	memcpy(p, out, made);
	return (struct span){p, made};
}

/* held is a whole one, and of the right form. */
static void
put_word(struct words *w)
{
	struct span rest = span_from((struct span){w->held, w->nheld}, 2);
	struct span spec, name = {0}, encoding;
	char *text;

	span_cut(&rest, '?', &spec);
	span_cut(&rest, '?', &encoding);
	span_cut(&spec, '*', &name); /* RFC 2231: a language behind it */
	text = w->held + (rest.p - w->held);
	rest = encoding.p[0] == 'B' || encoding.p[0] == 'b'
	           ? decode_b(text, rest.n - 2)
	           : decode_q(text, rest.n - 2);
	w->nblank = 0; /* only separates two words */
	change_charset(w, name);
	put(w, rest);
	w->after = true;
	w->nheld = 0;
	w->state = W_TEXT;
}

/* No word: what is held is text. */
static void
put_held(struct words *w)
{
	put_blanks(w);
	put_text(w, (struct span){w->held, w->nheld});
	w->nheld = 0;
	w->state = W_TEXT;
}

static bool
is_token(char c) /* RFC 2047 section 2 */
{
	return c > ' ' && c < 0x7f && strchr("()<>@,;:\"/[]?.=", c) == NULL;
}

/* A charset's name has octets that the grammar of tokens forbids, in ISO_8859-1:1987. */
static bool
is_name(char c)
{
	return is_token(c) || c == '.' || c == ':' || c == '(' || c == ')';
}

/* The state after c, W_TEXT when a word cannot have it there. */
static uint8_t
next_state(const struct words *w, char c)
{
	switch (w->state) {
	case W_EQUALS:
		return c == '?' ? W_CHARSET : W_TEXT;
	case W_CHARSET:
		if (c == '?')
			return w->nheld > 2 && w->nheld - 2 <= CHARSET_NAME_MAX
			           ? W_ENCODING
			           : W_TEXT;
		return is_name(c) ? W_CHARSET : W_TEXT;
	case W_ENCODING:
		if (c == '?')
			return w->held[w->nheld - 1] != '?' ? W_ENCODED : W_TEXT;
		return w->held[w->nheld - 1] == '?' &&
		               (c == 'B' || c == 'b' || c == 'Q' || c == 'q')
		           ? W_ENCODING
		           : W_TEXT;
	default: /* blanks do not belong there, and are seen */
		return c == '?' ? W_MARK : W_ENCODED;
	}
}

static void
plain_one(struct words *w, char c)
{
	if (c == '=') {
		w->held[w->nheld++] = c;
		w->state = W_EQUALS;
	} else if (w->after && (c == ' ' || c == '\t') && w->nblank < WORDS_MAX)
		w->blank[w->nblank++] = c;
	else {
		put_blanks(w);
		put_text(w, (struct span){&c, 1});
	}
}

static void
word_one(struct words *w, char c)
{
	uint8_t next;

	if (c == '\r' || c == '\n') { /* of a fold; the blank behind it is text */
		w->fold = c == '\n';
		return;
	}
	if (w->fold && c == '\t')
		c = ' ';
	w->fold = false;
	if (w->state == W_TEXT) {
		plain_one(w, c);
		return;
	}
	if (w->state == W_MARK && c == '=') {
		w->held[w->nheld++] = c;
		put_word(w);
		return;
	}
	next = w->nheld + 1 < WORDS_MAX ? next_state(w, c) : W_TEXT;
	if (next == W_TEXT) {
		put_held(w);
		plain_one(w, c);
	} else {
		w->held[w->nheld++] = c;
		w->state = next;
	}
}

/* ---- any number of octets ------------------------------------------------------------------------ */

static size_t
give_ready(struct words *w, char *out, size_t cap)
{
	size_t n = (size_t)(w->nready - w->from);

	n = n < cap ? n : cap;
	memcpy(out, w->ready + w->from, n);
	w->from = (uint16_t)(w->from + n);
	if (w->from == w->nready)
		w->from = w->nready = 0;
	return n;
}

/* Octets at the front that are text and the same in UTF-8. */
static size_t
plain_run(const struct words *w, struct span in)
{
	size_t n = 0;

	if (w->state != W_TEXT || w->after || w->fold || w->nname > 0)
		return 0;
	while (n < in.n && in.p[n] != '=' && in.p[n] != '\r' && in.p[n] != '\n')
		n++;
	return charset_plain(&w->text, (struct span){in.p, n});
}

size_t
words_push(struct words *w, struct span *in, char *out, size_t cap)
{
	size_t done = 0;

	for (;;) {
		size_t n;

		done += give_ready(w, out + done, cap - done);
		if (w->nready > 0 || in->n == 0 || done == cap)
			return done;
		n = plain_run(w, *in);
		n = n < cap - done ? n : cap - done;
		memcpy(out + done, in->p, n);
		done += n;
		*in = span_from(*in, n);
		if (in->n > 0 && done < cap) {
			word_one(w, *in->p);
			*in = span_from(*in, 1);
		}
	}
}

size_t
words_end(struct words *w, char *out, size_t cap)
{
	if (!w->done && w->nready == 0) {
		put_held(w);
		w->nready =
		    (uint16_t)(w->nready + charset_end(&w->text, w->ready + w->nready,
		                                       sizeof w->ready - w->nready));
		w->done = true;
	}
	return give_ready(w, out, cap);
}

int
words_text(struct span value, struct buf *out)
{
	struct words w;
	char room[512];
	size_t n;
	int rc = 0;

	words_init(&w);
	do {
		n = words_push(&w, &value, room, sizeof room);
		rc = buf_add(out, (struct span){room, n});
	} while (rc == 0 && n == sizeof room);
	while (rc == 0) {
		n = words_end(&w, room, sizeof room);
		rc = buf_add(out, (struct span){room, n});
		if (n < sizeof room)
			break;
	}
	words_drop(&w);
	return rc;
}
