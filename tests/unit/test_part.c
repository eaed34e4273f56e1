/* part: the tree and its places at every cut; section numbers; hostile messages. */
#include "storage/mime/part.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "tests/unit/support/check.h"
#include "tests/unit/support/guard.h"

enum { ARENA_MAX = 32 << 20 };

static struct part *
parse(struct span in, size_t step, struct arena *arena)
{
	struct mime *m = mime_init(arena);

	assert_non_null(m);
	while (in.n > 0) {
		size_t n = in.n < step ? in.n : step;

		assert_int_equal(mime_push(m, (struct span){in.p, n}), 0);
		in = span_from(in, n);
	}
	return mime_end(m);
}

static const struct part *
next(const struct part *p, const struct part *root, unsigned *depth)
{
	if (p->child != NULL) {
		++*depth;
		return p->child;
	}
	for (; p != root; p = p->parent, --*depth)
		if (p->next != NULL)
			return p->next;
	return NULL;
}

/* A line for each part: kind and type, header and body as octets+octets/lines. */
static void
show(const struct part *root, struct buf *out)
{
	static const char kind[] = "lMm?"; /* leaf, multipart, message, opaque */
	unsigned depth = 0;

	for (const struct part *p = root; p != NULL; p = next(p, root, &depth)) {
		assert_int_equal(buf_addf(out, "%*s%c ", (int)depth, "", kind[p->kind]),
		                 0);
		assert_int_equal(buf_add(out, p->content.type), 0);
		assert_int_equal(buf_addc(out, '/'), 0);
		assert_int_equal(buf_add(out, p->content.subtype), 0);
		assert_int_equal(buf_addf(out,
		                          " %" PRIu64 "+%" PRIu64 "/%" PRIu64
		                          " %" PRIu64 "+%" PRIu64 "/%" PRIu64 "%s\n",
		                          p->header_off, p->header_size,
		                          p->header_lines, p->body_off, p->body_size,
		                          p->body_lines,
		                          p->envelope != NULL ? " e" : ""),
		                 0);
		assert_true(p->header_off + p->header_size == p->body_off);
	}
}

#define M(b) "Content-Type: multipart/mixed; boundary=" b "\r\n\r\n"

static const struct {
	const char *in, *want;
} row[] = {
    {"", "l text/plain 0+0/0 0+0/0 e\n"},
    {"\r\n", "l text/plain 0+2/1 2+0/0 e\n"},
    {"\r\nab\r\nc\r\n", "l text/plain 0+2/1 2+7/2 e\n"},
    {"A: b\r\n", "l text/plain 0+6/1 6+0/0 e\n"},
    {"Content-Type: image/png\r\n\r\nx\r\n", "l image/png 0+27/2 27+3/1 e\n"},
    /* one part, with preamble and epilogue */
    {M("b") "pre\r\n--b\r\n\r\nx\r\n--b--\r\nepi\r\n",
     "M multipart/mixed 0+45/2 45+27/6 e\n"
     " l text/plain 55+2/1 57+1/0\n"},
    /* the first line is a boundary; the last has no line end */
    {M("b") "--b\r\n\r\nx\r\ny\r\n--b--", "M multipart/mixed 0+45/2 45+18/4 e\n"
                                          " l text/plain 50+2/1 52+4/1\n"},
    /* bare LFs */
    {"Content-Type: multipart/mixed; boundary=b\n\n--b\n\nx\n\n--b\ny\n--b--\n",
     "M multipart/mixed 0+43/2 43+20/7 e\n"
     " l text/plain 47+1/1 48+2/1\n"
     " l text/plain 55+1/0 56+0/0\n"},
    /* not a boundary: another, and lines that only begin like one */
    {M("b") "--b\r\n\r\n-\r\n--\r\n--c\r\n---b\r\n--b--\r\n",
     "M multipart/mixed 0+45/2 45+32/7 e\n"
     " l text/plain 50+2/1 52+16/3\n"},
    /* the inner one is not ended */
    {M("o") "--o\r\n" M("i") "--i\r\n\r\nx\r\n--o\r\n\r\ny\r\n--o--\r\n",
     "M multipart/mixed 0+45/2 45+77/10 e\n"
     " M multipart/mixed 50+45/2 95+8/2\n"
     "  l text/plain 100+2/1 102+1/0\n"
     " l text/plain 110+2/1 112+1/0\n"},
    /* no header at all, and a header that a boundary ends */
    {M("b") "--b\r\n--b\r\nX: y\r\n--b--\r\n", "M multipart/mixed 0+45/2 45+23/4 e\n"
                                               " l text/plain 50+0/0 50+0/0\n"
                                               " l text/plain 55+4/0 59+0/0\n"},
    {M("b") "--b\r\n", "M multipart/mixed 0+45/2 45+5/1 e\n"
                       " l text/plain 50+0/0 50+0/0\n"},
    {M("b") "--b", "M multipart/mixed 0+45/2 45+3/0 e\n"},
    {"Content-Type: multipart/mixed\r\n\r\n--b\r\n\r\n--b--\r\n",
     "M multipart/mixed 0+33/2 33+14/3 e\n"},
    /* messages */
    {"Content-Type: message/rfc822\r\n\r\nA: b\r\n\r\nx\r\n",
     "m message/rfc822 0+32/2 32+11/3 e\n"
     " l text/plain 32+8/2 40+3/1 e\n"},
    {"Content-Type: message/rfc822\r\n", "m message/rfc822 0+30/1 30+0/0 e\n"
                                         " l text/plain 30+0/0 30+0/0 e\n"},
    {"Content-Type: multipart/digest; boundary=b\r\n\r\n--b\r\n\r\n\r\nx\r\n--b--\r\n",
     "M multipart/digest 0+46/2 46+19/5 e\n"
     " m message/rfc822 51+2/1 53+3/1\n"
     "  l text/plain 53+2/1 55+1/0 e\n"},
    {M("b") "--b\r\nContent-Type: message/rfc822\r\n--b--\r\n",
     "M multipart/mixed 0+45/2 45+42/3 e\n"
     " m message/rfc822 50+28/0 78+0/0\n"
     "  l text/plain 78+0/0 78+0/0 e\n"},
};

static void
same_however_cut(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++)
		for (size_t step = 1; step <= strlen(row[i].in) + 1; step++) {
			struct arena arena = {0};
			struct buf got = {0};
			struct span in = guarded(span_of(row[i].in));

			show(parse(in, step, &arena), &got);
			check_span(buf_span(&got), span_of(row[i].want),
			           "row %zu, step %zu", i, step);
			buf_free(&got);
			arena_free(&arena);
			guard_free_all();
		}
}

/* Messages from a grammar of lines that matter, at random cuts against all at once. */
static void
random_cut_anywhere(void **state)
{
	static const char *const line[] = {
	    "--a\r\n",
	    "--b\r\n",
	    "--ab\r\n",
	    "--a--\r\n",
	    "--b--\r\n",
	    "--ab--\r\n",
	    "\r\n",
	    "\n",
	    "-\r\n",
	    "--\n",
	    "x\r\n",
	    "\r",
	    "Content-Type: multipart/mixed; boundary=a\r\n",
	    "Content-Type: multipart/digest; boundary=b\r\n",
	    "Content-Type: message/rfc822\r\n",
	    "Content-Type: multipart/x;\r\n boundary=ab\r\n",
	    "Subject: s\r\n",
	    " fold\r\n",
	    "--a",
	    "--",
	    "-",
	};
	uint64_t seed = 0;

	(void)state;
	for (int i = 0; i < 20000; i++) {
		struct arena one = {0}, two = {0};
		struct buf in = {0}, want = {0}, got = {0};
		struct mime *m = mime_init(&two);
		struct span rest;

		for (unsigned n = 1 + check_random(&seed) % 40; n > 0; n--)
			assert_int_equal(
			    buf_add(
			        &in,
			        span_of(line[check_random(&seed) % ARRAY_LEN(line)])),
			    0);
		show(parse(buf_span(&in), in.n, &one), &want);
		assert_non_null(m);
		for (rest = buf_span(&in); rest.n > 0;) {
			size_t n = 1 + check_random(&seed) % (rest.n < 9 ? rest.n : 9);

			assert_int_equal(mime_push(m, (struct span){rest.p, n}), 0);
			rest = span_from(rest, n);
		}
		show(mime_end(m), &got);
		check_span(buf_span(&got), buf_span(&want), "message %d", i);
		buf_free(&in);
		buf_free(&want);
		buf_free(&got);
		arena_free(&one);
		arena_free(&two);
	}
}

static void
header_is_enough_for_the_envelope(void **state)
{
	struct arena arena = {0};
	struct mime *m = mime_init(&arena);
	struct part *root;

	(void)state;
	assert_non_null(m);
	assert_int_equal(mime_push(m, SPAN("Subject: a\r\n b\r\nTo: x@y\r\n")), 0);
	assert_false(mime_header_done(m));
	assert_int_equal(mime_push(m, SPAN("Content-Type: image/png\r\n\r\n")), 0);
	assert_true(mime_header_done(m));
	root = mime_end(m);
	check_span(root->envelope->subject, SPAN("a b"), "subject");
	check_span(root->envelope->to.first->host, SPAN("y"), "to");
	check_span(root->content.type, SPAN("image"), "type");
	assert_null(root->envelope->date.p);
	arena_free(&arena);
}

static void
given_up(void **state)
{
	struct arena arena = {0};
	struct mime *m = mime_init(&arena);

	(void)state;
	assert_non_null(m);
	assert_int_equal(mime_push(m, SPAN("Subject: a")), 0);
	mime_free(m);
	mime_free(NULL);
	arena_free(&arena);
}

/* ---- section numbers -------------------------------------------------------------------- */

/* Numbers as `1.2`, to the part's header offset and kind; `-` when there is none. */
static void
section(const struct part *root, const char *numbers, struct buf *out)
{
	uint32_t n[8];
	size_t len = 0;
	const struct part *p, *message;

	for (const char *s = numbers; *s != '\0'; s += *s == '.')
		n[len++] = (uint32_t)strtoul(s, (char **)(uintptr_t)&s, 10);
	p = part_find(root, n, len);
	message = part_message(root, n, len);
	assert_int_equal(p == NULL ? buf_addc(out, '-')
	                           : buf_addf(out, "%" PRIu64, p->header_off),
	                 0);
	if (message != NULL)
		assert_int_equal(buf_addf(out, "m%" PRIu64, message->header_off), 0);
}

/* The tree of RFC 9051 section 6.4.5.1's example, in small. */
static const char example[] =
    M("o") "--o\r\n\r\n1\r\n"                            /* 1: at 50 */
           "--o\r\nContent-Type: image/png\r\n\r\n2\r\n" /* 2: at 60 */
           "--o\r\nContent-Type: message/rfc822\r\n\r\n" /* 3: at 95, within at 127 */
    M("i") "--i\r\n\r\n3.1\r\n"                          /* 3.1: at 177 */
           "--i\r\nContent-Type: image/gif\r\n\r\n"      /* 3.2: at 189 */
           "--i--\r\n"
           "--o\r\n" M(
               "j") "--j\r\n\r\n4.1\r\n" /* 4: at 228, 4.1: at 278 */
                    "--j\r\nContent-Type: message/rfc822\r\n\r\n" /* 4.2: at 290 */
                    "A: b\r\n\r\n4.2.1\r\n"                       /* at 322 */
                    "--j--\r\n--o--\r\n";

static void
sections(void **state)
{
	static const struct {
		const char *message, *numbers, *want;
	} s[] = {
	    {example, "", "0m0"},
	    {example, "1", "50"},
	    {example, "2", "60"},
	    {example, "3", "95m127"},
	    {example, "3.1", "177"},
	    {example, "3.2", "189"},
	    {example, "3.3", "-"},
	    {example, "4", "228"},
	    {example, "4.1", "278"},
	    {example, "4.2", "290m322"},
	    {example, "4.2.1", "322"},
	    {example, "4.2.2", "-"},
	    {example, "4.2.1.1", "-"},
	    {example, "5", "-"},
	    {example, "0", "-"},
	    {example, "1.1", "-"},
	    {example, "4294967295", "-"},
	    {"\r\nx", "", "0m0"},
	    {"\r\nx", "1", "0"},
	    {"\r\nx", "2", "-"},
	    {"\r\nx", "1.1", "-"},
	    {"Content-Type: message/rfc822\r\n\r\nA: b\r\n\r\nx", "1", "0m32"},
	    {"Content-Type: message/rfc822\r\n\r\nA: b\r\n\r\nx", "1.1", "32"},
	    {"Content-Type: message/rfc822\r\n\r\nA: b\r\n\r\nx", "1.2", "-"},
	    {M("b") "none", "1", "-"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(s); i++) {
		struct arena arena = {0};
		struct buf got = {0};

		section(parse(span_of(s[i].message), SIZE_MAX, &arena), s[i].numbers,
		        &got);
		check_span(buf_span(&got), span_of(s[i].want), "row %zu: %s", i,
		           s[i].numbers);
		buf_free(&got);
		arena_free(&arena);
	}
}

/* ---- hostile messages: what is built, and what must become of it --------------------------- */

static void
add(struct buf *b, const char *s)
{
	assert_int_equal(buf_add(b, span_of(s)), 0);
}

static void
repeat(struct buf *b, const char *s, size_t n)
{
	while (n-- > 0)
		add(b, s);
}

static void
nested_multiparts(struct buf *b)
{
	add(b, "Content-Type: multipart/mixed; boundary=b0x\r\n\r\n");
	for (int i = 0; i < 50000; i++)
		assert_int_equal(buf_addf(b,
		                          "--b%dx\r\nContent-Type: multipart/mixed; "
		                          "boundary=b%dx\r\n\r\n",
		                          i, i + 1),
		                 0);
}

static void
nested_messages(struct buf *b)
{
	repeat(b, "Content-Type: message/rfc822\r\n\r\n", 200000);
}

static void
many_parts(struct buf *b)
{
	add(b, M("b"));
	repeat(b, "--b\r\n\r\nx\r\n", 200000);
}

static void
many_digest_parts(struct buf *b)
{
	add(b, "Content-Type: multipart/digest; boundary=b\r\n\r\n");
	repeat(b, "--b\r\n\r\n\r\nx\r\n", 200000);
}

static void
many_recipients(struct buf *b)
{
	repeat(b, "To: Somebody <somebody@example.org>\r\n", 500000);
}

static void
many_subjects(struct buf *b)
{
	repeat(b, "Subject: one that is as long as subjects usually are\r\n", 500000);
}

static void
long_field(struct buf *b)
{
	char *p = buf_room(b, 100 << 20);

	assert_non_null(p);
	memset(p, 'x', 100 << 20);
	memcpy(p, "Content-Type: ", 14);
	b->n += 100 << 20;
}

static void
long_folded_field(struct buf *b)
{
	add(b, "To: a@b,\r\n");
	repeat(b, " a@b,\r\n", 1 << 20);
}

static void
long_recipients(struct buf *b)
{
	for (int i = 0; i < 20; i++) {
		add(b, "To: ");
		repeat(b, ",", 1 << 20);
		add(b, "\r\n");
	}
}

static void
dashes(struct buf *b)
{
	add(b, M("b"));
	repeat(b, "--\r\n", 2 << 20);
}

static void
boundaries_alike(struct buf *b)
{
	char text[81];

	memset(text, 'b', sizeof text - 1);
	text[80] = '\0';
	for (int i = 0; i < 99; i++) {
		text[79] = (char)('0' + i % 10);
		text[78] = (char)('0' + i / 10);
		assert_int_equal(buf_addf(b,
		                          "Content-Type: multipart/mixed; "
		                          "boundary=%s\r\n\r\n--%s\r\n",
		                          text, text),
		                 0);
	}
	text[79] = text[78] = 'x';
	for (int i = 0; i < 100000; i++)
		assert_int_equal(buf_addf(b, "\r\n--%s", text), 0);
}

static void
parameters(struct buf *b)
{
	add(b, "Content-Type: a/b");
	for (int i = 0; i < 100000; i++)
		assert_int_equal(buf_addf(b, ";\r\n x*%d=y", i), 0);
	add(b, "\r\nContent-Disposition: a");
	repeat(b, ";", 1 << 19);
	add(b, "\r\n");
}

static void
comments(struct buf *b)
{
	static const char *const name[] = {"To: a ",
	                                   "Cc: ",
	                                   "Bcc: <a",
	                                   "Content-Type: a/b; c=",
	                                   "Content-Disposition: ",
	                                   "Content-Language: en"};
	static const char *const unit[] = {"(", "(a)", "\"",   "\\",   "a ",
	                                   "<", ":",   "a:;,", "\"a\""};

	for (size_t i = 0; i < ARRAY_LEN(name); i++)
		for (size_t k = 0; k < ARRAY_LEN(unit); k++) {
			add(b, name[i]);
			repeat(b, unit[k], 100000);
			add(b, "\r\n");
		}
}

static void
fields_without_end(struct buf *b)
{
	repeat(b, "\n a:", 1 << 20);
	repeat(b, "a:\n", 1 << 20);
	repeat(b, "\r", 1 << 20);
}

static const struct hazard {
	const char *name;
	void (*build)(struct buf *);
	unsigned parts; /* that the tree has at most */
} hazards[] = {
    {"50,000 nested multiparts", nested_multiparts, MIME_DEPTH_MAX + 1},
    {"200,000 nested messages", nested_messages, MIME_DEPTH_MAX + 1},
    {"200,000 parts", many_parts, MIME_PARTS_MAX},
    {"200,000 messages in a digest", many_digest_parts, MIME_PARTS_MAX},
    {"500,000 To fields", many_recipients, 1},
    {"500,000 Subject fields", many_subjects, 1},
    {"a field of 100 MB", long_field, 1},
    {"a field of 1,000,000 lines", long_folded_field, 1},
    {"20,000,000 commas", long_recipients, 1},
    {"2,000,000 lines that begin as boundaries", dashes, 1},
    {"100 boundaries that differ at their ends", boundaries_alike, MIME_DEPTH_MAX + 1},
    {"100,000 parameters", parameters, 1},
    {"comments and quotes that do not end", comments, 1},
    {"3,000,000 fields of nothing", fields_without_end, 1},
};

static double
cpu_seconds(void)
{
	struct timespec t;

	assert_int_equal(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t), 0);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SLOWER 20
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SLOWER 20
#endif
#endif
#ifndef SLOWER
#define SLOWER 1
#endif

static void
hostile_messages(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(hazards); i++) {
		struct arena arena = {.max = ARENA_MAX};
		struct buf in = {0};
		const struct part *root, *p;
		unsigned parts = 0, depth = 0;
		double spent;

		hazards[i].build(&in);
		spent = cpu_seconds();
		root = parse(buf_span(&in), 65536, &arena);
		spent = cpu_seconds() - spent;
		assert_non_null(root);
		for (p = root; p != NULL; p = next(p, root, &depth)) {
			parts++;
			check_true(p->body_off + p->body_size <= in.n, "%s: place",
			           hazards[i].name);
		}
		check_true(parts <= hazards[i].parts, "%s: %u parts", hazards[i].name,
		           parts);
		check_num(root->header_size + root->body_size, in.n, "%s: octets",
		          hazards[i].name);
		check_true(arena.used <= ARENA_MAX, "%s: memory", hazards[i].name);
		check_true(spent < 1.0 * SLOWER, "%s: %.3f s", hazards[i].name, spent);
		if (getenv("MT_TIMES") != NULL)
			fprintf(stderr,
			        "%-45s %9zu octets %6.3f s %9zu of memory %5u parts\n",
			        hazards[i].name, in.n, spent, arena.used, parts);
		buf_free(&in);
		arena_free(&arena);
	}
}

/* A full arena leaves things out, wherever it is full. */
static void
every_small_arena(void **state)
{
	(void)state;
	for (size_t max = 0x100; max < 8192; max += 16) {
		struct arena arena = {.max = max};
		struct part *root = parse(span_of(example), 7, &arena);
		struct buf got = {0};

		assert_non_null(root);
		check_num(root->header_size + root->body_size, strlen(example),
		          "arena of %zu", max);
		show(root, &got);
		buf_free(&got);
		arena_free(&arena);
	}
}

static void
no_arena_at_all(void **state)
{
	struct arena arena = {.max = 8};

	(void)state;
	errno = 0;
	assert_null(mime_init(&arena));
	assert_int_equal(errno, ENOMEM);
	assert_null(mime_end(NULL));
	arena_free(&arena);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(same_however_cut),
	    cmocka_unit_test(random_cut_anywhere),
	    cmocka_unit_test(header_is_enough_for_the_envelope),
	    cmocka_unit_test(given_up),
	    cmocka_unit_test(sections),
	    cmocka_unit_test(hostile_messages),
	    cmocka_unit_test(every_small_arena),
	    cmocka_unit_test(no_arena_at_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
