#include "protocol/server/auth/worker.h"

#include <stdlib.h>
#include <unistd.h>

#include "protocol/mech.h"
#include "protocol/server/auth/birth.h"
#include "protocol/server/auth/dialog.h"
#include "storage/base/log.h"
#include "storage/base/num.h"

struct slot {
	uint64_t id; /* 0: free */
	struct dialog *dialog;
};

struct worker {
	const struct config *conf;
	int sock;
	struct authdb_user user; /* room, used again and again */
	struct slot slot[WORKER_DIALOGS_MAX];
};

/* ---- answers -------------------------------------------------------------------------- */

static int
answer_user(struct worker *w, enum authdb_is is, struct span name)
{
	struct record_room room;
	struct span f[RECORD_FIELDS];

	if (is == AUTHDB_NOBODY)
		return MSG_SEND(w->sock, -1, MSG_NOBODY,
		                memchr(name.p, '\0', name.n) ? SPAN("?") : name);
	if (is == AUTHDB_FAILED)
		return msg_send(w->sock, -1, MSG_FAILED, NULL, 0);
	record_fields(&w->user.record, &room, f);
	return msg_send(w->sock, -1, MSG_RECORD, f, RECORD_FIELDS);
}

static int
answer_names(struct worker *w)
{
	struct buf names = {.max = MSG_PACKET_MAX - 64};
	int rc;

	rc = authdb_names(w->conf, &names) == 0
	         ? MSG_SEND(w->sock, -1, MSG_ALLNAMES, buf_span(&names))
	         : msg_send(w->sock, -1, MSG_FAILED, NULL, 0);
	buf_free(&names);
	return rc;
}

/* ---- dialogues ------------------------------------------------------------------------ */

static struct slot *
find_slot(struct worker *w, uint64_t id)
{
	for (size_t i = 0; i < WORKER_DIALOGS_MAX; i++)
		if (w->slot[i].id == id)
			return &w->slot[i];
	return NULL;
}

static void
drop(struct slot *s)
{
	dialog_end(s->dialog);
	*s = (struct slot){0};
}

/* One step further. */
static int
push(struct worker *w, struct slot *s, const struct span *answer)
{
	struct buf out = {.max = DIALOG_TEXT_MAX};
	enum dialog_ev ev = dialog_push(s->dialog, answer, &out, &w->user);
	int rc = -1;

	switch (ev) {
	case DIALOG_CHALLENGE:
		rc = MSG_SEND(w->sock, -1, MSG_TURN, buf_span(&out));
		break;
	case DIALOG_FOUND:
		rc = answer_user(w, AUTHDB_FOUND, SPAN(""));
		break;
	case DIALOG_NOBODY:
		rc = answer_user(w, AUTHDB_NOBODY, dialog_name(s->dialog));
		break;
	case DIALOG_FAILED:
		rc = answer_user(w, AUTHDB_FAILED, SPAN(""));
		break;
	}
	if (ev != DIALOG_CHALLENGE)
		drop(s);
	buf_free(&out);
	return rc;
}

static struct authdb_peer
peer_of(const struct msg *m)
{
	return (struct authdb_peer){.protocol = m->f[MSG_F_PROTOCOL],
	                            .local = m->f[MSG_F_LOCAL],
	                            .remote = m->f[MSG_F_REMOTE],
	                            .secured = span_eq(m->f[MSG_F_SECURED], SPAN("1")),
	                            .certificate = SPAN("")};
}

static int
begin(struct worker *w, const struct msg *m, uint64_t id)
{
	struct authdb_peer peer = peer_of(m);
	struct span answer = span_from(m->f[MSG_F_RESPONSE], 1);
	unsigned mech = mech_named(m->f[MSG_F_MECHANISM]);
	struct slot *s = find_slot(w, 0);

	peer.certificate = m->f[MSG_F_CERTIFICATE];
	if (!(mech & config_mechanisms(w->conf)))
		return answer_user(w, AUTHDB_NOBODY, SPAN(""));
	if (s == NULL || (s->dialog = dialog_begin(w->conf, mech, &peer)) == NULL)
		return answer_user(w, AUTHDB_FAILED, SPAN(""));
	s->id = id;
	return push(w, s, m->f[MSG_F_RESPONSE].n > 0 ? &answer : NULL);
}

static int
go_on(struct worker *w, const struct msg *m, uint64_t id)
{
	struct slot *s = find_slot(w, id);

	return s != NULL ? push(w, s, &m->f[1])
	                 : answer_user(w, AUTHDB_FAILED, SPAN(""));
}

static int
answer_dialog(struct worker *w, const struct msg *m)
{
	struct slot *s;
	uint64_t id;

	if (num_u64(m->f[MSG_F_ID], &id) == -1 || id == 0)
		return -1;
	if (m->type == MSG_SAY)
		return begin(w, m, id);
	if (m->type == MSG_GO_ON)
		return go_on(w, m, id);
	if ((s = find_slot(w, id)) != NULL)
		drop(s);
	return 0;
}

/* ---- questions ------------------------------------------------------------------------ */

static int
check(struct worker *w, const struct msg *m)
{
	struct authdb_peer peer = peer_of(m);
	struct span user = m->f[MSG_F_USER];

	return answer_user(w,
	                   authdb_check(w->conf, user, SPAN(""), m->f[MSG_F_PASSWORD],
	                                &peer, &w->user),
	                   user);
}

static int
answer(struct worker *w, const struct msg *m)
{
	switch (m->type) {
	case MSG_CHECK:
		return check(w, m);
	case MSG_SAY:
	case MSG_GO_ON:
	case MSG_DROP:
		return answer_dialog(w, m);
	case MSG_FIND:
		return answer_user(w, authdb_find(w->conf, m->f[0], &w->user), m->f[0]);
	case MSG_ALL:
		return answer_names(w);
	default:
		return -1;
	}
}

static void __attribute__((noreturn)) work(const struct config *conf, int sock)
{
	static struct worker w;
	static char room[MSG_PACKET_MAX];
	struct msg m;
	int fd;

	w = (struct worker){.conf = conf, .sock = sock};
	while (msg_recv(sock, MSG_AUTHD, MSG_WORKER, room, sizeof room, &m, &fd) == 1 &&
	       answer(&w, &m) == 0)
		explicit_bzero(room, sizeof room); /* a password was in it */
	_exit(0);
}

pid_t
worker_start(const struct config *conf, int *sock)
{
	pid_t pid = birth(sock);

	if (pid == 0)
		work(conf, BIRTH_SOCKET);
	return pid;
}
