/*
 * bodystructure, envelope, print: each message of tests/data/mime, at many cuts, as its
 * .want says (three lines of mimedump); strings; buffers that are full.
 */
#include "protocol/imap/bodystructure.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "protocol/imap/envelope.h"
#include "protocol/imap/print.h"
#include "storage/base/io.h"
#include "storage/crlf.h"
#include "tests/unit/support/check.h"
#include "tests/unit/support/guard.h"

#define FOLDER "tests/data/mime"

static void
slurp(const char *name, const char *suffix, struct buf *b)
{
	char path[512];
	int fd;

	snprintf(path, sizeof path, FOLDER "/%s%s", name, suffix);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	check_true(fd != -1, "%s: run from the project's root", path);
	assert_int_equal(io_slurp(fd, b), 0);
	close(fd);
}

static void
to_wire(struct span stored, struct buf *wire)
{
	struct crlf c = {0};
	char *to = buf_room(wire, 2 * stored.n + 2), tail[2];
	size_t used;

	assert_non_null(to);
	wire->n += crlf_push(&c, stored, to, 2 * stored.n + 2, &used);
	assert_int_equal(buf_add(wire, (struct span){tail, crlf_end(&c, tail)}), 0);
}

static void
add_line(const char *name, const struct buf *text, struct buf *out)
{
	assert_int_equal(buf_addf(out, "%s %zu ", name, text->n), 0);
	assert_int_equal(buf_add(out, buf_span(text)), 0);
	assert_int_equal(buf_addc(out, '\n'), 0);
}

static void
print_all(const struct part *root, struct buf *out)
{
	struct buf text = {0};

	assert_int_equal(envelope_print(root->envelope, &text), 0);
	add_line("ENVELOPE", &text, out);
	buf_reset(&text);
	assert_int_equal(bodystructure_print(root, false, &text), 0);
	add_line("BODY", &text, out);
	buf_reset(&text);
	assert_int_equal(bodystructure_print(root, true, &text), 0);
	add_line("BODYSTRUCTURE", &text, out);
	buf_free(&text);
}

/* First `first` octets at once, then pieces of `step`. */
static void
run(struct span in, size_t first, size_t step, struct buf *out)
{
	struct arena arena = {0};
	struct mime *m = mime_init(&arena);
	struct part *root;

	assert_non_null(m);
	for (size_t n = first; in.n > 0; n = step) {
		if (n > in.n)
			n = in.n;
		assert_int_equal(mime_push(m, (struct span){in.p, n}), 0);
		in = span_from(in, n);
	}
	root = mime_end(m);
	assert_non_null(root);
	print_all(root, out);
	arena_free(&arena);
}

static void
check_run(const char *name, struct span in, size_t first, size_t step, struct span want)
{
	struct buf got = {0};

	run(in, first, step, &got);
	check_span(buf_span(&got), want, "%s, %zu octets, then %zu each", name, first,
	           step);
	buf_free(&got);
}

static void
check_message(const char *name)
{
	struct buf stored = {0}, wire = {0}, want = {0};
	struct span in;

	slurp(name, ".eml", &stored);
	slurp(name, ".want", &want);
	to_wire(buf_span(&stored), &wire);
	in = guarded(buf_span(&wire));
	for (size_t step = 1; step <= 40; step++)
		check_run(name, in, step, step, buf_span(&want));
	for (size_t i = 0; i < in.n && in.n < 4096; i++)
		check_run(name, in, i, in.n, buf_span(&want));
	guard_free_all();
	buf_free(&stored);
	buf_free(&wire);
	buf_free(&want);
}

static void
every_message_however_cut(void **state)
{
	DIR *d = opendir(FOLDER);
	struct dirent *e;
	unsigned n = 0;

	(void)state;
	check_true(d != NULL, FOLDER ": run from the project's root");
	while ((e = readdir(d)) != NULL) {
		char *dot = strstr(e->d_name, ".eml");

		if (dot == NULL)
			continue;
		*dot = '\0';
		check_message(e->d_name);
		n++;
	}
	closedir(d);
	check_true(n >= 90, "%u messages", n);
}

static const struct {
	int (*print)(struct buf *, struct span);
	struct span in, want;
} row[] = {
    {imap_print_string, {"", 0}, {"\"\"", 2}},
    {imap_print_string, {NULL, 0}, {"\"\"", 2}},
    {imap_print_string, {"a b", 3}, {"\"a b\"", 5}},
    {imap_print_string, {"a\"b\\", 4}, {"\"a\\\"b\\\\\"", 8}},
    {imap_print_string, {"\"\"\"\"\"\"", 6}, {"\"\\\"\\\"\\\"\\\"\\\"\\\"\"", 14}},
    {imap_print_string, {"a\tb\x01\x7f", 5}, {"\"a\tb\x01\x7f\"", 7}},
    {imap_print_string, {"a\rb", 3}, {"{3}\r\na\rb", 8}},
    {imap_print_string, {"a\nb", 3}, {"{3}\r\na\nb", 8}},
    {imap_print_string, {"\xc3\xa4", 2}, {"{2}\r\n\xc3\xa4", 7}},
    {imap_print_string, {"\xff", 1}, {"{1}\r\n\xff", 6}},
    {imap_print_string,
     {"a\0b", 3},
     {"{5}\r\na\xef\xbf\xbd"
      "b",
      10}},
    {imap_print_nstring, {NULL, 0}, {"NIL", 3}},
    {imap_print_nstring, {"", 0}, {"\"\"", 2}},
    {imap_print_nstring, {"NIL", 3}, {"\"NIL\"", 5}},
    {imap_print_text, {NULL, 0}, {"NIL", 3}},
    {imap_print_text, {"", 0}, {"\"\"", 2}},
    {imap_print_text, {" \t ", 3}, {"\"\"", 2}},
    {imap_print_text, {" a  b\t\r\n c ", 11}, {"\"a b c\"", 7}},
    {imap_print_text, {"\xc3\xa4 ", 3}, {"{2}\r\n\xc3\xa4", 7}},
};

static void
strings(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		struct buf got = {0};

		assert_int_equal(row[i].print(&got, row[i].in), 0);
		check_span(buf_span(&got), row[i].want, "row %zu", i);
		buf_free(&got);
	}
}

static void
long_strings_are_literals(void **state)
{
	char *p = malloc(IMAP_QUOTED_MAX + 1);
	struct buf b = {0};

	(void)state;
	assert_non_null(p);
	memset(p, 'x', IMAP_QUOTED_MAX + 1);
	assert_int_equal(imap_print_string(&b, (struct span){p, IMAP_QUOTED_MAX}), 0);
	check_num(b.n, IMAP_QUOTED_MAX + 2, "quoted");
	assert_int_equal(b.p[0], '"');
	buf_reset(&b);
	assert_int_equal(imap_print_string(&b, (struct span){p, IMAP_QUOTED_MAX + 1}),
	                 0);
	assert_int_equal(b.p[0], '{');
	buf_free(&b);
	free(p);
}

static void
no_envelope(void **state)
{
	struct buf b = {0};

	(void)state;
	assert_int_equal(envelope_print(NULL, &b), 0);
	check_span(buf_span(&b), SPAN("(NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL)"),
	           "NULL");
	buf_free(&b);
}

/* Past a ceiling the type is not said, for a client would look for parts. */
static void
opaque_parts(void **state)
{
	struct buf in = {0}, got = {0};
	struct arena arena = {0};
	struct mime *m = mime_init(&arena);
	const struct part *root;
	struct span tail =
	    SPAN("(\"application\" \"octet-stream\" NIL NIL NIL \"7bit\" 3)");
	char *at;

	(void)state;
	assert_non_null(m);
	for (int i = 0; i <= MIME_DEPTH_MAX; i++)
		assert_int_equal(
		    buf_add(&in, SPAN("Content-Type: message/rfc822; a=b\r\n\r\n")), 0);
	assert_int_equal(buf_add(&in, SPAN("x\r\n")), 0);
	assert_int_equal(mime_push(m, buf_span(&in)), 0);
	root = mime_end(m);
	assert_int_equal(bodystructure_print(root, false, &got), 0);
	assert_int_equal(buf_addc(&got, '\0'), 0);
	at = strstr(got.p, "octet-stream");
	assert_non_null(at);
	at -= strlen("(\"application\" \"");
	check_span((struct span){at, tail.n}, tail, "innermost");
	buf_free(&in);
	buf_free(&got);
	arena_free(&arena);
}

/* Full at every octet: said so, and nothing half is left. */
static void
full_buffers(void **state)
{
	struct buf stored = {0}, whole = {0};
	struct arena arena = {0};
	struct mime *m = mime_init(&arena);
	const struct part *root;

	(void)state;
	slurp("multipart-extension", ".eml", &stored);
	assert_non_null(m);
	assert_int_equal(mime_push(m, buf_span(&stored)), 0);
	root = mime_end(m);
	assert_int_equal(bodystructure_print(root, true, &whole), 0);
	for (size_t max = 3; max < whole.n + 3; max++) {
		struct buf b = {.max = max};

		assert_int_equal(buf_add(&b, SPAN("was")), 0);
		errno = 0;
		assert_int_equal(bodystructure_print(root, true, &b), -1);
		assert_int_equal(errno, EMSGSIZE);
		check_span(buf_span(&b), SPAN("was"), "room for %zu", max);
		if (max < 100) {
			assert_int_equal(envelope_print(root->envelope, &b), -1);
			check_span(buf_span(&b), SPAN("was"), "room for %zu", max);
		}
		buf_free(&b);
	}
	buf_free(&stored);
	buf_free(&whole);
	arena_free(&arena);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_message_however_cut),
	    cmocka_unit_test(strings),
	    cmocka_unit_test(long_strings_are_literals),
	    cmocka_unit_test(no_envelope),
	    cmocka_unit_test(opaque_parts),
	    cmocka_unit_test(full_buffers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
