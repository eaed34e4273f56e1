#include "storage/mdname.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "fs/abi.h"
#include "storage/base/num.h"

/* In ASCII order, which is the order that they are written in. */
static const struct {
	char letter;
	uint16_t flag;
} letters[] = {
	{'D', MT_DRAFT},   {'F', MT_FLAGGED}, {'R', MT_ANSWERED},
	{'S', MT_SEEN},	   {'T', MT_DELETED},
};

static uint16_t
flag_of(char c)
{
	for (size_t i = 0; i < ARRAY_LEN(letters); i++)
		if (letters[i].letter == c)
			return letters[i].flag;
	return 0;
}

static bool
is_keyword(char c)
{
	return c >= 'a' && c <= 'z';
}

/* The offset of the separator before the info, or name.n. */
static size_t
info_at(struct span name)
{
	const char *colon = name.n == 0 ? NULL : memchr(name.p, ':', name.n);

	if (colon != NULL)
		return (size_t)(colon - name.p);
	for (size_t i = 0; i + 3 <= name.n; i++)
		if (memcmp(name.p + i, ";2,", 3) == 0)
			return i;
	return name.n;
}

/* `,S=123` in the base: the number ends at ',' or the end. */
static uint64_t
hint(struct span base, char key)
{
	struct span part, rest = base;
	uint64_t v;

	for (bool first = true; span_cut(&rest, ',', &part); first = false)
		if (!first && part.n > 2 && part.p[0] == key && part.p[1] == '=' &&
		    num_u64(span_from(part, 2), &v) == 0)
			return v;
	return MDNAME_NO_HINT;
}

void
mdname_parse(struct span name, struct mdname *m)
{
	size_t at = info_at(name);
	struct span info = span_from(name, at);

	*m = (struct mdname){
	    .base = {name.p, at},
	    .sep = info.n > 0 ? info.p[0] : 0,
	    .hint_size = hint((struct span){name.p, at}, 'S'),
	    .hint_wire = hint((struct span){name.p, at}, 'W'),
	};
	info = span_from(info, 1);
	if (!span_starts(info, SPAN("2,")))
		return;
	info = span_from(info, 2);
	while (m->letters.n < info.n && info.p[m->letters.n] != ',')
		m->letters.n++;
	m->letters.p = info.p;
	m->rest = span_from(info, m->letters.n);
	for (size_t i = 0; i < m->letters.n; i++) {
		char c = m->letters.p[i];

		m->flags |= flag_of(c);
		if (is_keyword(c))
			m->keywords |= 1u << (c - 'a');
	}
}

/* Flag letters in ASCII order; `foreign` are letters of others, kept among them. */
static int
print_letters(uint16_t flags, uint32_t keywords, struct span foreign, struct buf *out)
{
	bool on[256] = {0};

	for (size_t i = 0; i < ARRAY_LEN(letters); i++)
		on[(unsigned char)letters[i].letter] = flags & letters[i].flag;
	for (unsigned k = 0; k < MT_NKEYWORD; k++)
		on['a' + k] = keywords >> k & 1;
	for (size_t i = 0; i < foreign.n; i++)
		if (flag_of(foreign.p[i]) == 0 && !is_keyword(foreign.p[i]))
			on[(unsigned char)foreign.p[i]] = true;
	for (unsigned c = 0; c < ARRAY_LEN(on); c++)
		if (on[c] && buf_addc(out, (char)c) == -1)
			return -1;
	return 0;
}

int
mdname_print(const struct mdname *m, uint16_t flags, uint32_t keywords, struct buf *out)
{
	size_t before = out->n;

	if (buf_add(out, m->base) == -1 || buf_addc(out, m->sep ? m->sep : ':') == -1 ||
	    buf_add(out, SPAN("2,")) == -1 ||
	    print_letters(flags, keywords, m->letters, out) == -1 ||
	    buf_add(out, m->rest) == -1)
		goto undo;
	if (out->n - before > MDNAME_MAX) {
		errno = ENAMETOOLONG;
		goto undo;
	}
	return 0;
undo:
	out->n = before;
	return -1;
}

int
mdname_print_info(uint16_t flags, uint32_t keywords, struct buf *out)
{
	size_t before = out->n;

	if (buf_add(out, SPAN(":2,")) == -1 ||
	    print_letters(flags, keywords, (struct span){0}, out) == -1) {
		out->n = before;
		return -1;
	}
	return 0;
}

/* This machine's name, once: as the Maildir definition wants it, and ',' for our hints. */
static char host[64];

static void
learn_host(void)
{
	char name[256];
	size_t n = 0;

	if (gethostname(name, sizeof name) == -1 || name[0] == '\0')
		strcpy(name, "localhost");
	name[sizeof name - 1] = '\0';
	for (const char *c = name; *c != '\0' && n + 5 < sizeof host; c++) {
		unsigned char u = (unsigned char)*c;

		if (u <= ' ' || u >= 0x7f || strchr("/:,;\\", u) != NULL) {
			host[n++] = '\\';
			host[n++] = (char)('0' + (u >> 6));
			host[n++] = (char)('0' + (u >> 3 & 7));
			host[n++] = (char)('0' + (u & 7));
		} else
			host[n++] = *c;
	}
}

int
mdname_unique(struct buf *out)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	static _Atomic unsigned long serial;
	struct timeval now;

	pthread_once(&once, learn_host);
	gettimeofday(&now, NULL);
	return buf_addf(out, "%lld.M%06ldP%ldQ%lu.%s", (long long)now.tv_sec,
			(long)now.tv_usec, (long)getpid(),
			atomic_fetch_add(&serial, 1) + 1, host);
}

int
mdname_sized(struct span base, uint64_t stored_size, uint64_t wire_size, struct buf *out)
{
	size_t before = out->n;

	if (buf_add(out, base) == 0 &&
	    buf_addf(out, ",S=%llu,W=%llu", (unsigned long long)stored_size,
		     (unsigned long long)wire_size) == 0)
		return 0;
	out->n = before;
	return -1;
}

bool
mdname_valid(struct span name)
{
	if (name.n == 0 || name.n > MDNAME_MAX || span_eq(name, SPAN(".")) ||
	    span_eq(name, SPAN("..")))
		return false;
	for (size_t i = 0; i < name.n; i++)
		if (name.p[i] == '/' || name.p[i] == '\0' || name.p[i] == '\n')
			return false;
	return true;
}
