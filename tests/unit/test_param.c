/* param: types, dispositions, encodings, languages and their parameters. */
#include "storage/mime/param.h"

#include <errno.h>
#include <stdlib.h>

#include "tests/unit/support/check.h"
#include "tests/unit/support/guard.h"

static void
show(struct span s, const char *after, struct buf *out)
{
	assert_int_equal(buf_add(out, s.p != NULL ? s : SPAN("-")), 0);
	assert_int_equal(buf_add(out, span_of(after)), 0);
}

static void
show_params(const struct param *q, struct buf *out)
{
	for (; q != NULL; q = q->next) {
		assert_int_equal(buf_addc(out, ';'), 0);
		show(q->name, "=", out);
		show(q->value, "", out);
	}
}

typedef int run(struct span value, struct arena *, struct buf *out);

static int
type(struct span value, struct arena *arena, struct buf *out)
{
	struct content_type c;
	int r = param_content_type(value, arena, &c);

	show(c.type, "/", out);
	show(c.subtype, "", out);
	show_params(c.params, out);
	return r;
}

static int
disposition(struct span value, struct arena *arena, struct buf *out)
{
	struct span s = {0};
	struct param *q = NULL;
	int r = param_disposition(value, arena, &s, &q);

	show(s, "", out);
	show_params(q, out);
	return r;
}

static int
encoding(struct span value, struct arena *arena, struct buf *out)
{
	struct span s = {0};
	int r = param_encoding(value, arena, &s);

	show(s, "", out);
	return r;
}

static int
languages(struct span value, struct arena *arena, struct buf *out)
{
	struct param *q = NULL;
	int r = param_languages(value, arena, &q);

	for (; q != NULL; q = q->next)
		show(q->name, q->next != NULL ? "," : "", out);
	return r;
}

static const struct {
	run *run;
	const char *in, *want;
} row[] = {
    {type, "text/plain", "text/plain"},
    {type, "TEXT/Html; CharSet=UTF-8", "TEXT/Html;CharSet=UTF-8"},
    {type, "text/plain;a=b;c=\"d e\"", "text/plain;a=b;c=d e"},
    {type, " (c) text (c) / (c) plain (c) ; (c) a (c) = (c) b (c)", "text/plain;a=b"},
    {type, "a/b; c=\"d\\\"e\\\\f\"", "a/b;c=d\"e\\f"},
    {type, "a/b; c=\"d\r\n e\";\r\n\tf=g", "a/b;c=d e;f=g"},
    {type, "a/b; c=", "a/b;c="},
    {type, "a/b; c=;d=e", "a/b;c=;d=e"},
    {type, "a/b; c==?utf-8?q?d?=; e=f", "a/b;c==?utf-8?q?d?=;e=f"},
    {type, "a/b; c=d e f; g=h", "a/b;c=d;g=h"},
    {type, "a/b; c=\"unended; d=e", "a/b"},
    {type, "a/b; c=d (unended; e=f", "a/b"},
    {type, "a/b;;; c=d;", "a/b;c=d"},
    {type, "a/b c=d; e=f", "a/b;e=f"},
    {type, "", "/"},
    {type, "text", "text/"},
    {type, "text/", "text/"},
    {type, "/plain", "/plain"},
    {type, "\"text/plain\"", "/"},
    /* RFC 2231 */
    {type, "a/b; n*0=one; n*1=\" two\"", "a/b;n=one two"},
    {type, "a/b; n*1=two; x=y; n*0=one", "a/b;x=y;n=onetwo"},
    {type, "a/b; n*=utf-8'en'%41", "a/b;n*=utf-8'en'%41"},
    {type, "a/b; n*0*=utf-8''%41; n*1=%b; n*2*=%42", "a/b;n*=utf-8''%41%25b%42"},
    {type, "a/b; n*0=%; n*1*=%41", "a/b;n*=''%25%41"},
    {type, "a/b; n*1=x", "a/b;n*1=x"},
    {type, "a/b; n*0=x; n*2=y", "a/b;n*0=x;n*2=y"},
    {type, "a/b; n*0=x; n*0=y", "a/b;n*0=x;n*0=y"},
    {type, "a/b; n*x=y; n*0x=z", "a/b;n*x=y;n*0x=z"},
    {type, "a/b; n*99999999999999999999=y", "a/b;n*99999999999999999999=y"},
    {type, "a/b; b*=1; a*=2", "a/b;a*=2;b*=1"},
    {disposition, "attachment; filename=\"a b\"", "attachment;filename=a b"},
    {disposition, "(c) inline (d)", "inline"},
    {disposition, "attachment filename=x; a=b", "attachment;a=b"},
    {disposition, "", ""},
    {disposition, "; filename=x", ";filename=x"},
    {disposition, "attachment (unended", "-"},
    {encoding, "base64", "base64"},
    {encoding, " (c) 8BIT (d)", "8BIT"},
    {encoding, "7 bit", "-"},
    {encoding, "8bit;", "-"},
    {encoding, "\"base64\"", "-"},
    {encoding, "", "-"},
    {languages, "en", "en"},
    {languages, "de-AT (c), (d) en ,fr", "de-AT,en,fr"},
    {languages, "en de", "en"},
    {languages, "en,,de", "en"},
    {languages, "", ""},
};

static void
as_dovecot_reads_them(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		struct arena arena = {0};
		struct buf got = {0};

		assert_int_equal(row[i].run(guarded(span_of(row[i].in)), &arena, &got),
		                 0);
		guard_free_all();
		check_span(buf_span(&got), span_of(row[i].want), "row %zu: %s", i,
		           row[i].in);
		buf_free(&got);
		arena_free(&arena);
	}
}

static void
ends_anywhere(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++)
		for (size_t n = 0; n < strlen(row[i].in); n++) {
			struct arena arena = {0};
			struct buf got = {0};
			struct span in = guarded((struct span){row[i].in, n});

			assert_int_equal(row[i].run(in, &arena, &got), 0);
			guard_free_all();
			buf_free(&got);
			arena_free(&arena);
		}
}

static void
no_more_than_the_ceiling(void **state)
{
	static const char *form[] = {";p%d=x", ";p*%d=x"};

	(void)state;
	for (size_t f = 0; f < ARRAY_LEN(form); f++) {
		struct arena arena = {0};
		struct buf value = {0};
		struct content_type c;
		size_t n = 0;

		assert_int_equal(buf_add(&value, SPAN("a/b")), 0);
		for (int i = 0; i < 3 * PARAM_MAX; i++)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
			assert_int_equal(buf_addf(&value, form[f], i + 1), 0);
#pragma GCC diagnostic pop
		assert_int_equal(param_content_type(buf_span(&value), &arena, &c), 0);
		for (const struct param *q = c.params; q != NULL; q = q->next)
			n++;
		check_num(n, PARAM_MAX, "form %zu", f);
		buf_free(&value);
		arena_free(&arena);
	}
}

static void
full_arena_is_said(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++)
		for (size_t max = 16; max < 400; max += 16) {
			struct arena arena = {.max = max};
			struct buf got = {0};

			errno = 0;
			if (row[i].run(span_of(row[i].in), &arena, &got) == -1)
				check_num((uint64_t)errno, EMSGSIZE, "row %zu", i);
			else
				check_span(buf_span(&got), span_of(row[i].want),
				           "row %zu", i);
			buf_free(&got);
			arena_free(&arena);
		}
}

static void
found_without_case(void **state)
{
	struct arena arena = {0};
	struct content_type c;

	(void)state;
	assert_int_equal(param_content_type(SPAN("a/b; X=1; x=2; y="), &arena, &c), 0);
	check_span(param_find(c.params, SPAN("x")), SPAN("1"), "the first");
	assert_non_null(param_find(c.params, SPAN("Y")).p);
	assert_null(param_find(c.params, SPAN("z")).p);
	assert_null(param_find(NULL, SPAN("z")).p);
	arena_free(&arena);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(as_dovecot_reads_them),
	    cmocka_unit_test(ends_anywhere),
	    cmocka_unit_test(no_more_than_the_ceiling),
	    cmocka_unit_test(full_arena_is_said),
	    cmocka_unit_test(found_without_case),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
