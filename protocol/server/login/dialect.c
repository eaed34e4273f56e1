#include "protocol/server/login/dialect.h"

#include <inttypes.h>
#include <stdio.h>
#include <sys/random.h>

/* ---- POP3 -------------------------------------------------------------------------- */

/* For APOP. 128 random bits are not the same twice, on whatever host. */
static bool
make_stamp(char out[static PRELOGIN_STAMP_MAX])
{
	uint64_t r[2];

	if (getrandom(r, sizeof r, 0) != sizeof r)
		return false;
	return (size_t)snprintf(out, PRELOGIN_STAMP_MAX,
	                        "<%" PRIx64 ".%" PRIx64 "@mailtree>", r[0],
	                        r[1]) < PRELOGIN_STAMP_MAX;
}

static void
pop3_open(union speaker *s, const struct prelogin_conf *conf, struct buf *out)
{
	char stamp[PRELOGIN_STAMP_MAX];

	prelogin_open(&s->pop3, conf,
	              conf->mechs & MECH_APOP && make_stamp(stamp) ? stamp : NULL, out);
}

static void
pop3_restart(union speaker *s, const struct prelogin_conf *conf)
{
	prelogin_restart(&s->pop3, conf);
}

static enum prelogin_ev
pop3_push(union speaker *s, struct span *in, struct buf *out)
{
	return prelogin_push(&s->pop3, in, out);
}

static enum prelogin_ev
pop3_refuse(union speaker *s, enum prelogin_why why, struct buf *out)
{
	return prelogin_refuse(&s->pop3, why, out);
}

static enum prelogin_ev
pop3_challenge(union speaker *s, struct span octets, struct buf *out)
{
	return prelogin_challenge(&s->pop3, octets, out);
}

static const struct prelogin_talk *
pop3_talk(const union speaker *s)
{
	return &s->pop3.talk;
}

static struct span
pop3_user(const union speaker *s)
{
	return prelogin_user(&s->pop3);
}

static struct span
pop3_password(const union speaker *s)
{
	return s->pop3.password;
}

static struct dialect_start
pop3_start(const union speaker *s)
{
	return (struct dialect_start){.tag = SPAN(""),
	                              .lang = span_of(lang_tag(s->pop3.lang)),
	                              .utf8 = s->pop3.utf8 ? SPAN("8") : SPAN("-")};
}

static void
pop3_wipe(union speaker *s)
{
	prelogin_wipe(&s->pop3);
}

const struct dialect dialect_pop3 = {
    .name = "pop3",
    .stop = "-ERR [SYS/TEMP] Shutting down.\r\n",
    .late = "", /* RFC 1939 section 3: without a response */
    .open = pop3_open,
    .restart = pop3_restart,
    .push = pop3_push,
    .refuse = pop3_refuse,
    .challenge = pop3_challenge,
    .talk = pop3_talk,
    .user = pop3_user,
    .password = pop3_password,
    .start = pop3_start,
    .wipe = pop3_wipe,
};

/* ---- IMAP -------------------------------------------------------------------------- */

static void
imap_open(union speaker *s, const struct prelogin_conf *conf, struct buf *out)
{
	imap_prelogin_open(&s->imap, conf, out);
}

static void
imap_restart(union speaker *s, const struct prelogin_conf *conf)
{
	imap_prelogin_restart(&s->imap, conf);
}

static enum prelogin_ev
imap_push(union speaker *s, struct span *in, struct buf *out)
{
	return imap_prelogin_push(&s->imap, in, out);
}

static enum prelogin_ev
imap_refuse(union speaker *s, enum prelogin_why why, struct buf *out)
{
	return imap_prelogin_refuse(&s->imap, why, out);
}

static enum prelogin_ev
imap_challenge(union speaker *s, struct span octets, struct buf *out)
{
	return imap_prelogin_challenge(&s->imap, octets, out);
}

static const struct prelogin_talk *
imap_talk(const union speaker *s)
{
	return &s->imap.talk;
}

static struct span
imap_user(const union speaker *s)
{
	return imap_prelogin_user(&s->imap);
}

static struct span
imap_password(const union speaker *s)
{
	return imap_prelogin_password(&s->imap);
}

static struct dialect_start
imap_start(const union speaker *s)
{
	return (struct dialect_start){.tag = imap_prelogin_tag(&s->imap),
	                              .lang = SPAN("i-default"),
	                              .utf8 = SPAN("-")};
}

static void
imap_wipe(union speaker *s)
{
	imap_prelogin_wipe(&s->imap);
}

const struct dialect dialect_imap = {
    .name = "imap",
    .stop = "* BYE Shutting down.\r\n",
    .late = "* BYE No login for too long.\r\n",
    .open = imap_open,
    .restart = imap_restart,
    .push = imap_push,
    .refuse = imap_refuse,
    .challenge = imap_challenge,
    .talk = imap_talk,
    .user = imap_user,
    .password = imap_password,
    .start = imap_start,
    .wipe = imap_wipe,
};
