/* uidlist: any cut gives the same; what was read is written so that it reads the same. */
#include "storage/uidlist.h"
#include "tests/fuzz/fuzz.h"

struct seen {
	struct buf text; /* all that was reported, as version 3 */
	uint32_t last_uid;
	bool refused; /* a writer could not print what was read */
};

static int
on_header(void *arg, const struct uidlist_header *h)
{
	struct seen *s = arg;

	REQUIRE(h->uidvalidity != 0 && h->uidnext != 0);
	REQUIRE(h->version == 1 || h->version == 3);
	s->refused |= uidlist_print_header(h, &s->text) == -1;
	return 0;
}

static int
on_record(void *arg, const struct uidlist_record *r)
{
	struct seen *s = arg;

	REQUIRE(r->uid > s->last_uid && r->uid < UINT32_MAX);
	REQUIRE(r->name.n > 0 && memchr(r->name.p, '/', r->name.n) == NULL);
	s->last_uid = r->uid;
	s->refused |= uidlist_print_record(r, &s->text) == -1;
	return 0;
}

static enum uidlist_error
run(struct span in, size_t step, struct seen *s, struct uidlist_parser *p)
{
	uint64_t size = in.n;
	bool torn;

	*p = (struct uidlist_parser){.header = on_header, .record = on_record, .arg = s};
	uidlist_begin(p);
	for (; in.n > 0; in = span_from(in, step))
		uidlist_push(p, fuzz_piece(in, step));
	uidlist_end(p, &torn);
	REQUIRE(p->whole <= size);
	REQUIRE(p->error != UIDLIST_OK || torn == (p->whole < size));
	REQUIRE(p->last_uid == s->last_uid && (p->last_uid == 0 || p->uidnext > p->last_uid));
	return p->error;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct uidlist_parser p;
	struct span in = {(const char *)data, size};
	size_t step = fuzz_take(&in, 1, 64);
	struct seen whole = {0}, cut = {0}, again = {0};
	enum uidlist_error e = run(in, SIZE_MAX, &whole, &p);
	uint32_t uidnext = p.uidnext;

	REQUIRE(run(in, step, &cut, &p) == e);
	REQUIRE(span_eq(buf_span(&whole.text), buf_span(&cut.text)) && p.uidnext == uidnext);
	/* only a NUL among the keys is read, kept and not written */
	REQUIRE(!whole.refused || (in.n > 0 && memchr(in.p, '\0', in.n) != NULL));
	if (!whole.refused && whole.text.n > 0) {
		REQUIRE(run(buf_span(&whole.text), step, &again, &p) == UIDLIST_OK);
		REQUIRE(span_eq(buf_span(&whole.text), buf_span(&again.text)));
	}
	buf_free(&whole.text);
	buf_free(&cut.text);
	buf_free(&again.text);
	return 0;
}
