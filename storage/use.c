/* use: names of special uses (RFC 6154, RFC 8457). */
#include "storage/store.h"

static const struct {
	unsigned use;
	struct span name;
} uses[] = {
	{USE_ALL, {"\\All", 4}},       {USE_ARCHIVE, {"\\Archive", 8}},
	{USE_DRAFTS, {"\\Drafts", 7}}, {USE_FLAGGED, {"\\Flagged", 8}},
	{USE_JUNK, {"\\Junk", 5}},     {USE_SENT, {"\\Sent", 5}},
	{USE_TRASH, {"\\Trash", 6}},   {USE_IMPORTANT, {"\\Important", 10}},
};

bool
use_find(struct span name, unsigned *use)
{
	for (size_t i = 0; i < ARRAY_LEN(uses); i++)
		if (span_caseeq(name, uses[i].name)) {
			*use |= uses[i].use;
			return true;
		}
	return false;
}

int
use_print(unsigned use, char sep, struct buf *out)
{
	bool first = true;

	for (size_t i = 0; i < ARRAY_LEN(uses); i++) {
		if (!(use & uses[i].use))
			continue;
		if ((!first && buf_addc(out, sep) == -1) || buf_add(out, uses[i].name) == -1)
			return -1;
		first = false;
	}
	return 0;
}
