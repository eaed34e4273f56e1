#include "storage/mime/charset.h"

#include <errno.h>
#include <iconv.h>
#include <strings.h>

#include "storage/base/buf.h"
#include "storage/mime/utf8.h"

/* ---- descriptors -------------------------------------------------------------------------- */

struct charset_slot {
	char
	    name[CHARSET_NAME_MAX + 1]; /* lower case, as iconv was asked; "": unused */
	iconv_t cd;
	bool ascii; /* an octet below 0x80 where a character begins is that character */
	bool busy;  /* some text is under way */
	bool keep;  /* it could perhaps not be opened again */
	uint32_t used; /* when it was last begun, so that the oldest makes room */
};

static struct {
	struct charset_slot slot[CHARSET_OPEN_MAX];
	uint32_t clock;
} open_ones;

/*
 * What mail calls one charset and means another, mostly a larger one that has all of the
 * first (as browsers read them too).
 */
static const struct {
	const char *name, *is;
} aliases[] = {
    {"big5", "big5-hkscs"},
    {"cp-850", "cp850"},
    {"euc-kr", "cp949"},
    {"gb2312", "gb18030"},
    {"gb_2312-80", "gb18030"},
    {"gbk", "gb18030"},
    {"iso-8859-1", "cp1252"},
    {"iso-8859-8-e", "iso-8859-8"},
    {"iso-8859-8-i", "iso-8859-8"},
    {"iso-8859-9", "cp1254"},
    {"iso8859-1", "cp1252"},
    {"ks_c_5601-1987", "cp949"},
    {"latin1", "cp1252"},
    {"shift-jis", "cp932"},
    {"shift_jis", "cp932"},
    {"sjis", "cp932"},
    {"tis-620", "cp874"},
    {"unicode-1-1-utf-7", "utf-7"},
    {"windows-1252", "cp1252"},
    {"windows-1254", "cp1254"},
    {"windows-31j", "cp932"},
    {"windows-874", "cp874"},
    {"windows-949", "cp949"},
    {"x-gbk", "gb18030"},
    {"x-mac-roman", "macintosh"},
    {"x-sjis", "cp932"},
};

/* These need no conversion: what is not UTF-8 in them means nothing anyway. */
static const char *const plain_names[] = {
    "", "ansi_x3.4-1968", "ascii", "us-ascii", "utf-8", "utf8",
};

/* Lower case, and only what names are made of: iconv takes options behind slashes. */
static bool
clean_name(struct span name, char out[static CHARSET_NAME_MAX + 1])
{
	if (name.n > CHARSET_NAME_MAX)
		return false;
	for (size_t i = 0; i < name.n; i++) {
		char c = name.p[i];

		if (c >= 'A' && c <= 'Z')
			c = (char)(c - 'A' + 'a');
		if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
		      (c != '\0' && strchr("-_.:+()", c) != NULL)))
			return false;
		out[i] = c;
	}
	out[name.n] = '\0';
	return true;
}

static const char *
real_name(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(aliases); i++)
		if (strcmp(name, aliases[i].name) == 0)
			return aliases[i].is;
	return name;
}

static bool
is_plain(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(plain_names); i++)
		if (strcmp(name, plain_names[i]) == 0)
			return true;
	return false;
}

/*
 * Is ASCII at the beginning of a character always that, and out at once? Not where a shift
 * may come before it, nor where the converter waits whether what comes joins the character
 * before: it tells nobody that it does.
 */
static bool
has_ascii(iconv_t cd, const char *name)
{
	if (strstr(name, "hkscs") != NULL || strstr(name, "0213") != NULL ||
	    strstr(name, "2004") != NULL) /* they wait behind some of two octets */
		return false;
	for (int c = 0; c < 0x100; c++) {
		char in = (char)c, out[8] = {0}, *from = &in, *to = out;
		size_t nin = 1, nout = sizeof out;

		iconv(cd, NULL, NULL, NULL, NULL);
		iconv(cd, &from, &nin, &to, &nout);
		if (nin == 0 && to == out)
			return false;
		if (c < 0x80 && (nin > 0 || to != out + 1 || out[0] != c))
			return false;
	}
	return true;
}

static bool
open_slot(struct charset_slot *s, const char *name)
{
	iconv_t cd = iconv_open("UTF-8", name);

	if (cd == (iconv_t)-1)
		return false;
	if (s->name[0] != '\0')
		iconv_close(s->cd);
	*s = (struct charset_slot){.cd = cd, .ascii = has_ascii(cd, name)};
	memcpy(s->name, name, strlen(name) + 1);
	return true;
}

/* One that is unused or, failing that, the one longest unused; NULL: none can be spared. */
static struct charset_slot *
spare_slot(void)
{
	struct charset_slot *best = NULL;

	for (size_t i = 0; i < CHARSET_OPEN_MAX; i++) {
		struct charset_slot *s = &open_ones.slot[i];

		if (s->name[0] == '\0')
			return s;
		if (!s->busy && !s->keep && (best == NULL || s->used < best->used))
			best = s;
	}
	return best;
}

static struct charset_slot *
find_slot(const char *name)
{
	struct charset_slot *s;

	for (size_t i = 0; i < CHARSET_OPEN_MAX; i++) {
		s = &open_ones.slot[i];
		if (!s->busy && strcmp(s->name, name) == 0)
			return s;
	}
	s = spare_slot();
	return s != NULL && open_slot(s, name) ? s : NULL;
}

/* NULL: read it as UTF-8. *known: that is what it is. */
static struct charset_slot *
slot_of(struct span name, bool *known)
{
	char clean[CHARSET_NAME_MAX + 1];
	struct charset_slot *s;

	if (!clean_name(name, clean)) {
		*known = false;
		return NULL;
	}
	*known = true;
	if (is_plain(clean))
		return NULL;
	s = find_slot(real_name(clean));
	*known = s != NULL;
	return s;
}

void
charset_preload(void)
{
	static const char *const common[] = {
	    "big5-hkscs",  "cp1250",      "cp1251",      "cp1252",      "cp1253",
	    "cp1254",      "cp1255",      "cp1256",      "cp1257",      "cp1258",
	    "cp850",       "cp866",       "cp874",       "cp932",       "cp949",
	    "euc-jp",      "gb18030",     "iso-2022-jp", "iso-2022-kr", "iso-8859-10",
	    "iso-8859-13", "iso-8859-14", "iso-8859-15", "iso-8859-16", "iso-8859-2",
	    "iso-8859-3",  "iso-8859-4",  "iso-8859-5",  "iso-8859-6",  "iso-8859-7",
	    "iso-8859-8",  "koi8-r",      "koi8-u",      "macintosh",   "utf-16",
	    "utf-16be",    "utf-16le",    "utf-7",
	};

	_Static_assert(ARRAY_LEN(common) < CHARSET_OPEN_MAX,
	               "some are left for others");
	for (size_t i = 0; i < ARRAY_LEN(common); i++) {
		struct charset_slot *s = find_slot(common[i]);

		if (s != NULL) /* a system without it reads such mail as UTF-8 */
			s->keep = true;
	}
}

bool
charset_known(struct span name)
{
	bool known;

	slot_of(name, &known);
	return known && name.n > 0;
}

/* ---- one text ------------------------------------------------------------------------------- */

struct pump {
	struct charset *c;
	const char *in, *in_end;
	char *out, *out_end;
};

void
charset_begin(struct charset *c, struct span name)
{
	bool known;

	*c = (struct charset){.slot = slot_of(name, &known)};
	if (c->slot != NULL) {
		iconv(c->slot->cd, NULL, NULL, NULL, NULL);
		c->slot->busy = true;
		c->slot->used = ++open_ones.clock;
	}
}

void
charset_drop(struct charset *c)
{
	if (c->slot != NULL)
		c->slot->busy = false;
	c->slot = NULL;
	c->nheld = c->from = c->nready = 0;
}

size_t
charset_plain(const struct charset *c, struct span in)
{
	if (c->nheld > 0 || c->nready > 0 || (c->slot != NULL && !c->slot->ascii))
		return 0;
	return utf8_ascii(in);
}

static bool
give_ready(struct pump *p)
{
	struct charset *c = p->c;

	while (c->from < c->nready && p->out < p->out_end)
		*p->out++ = c->ready[c->from++];
	if (c->from < c->nready)
		return false;
	c->from = c->nready = 0;
	return true;
}

static void
make_ready(struct charset *c, const char *octets, size_t n)
{
	memcpy(c->ready + c->nready, octets, n);
	c->nready = (uint8_t)(c->nready + n);
}

static void
replace(struct charset *c)
{
	c->broken = true;
	make_ready(c, UTF8_REPLACEMENT, 3);
}

/* ---- UTF-8 ------------------------------------------------------------------------------------ */

/* Whole characters where they lie. */
static void
utf8_run(struct pump *p)
{
	struct span in = {p->in, (size_t)(p->in_end - p->in)};
	size_t room = (size_t)(p->out_end - p->out), n = utf8_ascii(in);
	uint32_t character;
	int one = 1;

	n = n < room ? n : room;
	while (n < in.n && (one = utf8_first(span_from(in, n), &character)) > 0 &&
	       n + (size_t)one <= room)
		n += (size_t)one;
	memcpy(p->out, p->in, n);
	p->in += n;
	p->out += n;
}

/* The first of what is held: 1 it was taken, 0 it waits for more. */
static int
utf8_held(struct charset *c)
{
	uint32_t character;
	int n = utf8_first((struct span){c->held, c->nheld}, &character);

	if (n == UTF8_MORE)
		return 0;
	if (n == UTF8_BAD) {
		replace(c);
		n = 1;
	} else
		make_ready(c, c->held, (size_t)n);
	c->nheld = (uint8_t)(c->nheld - n);
	memmove(c->held, c->held + n, c->nheld);
	return 1;
}

/* ---- iconv ------------------------------------------------------------------------------------ */

static void
iconv_run(struct pump *p)
{
	char *in = (char *)p->in;
	size_t nin = (size_t)(p->in_end - p->in), nout = (size_t)(p->out_end - p->out);

	if (nin > 0 && nout > 0) /* what stops it is seen again by iconv_held() */
		iconv(p->c->slot->cd, &in, &nin, &p->out, &nout);
	p->in = in;
}

/* As utf8_held(). */
static int
iconv_held(struct charset *c)
{
	char *in = c->held, *out = c->ready + c->nready;
	size_t nin = c->nheld, nout = sizeof c->ready - 3 - c->nready;
	size_t rc = iconv(c->slot->cd, &in, &nin, &out, &nout);
	bool moved = nin < c->nheld;

	c->nready = (uint8_t)(out - c->ready);
	if (rc == (size_t)-1 && !moved &&
	    (errno == EILSEQ || c->nheld == CHARSET_HELD_MAX)) {
		replace(c);
		in++;
		nin--;
		moved = true;
	}
	memmove(c->held, in, nin);
	c->nheld = (uint8_t)nin;
	return moved;
}

/* What the converter itself still holds. */
static void
iconv_last(struct charset *c)
{
	char *out = c->ready + c->nready;
	size_t nout = sizeof c->ready - c->nready;

	iconv(c->slot->cd, NULL, NULL, &out, &nout);
	c->nready = (uint8_t)(out - c->ready);
}

/* ---- any ---------------------------------------------------------------------------------------- */

static int
take_held(struct charset *c)
{
	return c->slot == NULL ? utf8_held(c) : iconv_held(c);
}

/*
 * As much as goes at once; what that leaves (a piece of a character, one that is none, one
 * too large for the room) is held and looked at octet by octet.
 */
size_t
charset_push(struct charset *c, struct span *in, char *out, size_t cap)
{
	struct pump p = {c, in->p, in->p == NULL ? NULL : in->p + in->n, out,
	                 out + cap};

	for (;;) {
		if (!give_ready(&p))
			break;
		if (c->nheld > 0 && take_held(c))
			continue;
		if (p.in == p.in_end || p.out == p.out_end)
			break;
		if (c->nheld == 0) {
			c->slot == NULL ? utf8_run(&p) : iconv_run(&p);
			if (p.in == p.in_end)
				break;
		}
		c->held[c->nheld++] = *p.in++;
	}
	in->n = (size_t)(p.in_end - p.in);
	in->p = p.in;
	return (size_t)(p.out - out);
}

size_t
charset_end(struct charset *c, char *out, size_t cap)
{
	struct pump p = {c, NULL, NULL, out, out + cap};

	while (give_ready(&p)) {
		if (c->nheld > 0) {
			if (!take_held(c)) { /* a character that stops short */
				replace(c);
				c->nheld--;
				memmove(c->held, c->held + 1, c->nheld);
			}
		} else {
			if (c->slot != NULL)
				iconv_last(c);
			if (c->nready == 0)
				break;
		}
	}
	if (p.out < p.out_end)
		charset_drop(c);
	return (size_t)(p.out - out);
}

int
charset_text(struct span name, struct span text, struct buf *out, bool *broken)
{
	struct charset c;
	char room[512];
	size_t n;
	int rc = 0;

	charset_begin(&c, name);
	do {
		n = charset_push(&c, &text, room, sizeof room);
		rc = buf_add(out, (struct span){room, n});
	} while (rc == 0 && n == sizeof room);
	while (rc == 0) {
		n = charset_end(&c, room, sizeof room);
		rc = buf_add(out, (struct span){room, n});
		if (n < sizeof room)
			break;
	}
	charset_drop(&c);
	if (broken != NULL)
		*broken = c.broken;
	return rc;
}
