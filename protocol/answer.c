#include "protocol/answer.h"

#include "protocol/base64.h"

enum answer
answer_read(struct span line, bool initial, char *room, struct span *octets)
{
	ptrdiff_t n;

	if (!initial && span_eq(line, SPAN("*")))
		return ANSWER_CANCEL;
	if (initial && span_eq(line, SPAN("=")))
		line.n = 0;
	if ((n = base64_decode(line, room, ANSWER_MAX)) == -1)
		return ANSWER_BAD;
	*octets = (struct span){room, (size_t)n};
	return ANSWER_OCTETS;
}

int
answer_challenge(struct span octets, struct buf *b)
{
	return buf_add(b, SPAN("+ ")) == -1 || base64_encode(octets, b) == -1 ||
	               buf_add(b, SPAN("\r\n")) == -1
	           ? -1
	           : 0;
}
