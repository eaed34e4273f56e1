#include "protocol/use.h"

static const struct {
	unsigned use;
	const char *name;
} names[] = {
    {VIEW_ALL, "\\All"},       {VIEW_ARCHIVE, "\\Archive"},
    {VIEW_DRAFTS, "\\Drafts"}, {VIEW_FLAGGED, "\\Flagged"},
    {VIEW_JUNK, "\\Junk"},     {VIEW_SENT, "\\Sent"},
    {VIEW_TRASH, "\\Trash"},   {VIEW_IMPORTANT, "\\Important"},
};

unsigned
use_by_name(struct span name)
{
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (span_caseeq(name, span_of(names[i].name)))
			return names[i].use;
	return 0;
}

const char *
use_name(unsigned *uses)
{
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (*uses & names[i].use) {
			*uses &= ~names[i].use;
			return names[i].name;
		}
	return NULL;
}
