/* courier: any cut gives the same; what it names are base names and UIDLs. */
#include "storage/courier.h"
#include "tests/fuzz/fuzz.h"

static int
on_header(void *arg, const struct courier_header *h)
{
	return buf_addf(arg, "H %u %u %u\n", h->version, h->uidvalidity, h->uidnext);
}

static int
on_record(void *arg, const struct courier_record *r)
{
	struct buf *out = arg;

	REQUIRE(r->base.n > 0 && memchr(r->base.p, '/', r->base.n) == NULL &&
		memchr(r->base.p, ':', r->base.n) == NULL &&
		memchr(r->base.p, '\0', r->base.n) == NULL);
	REQUIRE(r->uidl.n <= 70);
	for (size_t i = 0; i < r->uidl.n; i++)
		REQUIRE(r->uidl.p[i] >= 0x21 && r->uidl.p[i] <= 0x7e);
	REQUIRE(buf_addf(out, "%u %u ", r->uid, r->uidvalidity) == 0);
	REQUIRE(buf_add(out, r->base) == 0 && buf_addc(out, '|') == 0);
	REQUIRE(buf_add(out, r->uidl) == 0 && buf_addc(out, '\n') == 0);
	return 0;
}

static enum courier_error
run(struct span in, bool sizelist, size_t step, struct buf *out, size_t *bad)
{
	static struct courier_parser p;

	p = (struct courier_parser){
	    .sizelist = sizelist, .header = on_header, .record = on_record, .arg = out};
	courier_begin(&p);
	for (; in.n > 0; in = span_from(in, step))
		courier_push(&p, fuzz_piece(in, step));
	courier_end(&p);
	REQUIRE(p.bad <= p.lines && p.bad_line <= p.lines);
	*bad = p.bad;
	return p.error;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span in = {(const char *)data, size};
	size_t step = fuzz_take(&in, 1, 64);

	for (int sizelist = 0; sizelist <= 1; sizelist++) {
		struct buf whole = {0}, cut = {0};
		size_t bad, bad_cut;
		enum courier_error e = run(in, sizelist, SIZE_MAX, &whole, &bad);

		REQUIRE(run(in, sizelist, step, &cut, &bad_cut) == e && bad == bad_cut);
		REQUIRE(span_eq(buf_span(&whole), buf_span(&cut)));
		buf_free(&whole);
		buf_free(&cut);
	}
	return 0;
}
