#include "protocol/command/octets.h"

#include "fs/abi.h"

/* One octet at the place o->n. */
static void
push(struct octets *o, char c)
{
	bool first = !o->in_line;

	if (c == '\0')
		o->bits |= MT_NUL;
	if ((unsigned char)c > 0x7f)
		o->bits |= MT_8BIT;
	if (first && c == '.')
		o->bits |= MT_DOT;
	if (first)
		o->other = false;
	if (c == '\n') {
		if (o->last[1] != '\r' && o->bare == 0)
			o->bare = o->n + 1;
		if (o->header == 0 && !first && !o->other)
			o->header = o->n + 1;
		o->in_line = false;
	} else {
		o->other |= !(first && c == '\r');
		o->in_line = true;
	}
	o->last[0] = o->last[1];
	o->last[1] = c;
	o->n++;
}

void
octets_push(struct octets *o, struct span in)
{
	for (size_t i = 0; i < in.n; i++)
		push(o, in.p[i]);
}

bool
octets_ended(const struct octets *o)
{
	return o->n == 0 || (o->last[0] == '\r' && o->last[1] == '\n');
}

uint64_t
octets_header(const struct octets *o)
{
	return o->header != 0 ? o->header : o->n;
}
