#include "protocol/command/statefile.h"

#include <errno.h>

#include "fs/abi.h"
#include "storage/base/num.h"

/* Octets of the lines, with their LF. */
enum { HEAD_LINE = 32, KEYWORD_LINE = 160, MESSAGE_LINE = 96 };

/* Take a line of exactly n octets off *rest, without its LF. */
static int
take_line(struct span *rest, size_t n, struct span *line)
{
	if (rest->n < n || memchr(rest->p, '\n', n) != rest->p + n - 1) {
		errno = EINVAL;
		return -1;
	}
	*line = (struct span){rest->p, n - 1};
	*rest = span_from(*rest, n);
	return 0;
}

static int
head_line(struct span *rest, const char *name, uint64_t *value)
{
	struct span line, word;

	if (take_line(rest, HEAD_LINE, &line) == -1)
		return -1;
	if (!span_word(&line, &word) || !span_eq(word, span_of(name))) {
		errno = EINVAL;
		return -1;
	}
	return num_u64(span_trim(line), value);
}

int
statefile_open(struct span text, struct statefile *s)
{
	struct span line;

	s->rest = text;
	if (head_line(&s->rest, "uidvalidity", &s->uidvalidity) == -1 ||
	    head_line(&s->rest, "uidnext", &s->uidnext) == -1 ||
	    head_line(&s->rest, "messages", &s->messages) == -1 ||
	    head_line(&s->rest, "keywords", &s->keywords) == -1)
		return -1;
	for (uint64_t i = 0; i < s->keywords; i++)
		if (take_line(&s->rest, KEYWORD_LINE, &line) == -1)
			return -1;
	return 0;
}

/* A date may lie before 1970. */
static int
signed_number(struct span word, int64_t *n)
{
	bool minus = word.n > 0 && word.p[0] == '-';
	uint64_t u;

	if (num_u64(span_from(word, minus), &u) == -1)
		return -1;
	*n = minus ? (int64_t)-u : (int64_t)u;
	return 0;
}

/* Letters in their places, `-` where one is missing: bit i for letters[i]. */
static int
letters(struct span word, const char *letters, uint32_t *bits)
{
	*bits = 0;
	if (word.n != strlen(letters)) {
		errno = EINVAL;
		return -1;
	}
	for (size_t i = 0; i < word.n; i++)
		if (word.p[i] == letters[i])
			*bits |= 1u << i;
		else if (word.p[i] != '-') {
			errno = EINVAL;
			return -1;
		}
	return 0;
}

int
statefile_next(struct statefile *s, struct statefile_line *out)
{
	static const uint16_t flag[] = {MT_DRAFT, MT_FLAGGED, MT_ANSWERED, MT_SEEN,
	                                MT_DELETED};
	struct span line, word[5];
	uint32_t flags;

	if (s->rest.n == 0)
		return 0;
	if (take_line(&s->rest, MESSAGE_LINE, &line) == -1)
		return -1;
	for (size_t i = 0; i < ARRAY_LEN(word); i++)
		if (!span_word(&line, &word[i])) {
			errno = EINVAL;
			return -1;
		}
	if (num_u32(word[0], &out->uid) == -1 || num_u64(word[1], &out->size) == -1 ||
	    signed_number(word[2], &out->date) == -1 ||
	    letters(word[3], "DFRST", &flags) == -1 ||
	    letters(word[4], "abcdefghijklmnopqrstuvwxyz", &out->keywords) == -1)
		return -1;
	out->flags = 0;
	for (size_t i = 0; i < ARRAY_LEN(flag); i++)
		if (flags & 1u << i)
			out->flags |= flag[i];
	return 1;
}
