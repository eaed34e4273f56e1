/* The commands that say something about the session and not about mail. */
#include <inttypes.h>

#include "protocol/imap/capability.h"
#include "protocol/imap/imap.h"
#include "protocol/imap/news.h"

int
cmd_capability(struct imap *im, const struct arg *args)
{
	struct buf b = {0};
	int rc = -1;

	(void)args;
	if (buf_addf(&b, "* ") == 0 &&
	    capability_print(CAPABILITY_USER, 0, im->conf->append_max, &b) == 0 &&
	    buf_addf(&b, "\r\n") == 0 && out_copy(im->out, buf_span(&b)) == 0)
		rc = imap_ok(im, NULL, "CAPABILITY completed.");
	buf_free(&b);
	return rc;
}

int
cmd_noop(struct imap *im, const struct arg *args)
{
	(void)args;
	/* what other programs did is seen now, not a moment later */
	if (im->box != NULL)
		(void)view_ctl(&im->box->view, SPAN("sync"), NULL, NULL);
	return imap_ok(im, NULL, "%.*s completed.", (int)im->cmd->name.n,
	               im->cmd->name.p);
}

int
cmd_logout(struct imap *im, const struct arg *args)
{
	(void)args;
	im->logout = true;
	im->quiet = true;
	if (imap_printf(im, "* BYE Logging out\r\n") == -1)
		return -1;
	return imap_ok(im, NULL, "LOGOUT completed.");
}

int
cmd_id(struct imap *im, const struct arg *args)
{
	if (args->next != NULL || (args->type != ARG_LIST && !arg_is_nil(args)))
		return imap_bad(im, "ID takes a list or NIL.");
	if (imap_printf(im, "* ID (\"name\" \"mailtree\" \"version\" \"%s\")\r\n",
	                MT_VERSION) == -1)
		return -1;
	return imap_ok(im, NULL, "ID completed.");
}

int
imap_enable(struct imap *im, unsigned bits)
{
	bool had_modseq = im->enabled & EN_CONDSTORE;

	if (bits & EN_QRESYNC)
		bits |= EN_CONDSTORE; /* RFC 7162 section 3.2.3 */
	im->enabled |= bits;
	if (had_modseq || !(bits & EN_CONDSTORE) || im->box == NULL)
		return 0;
	return imap_printf(im, "* OK [HIGHESTMODSEQ %" PRIu64 "] Highest.\r\n",
	                   im->box->modseq);
}

/* RFC 5161: what is not known, or takes no enabling, is passed over. */
int
cmd_enable(struct imap *im, const struct arg *args)
{
	static const struct {
		const char *name;
		unsigned bit;
	} known[] = {
	    {"CONDSTORE", EN_CONDSTORE},
	    {"QRESYNC", EN_QRESYNC},
	    {"UTF8=ACCEPT", EN_UTF8},
	    {"IMAP4rev2", EN_REV2},
	};
	unsigned bits = 0;

	for (const struct arg *a = args; a != NULL; a = a->next) {
		if (a->type != ARG_ATOM)
			return imap_bad(im, "ENABLE takes names of capabilities.");
		for (size_t i = 0; i < ARRAY_LEN(known); i++)
			if (arg_is_atom(a, known[i].name))
				bits |= known[i].bit;
	}
	if (out_copy(im->out, SPAN("* ENABLED")) == -1)
		return -1;
	for (size_t i = 0; i < ARRAY_LEN(known); i++)
		if (bits & known[i].bit && imap_printf(im, " %s", known[i].name) == -1)
			return -1;
	if (out_copy(im->out, SPAN("\r\n")) == -1 || imap_enable(im, bits) == -1)
		return -1;
	return imap_ok(im, NULL, "ENABLE completed.");
}
