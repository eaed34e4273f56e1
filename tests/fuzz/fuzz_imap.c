/*
 * fuzz_imap: what a client may send after login. The first octet chooses how the rest is
 * cut. Held: the octets sent are the same however the input is cut; they are lines, and
 * literals of exactly the announced length; parentheses and quotes of a response close;
 * no number of a FETCH or EXPUNGE is above what EXISTS said.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "protocol/imap/imap.h"
#include "storage/base/io.h"
#include "storage/base/log.h"
#include "storage/base/num.h"
#include "tests/unit/support/fakebox.h"

int LLVMFuzzerInitialize(int *, char ***);
int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static struct fakebox fb;
static int client;

static const struct {
	const char *text;
	uint32_t header;
} mail[] = {
    {"", 0},
    {"Subject: x\r\n\r\nbody\r\n", 14},
    {"Subject: =?utf-8?q?=C3=A4?=\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"
     "--b\r\nContent-Transfer-Encoding: base64\r\n\r\naGFsbG8=\r\n--b\r\n"
     "Content-Type: message/rfc822\r\n\r\nFrom: a@b\r\n\r\n\xff\r\n--b--\r\n",
     75},
    {"A: b\r\nA: c\r\n\r\n(\"\\\r\n", 14},
};

#define MUST(holds)                                                                    \
	do {                                                                           \
		if (!(holds))                                                          \
			abort();                                                       \
	} while (0)

static void
clean_up(void)
{
	fakebox_remove(&fb);
}

static void
make_mail(void)
{
	for (size_t i = 0; i < ARRAY_LEN(mail); i++) {
		struct mt_record *r = fakebox_add(&fb, span_of(mail[i].text), 0);

		r->header_size = mail[i].header;
		r->modseq = i + 1;
		r->date = 1000000000;
		fakebox_seal(r);
	}
	fb.head.modseq = ARRAY_LEN(mail);
	fakebox_publish(&fb);
}

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	log_open("fuzz_imap", LOG_LEVEL_ERROR, false);
	fakebox_make(&fb);
	make_mail();
	MUST((client = memfd_create("client", MFD_CLOEXEC)) != -1);
	atexit(clean_up);
	return 0;
}

/* A daemon that agrees to everything and has nothing to tell. */
static int
agree(void *arg, struct mt_ctl *ctl)
{
	(void)arg;
	ctl->size = 3;
	memcpy(ctl->text, "ok\n", 3);
	return 0;
}

/* ---- what was sent ----------------------------------------------------------------------- */

/* Does the line end in a literal's length? */
static bool
ends_in_literal(struct span line, uint64_t *size)
{
	const char *open = memrchr(line.p, '{', line.n);

	if (line.n == 0 || line.p[line.n - 1] != '}' || open == NULL)
		return false;
	open++;
	return num_u64((struct span){open, line.n - 1 - (size_t)(open - line.p)},
	               size) == 0;
}

/* One response, its literals with it: what is open is closed at its end. */
static void
take_response(struct span *all)
{
	int depth = 0;
	bool quoted = false, again, data = span_starts(*all, SPAN("* "));
	struct span line;

	do {
		uint64_t size;

		again = false;
		MUST(span_cut(all, '\n', &line) && line.n > 0 &&
		     line.p[line.n - 1] == '\r');
		line.n--;
		MUST(memchr(line.p, '\r', line.n) == NULL);
		for (size_t i = 0; data && i < line.n; i++) {
			char c = line.p[i];

			if (quoted && c == '\\')
				i++;
			else if (c == '"')
				quoted = !quoted;
			else if (!quoted)
				depth += c == '(' ? 1 : c == ')' ? -1 : 0;
		}
		if (data && !quoted && ends_in_literal(line, &size)) {
			MUST(size <= all->n);
			*all = span_from(*all, (size_t)size);
			again = true;
		}
	} while (again);
	MUST(!data || (depth == 0 && !quoted));
}

/* `* OK text` may hold anything: only data has structure. */
static bool
is_text(struct span all)
{
	static const char *const words[] = {"* OK ", "* BYE ", "* NO ", "* BAD "};

	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		if (span_starts(all, span_of(words[i])))
			return true;
	return false;
}

static void
check_transcript(struct span all)
{
	struct span line;

	while (all.n > 0) {
		if (is_text(all))
			MUST(span_cut(&all, '\n', &line));
		else
			take_response(&all);
	}
}

/* ---- the session ---------------------------------------------------------------------------- */

static void
run(struct span in, size_t step, struct buf *all)
{
	struct imap_conf conf = {.view = fakebox_conf(&fb),
	                         .name = "fuzz",
	                         .names = {'.', ""},
	                         .append_max = 100};
	enum imap_ev ev = IMAP_MORE;
	static struct out out;
	static struct imap im;

	MUST(ftruncate(client, 0) == 0 && lseek(client, 0, SEEK_SET) == 0);
	conf.view.ctl = agree;
	out_open(&out, client, 1000);
	MUST(imap_open(&im, &conf, &out) == 0);
	ev = imap_push(&im, SPAN("s SELECT INBOX\r\n"));
	MUST(ev == IMAP_MORE && im.box != NULL);
	while (in.n > 0 && ev == IMAP_MORE) {
		size_t n = in.n < step ? in.n : step;

		ev = imap_push(&im, (struct span){in.p, n});
		in = span_from(in, n);
	}
	MUST(im.box == NULL || im.box->ntold <= ARRAY_LEN(mail));
	imap_close(&im);
	MUST(lseek(client, 0, SEEK_SET) == 0 && io_slurp(client, all) == 0);
	check_transcript(buf_span(all));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct buf whole = {0}, cut = {0};
	struct span in;

	if (n < 2)
		return 0;
	in = (struct span){(const char *)data + 1, n - 1};
	run(in, in.n, &whole);
	run(in, 1 + data[0] % 32, &cut);
	MUST(span_eq(buf_span(&whole), buf_span(&cut)));
	buf_free(&whole);
	buf_free(&cut);
	return 0;
}
