/* text: what of a message can be read, at every cut. */
#include "storage/mime/text.h"

#include <stdlib.h>

#include "tests/unit/support/check.h"
#include "tests/unit/support/guard.h"

/* ---- a sink that writes down what comes --------------------------------------------------------- */

struct sheet {
	struct buf b;
	bool no_bodies;
	unsigned depth; /* of calls: a field or a body is open */
};

static void
write(struct sheet *s, struct span text)
{
	assert_int_equal(buf_add(&s->b, text), 0);
}

static bool
on_field(void *arg, enum text_place place, struct span name)
{
	struct sheet *s = arg;
	static const char marks[] = {'T', 'P', 'W'};

	assert_int_equal(s->depth++, 0);
	assert_int_equal(buf_addc(&s->b, marks[place]), 0);
	assert_int_equal(buf_addc(&s->b, ' '), 0);
	write(s, name);
	if (span_caseeq(name, SPAN("Unwanted"))) {
		write(s, SPAN("|"));
		s->depth--;
		return false;
	}
	write(s, SPAN("="));
	return true;
}

static void
on_text(void *arg, struct span utf8)
{
	struct sheet *s = arg;

	assert_int_equal(s->depth, 1);
	assert_true(utf8.n > 0);
	write(s, utf8);
}

static void
on_end(void *arg)
{
	struct sheet *s = arg;

	assert_int_equal(s->depth--, 1);
	write(s, SPAN("|"));
}

static bool
on_body(void *arg)
{
	struct sheet *s = arg;

	if (s->no_bodies)
		return false;
	assert_int_equal(s->depth++, 0);
	write(s, SPAN("["));
	return true;
}

static const struct text_sink sink = {NULL,    on_field, on_text, on_end,
                                      on_body, on_text,  on_end};

/* ---- messages ------------------------------------------------------------------------------------- */

static const struct {
	const char *in, *want;
} row[] = {
    {"", ""},
    {"\r\n", "[|"},
    {"\r\nbody\r\n", "[body\r\n|"},
    {"A: b\r\n", "T A=b|"},
    {"A: b", "T A=b|"},
    {"A", "T =A|"},
    {"A:", "T A=|"},
    {"A : b\r\n c\r\n\td\r\n\r\nx", "T A=b c d|[x|"},
    {"A:\r\n b\r\nUnwanted: x\r\n y\r\nC:d\r\n\r\n", "T A=b|T Unwanted|T C=d|[|"},
    {"no colon\r\n more\r\nA: b\r\n\r\n", "T =no colon more|T A=b|[|"},
    {" blank first\r\n\r\n", "T = blank first|[|"},
    {"A: b\r\n\rC: d\r\n\r\n", "T A=b|T C=d|[|"},
    {"A: b\n\nx\n", "T A=b|[x\n|"},
    {"S: =?utf-8?Q?=C3=A4?=\r\n =?utf-8?Q?b?=\r\n\r\n", "T S=\xc3\xa4"
                                                        "b|[|"},
    {"Content-Type: text/plain; charset=iso-8859-2\r\n\r\n\xb1 a \xb1",
     "T Content-Type=text/plain; charset=iso-8859-2|[\xc4\x85 a \xc4\x85|"},
    {"Content-Transfer-Encoding: base64\r\n\r\nYW\r\nJj",
     "T Content-Transfer-Encoding=base64|[abc|"},
    {"Content-Transfer-Encoding: quoted-printable\r\n\r\na=\r\nb=C3=A4=",
     "T Content-Transfer-Encoding=quoted-printable|[ab\xc3\xa4|"},
    {"Content-Transfer-Encoding: x\r\n\r\nabc", "T Content-Transfer-Encoding=x|"},
    /* the first counts */
    {"Content-Type: image/png\r\nContent-Type: text/plain\r\n\r\nabc",
     "T Content-Type=image/png|T Content-Type=text/plain|"},
    {"Content-Type: multipart/mixed; boundary=\"b c\"\r\n\r\npre\r\n--b c\r\nX: "
     "y\r\n\r\none\r\n"
     "--b c  \r\nContent-Type: image/x\r\n\r\ntwo\r\n--b c\r\n\r\nthree\r\n--b "
     "c--\r\npost",
     "T Content-Type=multipart/mixed; boundary=\"b c\"|P X=y|[one\r\n|P "
     "Content-Type=image/x|"
     "[three\r\n|"},
    {"Content-Type: multipart/mixed\r\n\r\n--\r\n\r\nabc",
     "T Content-Type=multipart/mixed|"},
    {"Content-Type: message/rfc822\r\n\r\nS: x\r\n\r\nabc",
     "T Content-Type=message/rfc822|W S=x|[abc|"},
    {"Content-Type: message/delivery-status\r\n\r\nS: x\r\n",
     "T Content-Type=message/delivery-status|[S: x\r\n|"},
    {"Content-Type: multipart/digest; boundary=b\r\n\r\n--b\r\n\r\nS: "
     "x\r\n\r\nabc\r\n--b\r\n"
     "Content-Type: text/plain\r\n\r\ndef\r\n--b--\r\n",
     "T Content-Type=multipart/digest; boundary=b|W S=x|[abc\r\n|P "
     "Content-Type=text/plain|"
     "[def\r\n|"},
    /* a boundary of the outer one ends the inner ones; lines that only look like one do not */
    {"Content-Type: multipart/mixed; boundary=o\r\n\r\n--o\r\nContent-Type: "
     "multipart/mixed; "
     "boundary=i\r\n\r\n--i\r\n\r\n-\r\n--\r\n--x\r\n-o\r\na--o\r\n--o\r\n\r\nz\r\n--"
     "i\r\nq",
     "T Content-Type=multipart/mixed; boundary=o|P Content-Type=multipart/mixed; "
     "boundary=i|"
     "[-\r\n--\r\n--x\r\n-o\r\na--o\r\n|[z\r\n--i\r\nq|"},
    /* a boundary within a header ends it */
    {"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nX: "
     "y\r\n--b\r\n\r\nz\r\n--b--",
     "T Content-Type=multipart/mixed; boundary=b|P X=y|[z\r\n|"},
    {"Content-Type: multipart/mixed; "
     "boundary=b\r\n\r\n--b\r\nContent-Transfer-Encoding: base64"
     "\r\n\r\nYWJj\r\n--b\r\nContent-Transfer-Encoding: "
     "quoted-printable\r\n\r\na=\r\n--b--\r\n",
     "T Content-Type=multipart/mixed; boundary=b|P "
     "Content-Transfer-Encoding=base64|[abc|"
     "P Content-Transfer-Encoding=quoted-printable|[a|"},
    {"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n--b\r\n--b",
     "T Content-Type="
     "multipart/mixed; boundary=b|"},
};

static void
push_in_steps(struct text *t, struct span in, size_t step)
{
	text_begin(t);
	while (in.n > 0) {
		struct span piece = {in.p, in.n < step ? in.n : step};

		assert_int_equal(text_push(t, piece), 0);
		in = span_from(in, piece.n);
	}
	assert_int_equal(text_end(t), 0);
}

static void
same_however_cut(void **state)
{
	struct sheet s = {0};
	struct text_sink to = sink;
	struct text *t;

	(void)state;
	to.arg = &s;
	assert_non_null(t = text_new(&to));
	for (size_t i = 0; i < ARRAY_LEN(row); i++)
		for (size_t step = 1; step <= strlen(row[i].in) + 1; step++) {
			push_in_steps(t, guarded_front(guarded(span_of(row[i].in))),
			              step);
			check_mem(s.b.p, s.b.n, row[i].want, "row %zu, step %zu", i,
			          step);
			assert_int_equal(s.depth, 0);
			buf_reset(&s.b);
			guard_free_all();
		}
	/* one that is given up leaves nothing to the next */
	assert_int_equal(text_push(t, span_of(row[23].in)), 0);
	s.depth = 0;
	buf_reset(&s.b);
	push_in_steps(t, SPAN("A: b\r\n\r\nc"), 3);
	check_mem(s.b.p, s.b.n, "T A=b|[c|", "the next");
	buf_reset(&s.b);
	s.no_bodies = true;
	push_in_steps(t, SPAN("A: b\r\n\r\nc"), 3);
	check_mem(s.b.p, s.b.n, "T A=b|", "no bodies");
	text_free(t);
	buf_free(&s.b);
}

/* ---- large ones --------------------------------------------------------------------------------------- */

struct counts {
	uint64_t fields, values, bodies, text;
};

static bool
count_field(void *arg, enum text_place place, struct span name)
{
	(void)place;
	(void)name;
	((struct counts *)arg)->fields++;
	return true;
}

static void
count_value(void *arg, struct span utf8)
{
	((struct counts *)arg)->values += utf8.n;
}

static bool
count_body(void *arg)
{
	((struct counts *)arg)->bodies++;
	return true;
}

static void
count_text(void *arg, struct span utf8)
{
	((struct counts *)arg)->text += utf8.n;
}

static void
count_end(void *arg)
{
	(void)arg;
}

static void
push_repeated(struct text *t, const char *what, size_t n)
{
	struct buf b = {0};

	for (size_t i = 0; i < 100; i++)
		assert_int_equal(buf_add(&b, span_of(what)), 0);
	for (; n > 0; n -= 100)
		assert_int_equal(text_push(t, buf_span(&b)), 0);
	buf_free(&b);
}

static void
push(struct text *t, const char *s)
{
	assert_int_equal(text_push(t, span_of(s)), 0);
}

/* What a sender can make as long or as deep as he likes. */
static void
no_end_of_it(void **state)
{
	struct counts c = {0};
	struct text *t =
	    text_new(&(struct text_sink){&c, count_field, count_value, count_end,
	                                 count_body, count_text, count_end});

	(void)state;
	assert_non_null(t);
	push(t, "Subject: ");
	push_repeated(t, "0123456789", 1000000);
	push(t, "\r\nContent-Type: text/plain");
	push_repeated(t, "; a=b\r\n ", 100000);
	push(t, "\r\n");
	push_repeated(t, "x", 1000000); /* a name without an end */
	push(t, "\r\nContent-Transfer-Encoding: base64\r\n\r\n");
	push_repeated(t, "YWJj", 1000000);
	assert_int_equal(text_end(t), 0);
	assert_int_equal(c.fields, 4);
	assert_int_equal(c.text, 3000000);
	assert_true(c.values > 11000000);

	c = (struct counts){0};
	text_begin(t);
	push(t, "Content-Type: multipart/mixed; boundary=x\r\n\r\n");
	push_repeated(t, "--x\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n",
	              50000);
	push(t, "--x\r\n\r\nabc\r\n");
	assert_int_equal(text_end(t), 0);
	assert_int_equal(c.bodies, 1);
	assert_int_equal(c.text, 5);

	c = (struct counts){0};
	text_begin(t);
	push_repeated(t, "Content-Type: message/rfc822\r\n\r\n", 50000);
	push(t, "\r\nabc");
	assert_int_equal(text_end(t), 0);
	assert_int_equal(c.fields, 50000);
	assert_int_equal(c.text, 3);
	text_free(t);
	text_free(NULL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(same_however_cut),
	    cmocka_unit_test(no_end_of_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
