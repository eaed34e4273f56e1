/* Sets of messages as clients write them (RFC 9051 section 9, sequence-set; RFC 5182). */
#include <errno.h>

#include "protocol/imap/imap.h"

/* Those of `from` that are there. */
static int
add_known(const struct mailbox *mb, const struct numset *from, struct numset *out)
{
	for (size_t i = 0; i < from->n; i++)
		for (size_t k = mailbox_at_least(mb, from->r[i].lo);
		     k < mb->ntold && mb->m[k].uid <= from->r[i].hi; k++)
			if (numset_add(out, mb->m[k].uid, mb->m[k].uid) == -1)
				return -1;
	return 0;
}

static int
add_numbers(const struct mailbox *mb, const struct numset *from, struct numset *out)
{
	for (size_t i = 0; i < from->n; i++)
		for (uint32_t n = from->r[i].lo; n <= from->r[i].hi; n++) {
			uint32_t uid = mb->m[n - 1].uid;

			if (numset_add(out, uid, uid) == -1)
				return -1;
		}
	return 0;
}

/* Message numbers must all be there (RFC 9051 section 9, seq-number). */
static bool
in_range(const struct mailbox *mb, const struct numset *set)
{
	return set->n == 0 || set->r[set->n - 1].hi <= mb->ntold;
}

int
imap_set(struct imap *im, struct span text, struct numset *out, const char **why)
{
	const struct mailbox *mb = im->box;
	struct numset set = {0};
	uint32_t star = (uint32_t)mb->ntold;
	int rc;

	if (span_eq(text, SPAN("$")))
		return add_known(mb, &im->saved, out);
	if (im->cmd->uid)
		star = mb->ntold > 0 ? mb->m[mb->ntold - 1].uid : 0;
	/* in an empty mailbox `*` is no message: 1 will do, since nothing is found */
	if (numset_parse(text, star > 0 ? star : 1, IMAP_RANGES_MAX, &set) == -1) {
		*why =
		    errno == EMSGSIZE ? "The set has too many ranges." : "Not a set.";
		rc = errno == ENOMEM ? -1 : 1;
	} else if (im->cmd->uid)
		rc = add_known(mb, &set, out);
	else if (!in_range(mb, &set)) {
		*why = "There is no message of that number.";
		rc = 1;
	} else
		rc = add_numbers(mb, &set, out);
	numset_free(&set);
	return rc;
}
