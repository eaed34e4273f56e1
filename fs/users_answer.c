/*
 * users_answer: what the server's parent says about users. A user's store is opened by a
 * thread of its own: neither requests nor other answers wait for somebody's disk.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "fs/users_private.h"
#include "storage/base/io.h"
#include "storage/base/num.h"

#define PACKET_MAX 16384

struct opening {
	struct users *users;
	uint32_t id;
	char name[256];
	char *location;
	int rootfd;
	struct cred cred;
};

static struct user *
open_user(struct opening *o)
{
	struct store_conf conf = {
	    .name = o->name,
	    .location = o->location,
	    .rootfd = o->rootfd,
	    .cred = geteuid() == 0 ? &o->cred : NULL,
	    .readonly = o->users->fs->readonly,
	    .index_in_own_folder = true,
	};
	struct user *p = calloc(1, sizeof *p);

	if (p == NULL)
		return NULL;
	if ((p->name = strdup(o->name)) == NULL ||
	    store_open(o->users->fs->env, &conf, &p->store) == -1)
		goto undo;
	o->rootfd = -1;
	if (store_top(p->store, &p->top) == 0)
		return p;
	store_close(p->store);
undo:
	free(p->name);
	free(p);
	return NULL;
}

static void
free_opening(struct opening *o)
{
	if (o->rootfd != -1)
		close(o->rootfd);
	free(o->location);
	free(o);
}

static void *
opening_thread(void *arg)
{
	struct opening *o = arg;
	struct users *u = o->users;
	struct user *p = open_user(o);
	struct question *q;
	int err = 0;

	if (p == NULL) {
		err = errno == ENOENT || errno == ENOMEM ? EIO : errno;
		log_error("%s: cannot open \"%s\": %m", o->name, o->location);
	} else {
		pthread_mutex_lock(&u->lock);
		users_link(u, p);
		pthread_mutex_unlock(&u->lock);
	}
	if ((q = users_take_question(u, o->id)) != NULL)
		users_answer_lookups(q, p == NULL ? NULL : p->top, err);
	free_opening(o);
	pthread_mutex_lock(&u->lock);
	u->nopening--;
	pthread_cond_signal(&u->opened);
	pthread_mutex_unlock(&u->lock);
	return NULL;
}

/* The question stays while its store is being opened, and who asks meanwhile joins. */
static bool
begin_opening(struct users *u, uint32_t id, const char *name)
{
	struct question *q;
	bool ours;

	pthread_mutex_lock(&u->lock);
	q = *users_find_question(u, id);
	ours = q != NULL && q->name != NULL && !q->opening && !u->stop &&
	       strcmp(q->name, name) == 0 && users_find(u, name) == NULL;
	if (ours) {
		q->opening = true;
		u->nopening++;
	}
	pthread_mutex_unlock(&u->lock);
	return ours;
}

/* Asked twice in a row: the first answer has opened the store already. */
static void
answer_known(struct users *u, uint32_t id, const char *name)
{
	struct question *q;
	struct user *p;

	pthread_mutex_lock(&u->lock);
	p = users_find(u, name);
	pthread_mutex_unlock(&u->lock);
	if (p != NULL && (q = users_take_question(u, id)) != NULL)
		users_answer_lookups(q, p->top, 0);
}

static void
start_opening(struct opening *o)
{
	struct users *u = o->users;
	struct question *q;
	pthread_attr_t attr;
	pthread_t t;
	int err;

	if (!begin_opening(u, o->id, o->name)) {
		answer_known(u, o->id, o->name);
		free_opening(o);
		return;
	}
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	err = pthread_create(&t, &attr, opening_thread, o);
	pthread_attr_destroy(&attr);
	if (err == 0)
		return;
	pthread_mutex_lock(&u->lock);
	u->nopening--;
	pthread_mutex_unlock(&u->lock);
	if ((q = users_take_question(u, o->id)) != NULL)
		users_answer_lookups(q, NULL, EAGAIN);
	free_opening(o);
}

static int
parse_groups(struct span text, struct cred *c)
{
	struct span g;

	if (span_eq(text, SPAN("-")))
		return 0;
	while (span_cut(&text, ',', &g))
		if (c->ngroup == ARRAY_LEN(c->groups) ||
		    num_u32(g, &c->groups[c->ngroup++]) == -1)
			return -1;
	return 0;
}

/* Never uid 0; and who is not root has no ids but their own. */
static bool
may_show(uid_t uid)
{
	return uid != 0 && (geteuid() == 0 || geteuid() == uid);
}

/* NAME UID GID GROUPS LOCATION; `fd` is taken over. */
static void
take_user(struct users *u, uint32_t id, struct span rest, int fd)
{
	struct opening *o = calloc(1, sizeof *o);
	struct span name, uid, gid, groups;
	struct question *q;

	if (o == NULL) {
		if (fd != -1)
			close(fd);
		return;
	}
	o->users = u;
	o->id = id;
	o->rootfd = fd;
	if (!span_word(&rest, &name) ||
	    span_cstr(name, o->name, sizeof o->name) == -1 || !span_word(&rest, &uid) ||
	    num_u32(uid, &o->cred.uid) == -1 || !span_word(&rest, &gid) ||
	    num_u32(gid, &o->cred.gid) == -1 || !span_word(&rest, &groups) ||
	    parse_groups(groups, &o->cred) == -1 || !may_show(o->cred.uid) ||
	    fd == -1) {
		log_error("user \"%.*s\" refused: %s", (int)name.n, name.p,
		          may_show(o->cred.uid) ? "not a whole answer"
		                                : "not a uid to show");
		if ((q = users_take_question(u, id)) != NULL)
			users_answer_lookups(q, NULL, q->name == NULL ? EIO : ENOENT);
		free_opening(o);
		return;
	}
	rest = span_trim(rest);
	o->location = strndup(rest.p, rest.n);
	if (o->location == NULL)
		free_opening(o); /* the request ends by its time limit */
	else
		start_opening(o);
}

static void
take_nouser(struct users *u, uint32_t id, struct span rest, int fd)
{
	struct question *q = users_take_question(u, id);

	(void)rest, (void)fd;
	if (q == NULL)
		return;
	if (q->name != NULL) {
		pthread_mutex_lock(&u->lock);
		users_set_negative(u, q->name);
		pthread_mutex_unlock(&u->lock);
	}
	users_answer_lookups(q, NULL, ENOENT);
}

static void
take_later(struct users *u, uint32_t id, struct span rest, int fd)
{
	struct question *q = users_take_question(u, id);
	struct buf none = {0};

	(void)rest, (void)fd;
	if (q == NULL)
		return;
	if (q->name == NULL)
		users_answer_lists(u, q, &none);
	else
		users_answer_lookups(q, NULL, EAGAIN);
}

static void
take_names(struct users *u, uint32_t id, struct span rest, int fd)
{
	struct question *q = users_take_question(u, id);
	struct buf names = {0};
	struct span name;

	(void)fd;
	if (q == NULL)
		return;
	while (span_word(&rest, &name))
		if (buf_add(&names, name) == -1 || buf_addc(&names, '\0') == -1)
			break;
	if (q->name == NULL)
		users_answer_lists(u, q, &names);
	else
		users_answer_lookups(q, NULL, EIO);
	buf_free(&names);
}

static const struct {
	struct span word;
	void (*take)(struct users *, uint32_t id, struct span rest, int fd);
	bool takes_fd;
} answers[] = {
    {{"user", 4}, take_user, true},
    {{"nouser", 6}, take_nouser, false},
    {{"later", 5}, take_later, false},
    {{"names", 5}, take_names, false},
};

static void
take_answer(struct users *u, struct span packet, int fd)
{
	struct span word, id_word;
	uint32_t id;

	if (span_word(&packet, &word) && span_word(&packet, &id_word) &&
	    num_u32(id_word, &id) == 0)
		for (size_t i = 0; i < ARRAY_LEN(answers); i++)
			if (span_eq(word, answers[i].word)) {
				answers[i].take(u, id, packet, fd);
				if (!answers[i].takes_fd && fd != -1)
					close(fd);
				return;
			}
	log_error("an answer about users that is not understood");
	if (fd != -1)
		close(fd);
}

/* ---- taking them -------------------------------------------------------------------- */

void *
users_thread(void *arg)
{
	struct users *u = arg;
	char packet[PACKET_MAX];
	ssize_t n;
	bool stop;
	int fd;

	while ((n = io_recv_fd(u->sock, &fd, packet, sizeof packet)) > 0)
		take_answer(u, (struct span){packet, (size_t)n}, fd);
	pthread_mutex_lock(&u->lock);
	stop = u->stop;
	pthread_mutex_unlock(&u->lock);
	if (!stop) { /* without its parent the daemon serves nobody */
		log_info("the server is gone: unmounting");
		u->fs->orphan = true;
		kill(getpid(), SIGTERM);
	}
	return NULL;
}
