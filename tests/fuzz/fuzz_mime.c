/*
 * mime: any message gives the same tree however it is cut; each part lies within its
 * parent; what is printed is what IMAP's grammar calls a list.
 */
#include "protocol/imap/bodystructure.h"
#include "protocol/imap/envelope.h"
#include "tests/fuzz/fuzz.h"

static struct part *
parse(struct span in, size_t step, struct arena *arena)
{
	struct mime *m = mime_init(arena);

	if (m == NULL)
		return NULL;
	while (in.n > 0) {
		struct span piece = fuzz_piece(in, step);

		REQUIRE(mime_push(m, piece) == 0);
		in = span_from(in, piece.n);
	}
	return mime_end(m);
}

static const struct part *
next(const struct part *p)
{
	if (p->child != NULL)
		return p->child;
	while (p != NULL && p->next == NULL)
		p = p->parent;
	return p != NULL ? p->next : NULL;
}

static void
check_tree(const struct part *root, size_t n)
{
	unsigned parts = 0;

	REQUIRE(root->parent == NULL && root->next == NULL && root->header_off == 0);
	REQUIRE(root->header_size + root->body_size == n);
	for (const struct part *p = root; p != NULL; p = next(p)) {
		const struct part *up = p->parent;

		parts++;
		REQUIRE(p->body_off == p->header_off + p->header_size);
		REQUIRE(p->content.type.p != NULL && p->content.subtype.p != NULL);
		REQUIRE(p->header_lines <= p->header_size &&
		        p->body_lines <= p->body_size);
		REQUIRE(p->kind != PART_MESSAGE ||
		        (p->child != NULL && p->child->next == NULL));
		REQUIRE(p->kind == PART_MESSAGE || p->kind == PART_MULTIPART ||
		        p->child == NULL);
		if (up == NULL)
			continue;
		REQUIRE(p->header_off >= up->body_off);
		REQUIRE(p->body_off + p->body_size <= up->body_off + up->body_size);
		if (p->next != NULL)
			REQUIRE(p->next->header_off >= p->body_off + p->body_size);
	}
	REQUIRE(parts <= MIME_PARTS_MAX);
}

/* The same in two trees, side by side. */
static void
check_same(const struct part *a, const struct part *b)
{
	for (; a != NULL && b != NULL; a = next(a), b = next(b)) {
		REQUIRE(a->kind == b->kind && a->header_off == b->header_off);
		REQUIRE(a->header_size == b->header_size &&
		        a->body_size == b->body_size);
		REQUIRE(a->header_lines == b->header_lines &&
		        a->body_lines == b->body_lines);
	}
	REQUIRE(a == NULL && b == NULL);
}

/* ---- is it a list of strings, numbers, NIL and lists? ----------------------------------- */

static size_t
quoted(struct span s)
{
	size_t i = 1;

	for (; i < s.n && s.p[i] != '"'; i++) {
		if (s.p[i] == '\\') {
			i++;
			REQUIRE(i < s.n && (s.p[i] == '"' || s.p[i] == '\\'));
		}
		REQUIRE((signed char)s.p[i] > 0 && s.p[i] != '\r' && s.p[i] != '\n');
	}
	REQUIRE(i < s.n);
	return i + 1;
}

static size_t
literal(struct span s)
{
	size_t i = 1, n = 0;

	for (; i < s.n && s.p[i] >= '0' && s.p[i] <= '9'; i++)
		n = n * 10 + (size_t)(s.p[i] - '0');
	REQUIRE(i > 1 && span_starts(span_from(s, i), SPAN("}\r\n")));
	i += 3;
	REQUIRE(n <= s.n - i);
	REQUIRE(n == 0 || memchr(s.p + i, '\0', n) == NULL);
	return i + n;
}

static size_t
atom(struct span s)
{
	size_t i = 0;

	while (i < s.n && s.p[i] >= '0' && s.p[i] <= '9')
		i++;
	if (i > 0)
		return i;
	REQUIRE(span_starts(s, SPAN("NIL")));
	return 3;
}

static void
check_list(struct span s)
{
	size_t depth = 0;

	REQUIRE(s.n > 1 && s.p[0] == '(');
	while (s.n > 0) {
		size_t n = 1;

		switch (s.p[0]) {
		case '(':
			depth++;
			break;
		case ')':
			REQUIRE(depth > 0);
			depth--;
			REQUIRE((depth == 0) == (s.n == 1));
			break;
		case ' ':
			break;
		case '"':
			n = quoted(s);
			break;
		case '{':
			n = literal(s);
			break;
		default:
			n = atom(s);
		}
		s = span_from(s, n);
	}
	REQUIRE(depth == 0);
}

static void
print(const struct part *root, struct buf out[3])
{
	REQUIRE(envelope_print(root->envelope, &out[0]) == 0);
	REQUIRE(bodystructure_print(root, false, &out[1]) == 0);
	REQUIRE(bodystructure_print(root, true, &out[2]) == 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span in = {(const char *)data, size};
	size_t step = fuzz_take(&in, 1, 64), room = fuzz_take(&in, 0, 255);
	struct arena one = {.max = 8 << 20}, two = {.max = 8 << 20};
	struct arena small = {.max = 256 + room * 16};
	struct buf a[3] = {{0}}, b[3] = {{0}}, c[3] = {{0}};
	struct part *x = parse(in, SIZE_MAX, &one), *y = parse(in, step, &two);
	struct part *z = parse(in, step, &small);

	REQUIRE(x != NULL && y != NULL);
	check_tree(x, in.n);
	check_same(x, y);
	print(x, a);
	print(y, b);
	if (z != NULL) {
		check_tree(z, in.n);
		print(z, c);
	}
	for (int i = 0; i < 3; i++) {
		check_list(buf_span(&a[i]));
		REQUIRE(span_eq(buf_span(&a[i]), buf_span(&b[i])));
		if (z != NULL)
			check_list(buf_span(&c[i]));
		buf_free(&a[i]);
		buf_free(&b[i]);
		buf_free(&c[i]);
	}
	arena_free(&one);
	arena_free(&two);
	arena_free(&small);
	return 0;
}
