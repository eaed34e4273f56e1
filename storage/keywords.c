#include "storage/keywords.h"

#include <errno.h>

#include "storage/base/num.h"

bool
keywords_valid(struct span name)
{
	if (name.n == 0 || name.n > MT_KEYWORD_MAX)
		return false;
	for (size_t i = 0; i < name.n; i++) {
		char c = name.p[i];

		/* atom-specials of RFC 9051; 8-bit octets are none of its CHARs */
		if (c <= ' ' || c >= 0x7f || strchr("(){%*\"\\]", c) != NULL)
			return false;
	}
	return true;
}

int
keywords_find(const struct keywords *k, struct span name)
{
	for (int i = 0; i < MT_NKEYWORD; i++)
		if (k->name[i][0] != '\0' && span_caseeq(span_of(k->name[i]), name))
			return i;
	return -1;
}

static void
set(struct keywords *k, unsigned row, struct span name)
{
	memset(k->name[row], 0, sizeof k->name[row]);
	memcpy(k->name[row], name.p, name.n);
}

/* `NUMBER NAME` into its row; false when it is no such line. */
static bool
take(struct keywords *k, struct span line)
{
	struct span name = line, number;
	uint32_t row;

	if (!span_cut(&name, ' ', &number) || num_u32(number, &row) == -1 ||
	    row >= MT_NKEYWORD)
		return false;
	if (k->name[row][0] != '\0')
		return false;
	if (!keywords_valid(name) || keywords_find(k, name) != -1) {
		/* messages may carry this letter: it must not get another meaning */
		k->reserved |= 1u << row;
		return false;
	}
	set(k, row, name);
	return true;
}

int
keywords_parse(struct span text, struct keywords *k)
{
	struct span line;

	for (size_t number = 1; span_cut(&text, '\n', &line); number++) {
		if (line.n == 0 || take(k, line))
			continue;
		if (k->bad++ == 0)
			k->bad_line = number;
		if (buf_add(&k->foreign, line) == -1 || buf_addc(&k->foreign, '\n') == -1)
			return -1;
	}
	return 0;
}

int
keywords_print(const struct keywords *k, struct buf *out)
{
	for (unsigned i = 0; i < MT_NKEYWORD; i++)
		if (k->name[i][0] != '\0' && buf_addf(out, "%u %s\n", i, k->name[i]) == -1)
			return -1;
	return buf_add(out, buf_span(&k->foreign));
}

int
keywords_add(struct keywords *k, struct span name)
{
	if (!keywords_valid(name)) {
		errno = EINVAL;
		return -1;
	}
	if (keywords_find(k, name) != -1) {
		errno = EEXIST;
		return -1;
	}
	for (unsigned i = 0; i < MT_NKEYWORD; i++)
		if (k->name[i][0] == '\0' && !(k->reserved >> i & 1)) {
			set(k, i, name);
			return (int)i;
		}
	errno = ENOSPC;
	return -1;
}

void
keywords_free(struct keywords *k)
{
	buf_free(&k->foreign);
	*k = (struct keywords){0};
}
