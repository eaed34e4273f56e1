/*
 * config: whatever a text says, it is read to its end, its mistakes have places, and what
 * was understood means the same when it is printed and read again. The rest of the
 * server's small languages go along: variables, password files, messages.
 */
#include "protocol/server/config.h"
#include "protocol/server/confscan.h"
#include "protocol/server/expand.h"
#include "protocol/server/msg.h"
#include "protocol/server/namespaces.h"
#include "protocol/server/passwdfile.h"
#include "tests/fuzz/fuzz.h"

static void
load(struct config *c, struct span text)
{
	REQUIRE(config_init(c) == 0);
	config_text(c, text, "fuzz", 0, NULL);
	config_finish(c);
}

/* What a session is started with: so many texts, each with its NUL, as can be counted. */
static void
namespaces_are_options(const struct config *c)
{
	struct buf out = {0};
	size_t n, nuls = 0;

	if (c->nerror > 0)
		return;
	REQUIRE(namespaces_options(c, &out, &n) == 0);
	REQUIRE(n <= 4 + 4 * NAMESPACES_MAILBOXES_MAX);
	for (size_t i = 0; i < out.n; i++)
		nuls += out.p[i] == '\0';
	REQUIRE(nuls == n);
	REQUIRE(n == 0 || out.p[out.n - 1] == '\0');
	buf_free(&out);
}

static void
config_prints_what_it_reads(struct span in)
{
	struct buf once = {0}, twice = {0};
	struct config c, d;

	load(&c, in);
	REQUIRE(c.npassdb <= CONF_LIST_MAX && c.nlistener <= CONF_LIST_MAX);
	REQUIRE(c.nnote <= CONF_NOTES_MAX);
	for (size_t i = 0; i < c.nnote; i++)
		REQUIRE(c.note[i].file == NULL ||
		        (c.note[i].line > 0 && c.note[i].col > 0));
	REQUIRE(config_print(&c, false, &once) == 0);
	load(&d, buf_span(&once));
	REQUIRE(config_print(&d, false, &twice) == 0);
	REQUIRE(span_eq(buf_span(&once), buf_span(&twice)));
	for (int k = 0; k < CONF_NKEY; k++)
		REQUIRE(c.num[k] == d.num[k]);
	REQUIRE(c.nns == d.nns && c.nmailbox == d.nmailbox);
	namespaces_are_options(&c);
	config_free(&c);
	config_free(&d);
	buf_free(&once);
	buf_free(&twice);
}

/* Opens and closes are counted alike by who scans and who counts. */
static void
scan_ends(struct span in)
{
	struct confscan scan = {.rest = in};
	struct confscan_item it;
	size_t items = 0, lines = 1;
	enum confscan_ev ev;

	for (size_t i = 0; i < in.n; i++)
		lines += in.p[i] == '\n';
	while ((ev = confscan_next(&scan, &it)) != CONFSCAN_END) {
		REQUIRE(++items <= in.n + 1);
		REQUIRE(it.line >= 1 && it.line <= lines && it.col >= 1);
		REQUIRE(ev != CONFSCAN_BAD || it.why != NULL);
		REQUIRE(ev != CONFSCAN_SET || it.name.n > 0);
	}
	confscan_free(&scan);
}

static void
variables(struct span in)
{
	const struct expand_vars vars = {SPAN("al@ex.org"), SPAN("/home/al")};
	struct buf out = {.max = 65536};
	int rc = expand(in, &vars, &out);

	REQUIRE(rc == 0 || expand_check(in) != NULL || out.n > 60000);
	buf_free(&out);
}

/* A user's password is what was set, and everybody else's is what it was. */
static void
passwords(struct span in)
{
	struct passwdfile_entry e, after;
	struct buf out = {0};
	struct span text = in, line, fresh;
	bool found = false;

	REQUIRE(passwdfile_set(in, SPAN("al"), SPAN("H"), &out) == 0);
	fresh = buf_span(&out);
	while (span_cut(&text, '\n', &line)) {
		bool is = passwdfile_parse(line, &e);

		REQUIRE(span_cut(&fresh, '\n', &line));
		REQUIRE(passwdfile_parse(line, &after) == is);
		if (!is)
			continue;
		REQUIRE(span_eq(e.user, after.user) && span_eq(e.uid, after.uid));
		REQUIRE(span_eq(e.extra, after.extra) && span_eq(e.home, after.home));
		if (span_eq(e.user, SPAN("al")) && !found) {
			REQUIRE(span_eq(after.password, SPAN("H")));
			found = true;
		} else {
			REQUIRE(span_eq(e.password, after.password));
		}
	}
	REQUIRE(found || span_cut(&fresh, '\n', &line));
	REQUIRE(fresh.n == 0);
	buf_free(&out);
}

static void
messages(struct span in)
{
	struct record r;
	struct msg m;

	for (int from = 0; from <= MSG_WORKER; from++)
		for (int to = 0; to <= MSG_WORKER; to++)
			if (msg_parse(in, (enum msg_peer)from, (enum msg_peer)to, &m) ==
			    0) {
				REQUIRE(m.n <= MSG_FIELDS_MAX);
				if (m.n == RECORD_FIELDS)
					(void)record_parse(&m, 0, &r);
			}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span in = {(const char *)data, size};

	config_prints_what_it_reads(in);
	scan_ends(in);
	variables(in);
	passwords(in);
	messages(in);
	return 0;
}
