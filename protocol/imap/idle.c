/* IDLE (RFC 9051 section 6.3.13): news are told as they come, until the line DONE. */
#include "protocol/imap/imap.h"
#include "protocol/imap/news.h"

int
cmd_idle(struct imap *im, const struct arg *args)
{
	(void)args;
	/* a tag has room, and no NUL */
	(void)span_cstr(im->cmd->tag, im->idle.tag, sizeof im->idle.tag);
	im->idle.line.len = 0;
	im->idle.line.over = im->idle.line.done = false;
	im->idle.on = true;
	if (im->box != NULL)
		(void)view_ctl(&im->box->view, SPAN("sync"), NULL, NULL);
	if (out_copy(im->out, SPAN("+ idling\r\n")) == -1)
		return -1;
	return news_tell(im);
}

static int
end(struct imap *im)
{
	struct span line = line_text(&im->idle.line);
	bool done = !im->idle.line.over && span_caseeq(span_trim(line), SPAN("DONE"));
	struct command cmd = {.tag = span_of(im->idle.tag)};
	int rc;

	im->idle.on = false;
	im->quiet = false;
	im->cmd = &cmd;
	rc = done ? imap_ok(im, NULL, "IDLE completed.")
	          : imap_bad(im, "Expected DONE.");
	im->cmd = NULL;
	return rc;
}

int
idle_push(struct imap *im, struct span *in, bool *more)
{
	if (line_push(&im->idle.line, in) != LINE_MORE)
		return end(im);
	*more = true;
	return 0;
}
