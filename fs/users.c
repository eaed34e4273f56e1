#include "fs/users.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fs/entry.h"
#include "fs/ops.h"
#include "storage/base/hash.h"
#include "storage/base/io.h"
#include "storage/base/num.h"

#define NEGATIVE_MS 5000  /* an unknown user is not asked for again meanwhile */
#define NNEGATIVE   1024
#define ANSWER_MS   15000 /* the longest that a request waits for an answer */
#define PACKET_MAX  16384
#define NUSER_HASH  1024

struct user {
	char *name;
	struct store *store;
	struct box *top; /* reference */
	struct user *by_name, *by_store;
};

/* A request that waits. */
struct waiter {
	fuse_req_t req;
	struct fuse_file_info fi; /* of an opendir */
	struct waiter *next;
};

/* A question that was asked and not answered yet; one per name. */
struct question {
	uint32_t id;
	char *name; /* NULL: the list of users */
	int64_t until_ms;
	bool opening; /* answered: the store is being opened */
	struct waiter *waiters;
	struct question *next;
};

struct negative {
	char name[256];
	int64_t until_ms;
};

struct users {
	struct fs *fs;
	int sock;
	pthread_t thread;
	struct hash_key key; /* clients choose the names */
	pthread_mutex_t lock; /* what follows */
	pthread_cond_t opened; /* nopening fell */
	struct user *by_name[NUSER_HASH], *by_store[NUSER_HASH];
	struct negative negative[NNEGATIVE];
	struct question *questions;
	uint32_t last_id;
	unsigned nopening;
	bool stop;
};

/* ---- tables; lock held -------------------------------------------------------------- */

static uint64_t
hash_name(const struct users *u, const char *name)
{
	return hash64(&u->key, span_of(name));
}

static struct user *
find_user(struct users *u, const char *name)
{
	struct user *p = u->by_name[hash_name(u, name) % NUSER_HASH];

	while (p != NULL && strcmp(p->name, name) != 0)
		p = p->by_name;
	return p;
}

static struct user **
store_bucket(struct users *u, const struct store *s)
{
	return &u->by_store[((uintptr_t)s >> 6) % NUSER_HASH];
}

static void
link_user(struct users *u, struct user *p)
{
	struct user **name = &u->by_name[hash_name(u, p->name) % NUSER_HASH];
	struct user **store = store_bucket(u, p->store);

	p->by_name = *name;
	*name = p;
	p->by_store = *store;
	*store = p;
}

static struct negative *
negative_of(struct users *u, const char *name)
{
	return &u->negative[hash_name(u, name) % NNEGATIVE];
}

static bool
is_negative(struct users *u, const char *name)
{
	struct negative *n = negative_of(u, name);

	return n->until_ms > fs_now_ms() && strcmp(n->name, name) == 0;
}

static void
set_negative(struct users *u, const char *name)
{
	struct negative *n = negative_of(u, name);

	strcpy(n->name, name); /* at most 255: checked before it was asked for */
	n->until_ms = fs_now_ms() + NEGATIVE_MS;
}

static struct question **
find_question(struct users *u, uint32_t id)
{
	struct question **at = &u->questions;

	while (*at != NULL && (*at)->id != id)
		at = &(*at)->next;
	return at;
}

/* ---- answering requests; no lock ------------------------------------------------------ */

static void
free_question(struct question *q)
{
	free(q->name);
	free(q);
}

static void
answer_lookups(struct question *q, struct box *top, int err)
{
	struct fuse_entry_param e;
	struct waiter *w;

	while ((w = q->waiters) != NULL) {
		q->waiters = w->next;
		if (err != 0)
			fuse_reply_err(w->req, err);
		else if (entry_dir(fs_of(w->req), top, &e) == -1)
			fuse_reply_err(w->req, errno);
		else
			fuse_reply_entry(w->req, &e);
		free(w);
	}
	free_question(q);
}

void
users_name_of(struct fs *fs, const struct store *store, char out[static 256])
{
	struct users *u = fs->users;
	struct user *p;

	out[0] = '\0';
	if (u == NULL)
		return;
	pthread_mutex_lock(&u->lock);
	for (p = *store_bucket(u, store); p != NULL && p->store != store;)
		p = p->by_store;
	if (p != NULL)
		strcpy(out, p->name);
	pthread_mutex_unlock(&u->lock);
}

/* ---- asking -------------------------------------------------------------------------------- */

/* A waiter that was interrupted leaves; the answer still fills the table. */
static void
interrupted(fuse_req_t req, void *arg)
{
	struct users *u = arg;
	struct waiter **at, *w = NULL;

	pthread_mutex_lock(&u->lock);
	for (struct question *q = u->questions; q != NULL && w == NULL; q = q->next)
		for (at = &q->waiters; *at != NULL; at = &(*at)->next)
			if ((*at)->req == req) {
				w = *at;
				*at = w->next;
				break;
			}
	pthread_mutex_unlock(&u->lock);
	if (w == NULL)
		return;
	fuse_reply_err(req, EINTR);
	free(w);
}

static bool
same_question(const struct question *q, const char *name)
{
	return name == NULL ? q->name == NULL : q->name != NULL && strcmp(q->name, name) == 0;
}

/* lock held. The open question for this name, a new one when `id` is set. */
static struct question *
question_for(struct users *u, const char *name, uint32_t *id)
{
	struct question *q;

	*id = 0;
	for (q = u->questions; q != NULL; q = q->next)
		if (same_question(q, name))
			return q;
	if ((q = calloc(1, sizeof *q)) == NULL)
		return NULL;
	if (name != NULL && (q->name = strdup(name)) == NULL) {
		free(q);
		return NULL;
	}
	q->id = *id = ++u->last_id;
	q->until_ms = fs_now_ms() + ANSWER_MS;
	q->next = u->questions;
	u->questions = q;
	return q;
}

static void
send_question(struct users *u, uint32_t id, const char *name)
{
	char packet[300];
	int n = name == NULL ? snprintf(packet, sizeof packet, "list %u", id)
			     : snprintf(packet, sizeof packet, "lookup %u %s", id, name);

	/* not blocking: with a full queue the request ends by its time limit */
	if (send(u->sock, packet, (size_t)n, MSG_NOSIGNAL | MSG_DONTWAIT) == -1)
		log_warn("cannot ask for user \"%s\": %m", name == NULL ? "*" : name);
}

/* The request waits for the answer; 0 or -1 with errno, then it was not taken. */
static int
ask(struct users *u, fuse_req_t req, const char *name, const struct fuse_file_info *fi)
{
	struct waiter *w = calloc(1, sizeof *w);
	struct question *q = NULL;
	uint32_t id = 0;
	int err = w == NULL ? ENOMEM : 0;

	fuse_req_interrupt_func(req, interrupted, u);
	pthread_mutex_lock(&u->lock);
	if (err == 0 && u->stop)
		err = ENOTCONN;
	else if (err == 0 && fuse_req_interrupted(req))
		err = EINTR;
	else if (err == 0 && (q = question_for(u, name, &id)) == NULL)
		err = ENOMEM;
	if (err == 0) {
		w->req = req;
		if (fi != NULL)
			w->fi = *fi;
		w->next = q->waiters;
		q->waiters = w;
	}
	pthread_mutex_unlock(&u->lock);
	if (err != 0) {
		free(w);
		errno = err;
		return -1;
	}
	if (id != 0)
		send_question(u, id, name);
	return 0;
}

/* What can be a user's name at all; the packets are text with blanks in between. */
static bool
name_is_possible(const char *name)
{
	size_t n = strlen(name);

	if (n == 0 || n > 255 || name[0] == '.')
		return false;
	for (const char *p = name; *p != '\0'; p++)
		if ((unsigned char)*p <= ' ' || *p == '/' || *p == 0x7f)
			return false;
	return true;
}

void
users_lookup(fuse_req_t req, const char *name)
{
	struct users *u = fs_of(req)->users;
	struct fuse_entry_param e;
	struct user *p;
	bool negative;

	pthread_mutex_lock(&u->lock);
	p = find_user(u, name); /* stays until the end */
	negative = p == NULL && is_negative(u, name);
	pthread_mutex_unlock(&u->lock);
	if (p != NULL) {
		if (entry_dir(u->fs, p->top, &e) == -1)
			fuse_reply_err(req, errno);
		else
			fuse_reply_entry(req, &e);
	} else if (negative || !name_is_possible(name))
		fuse_reply_err(req, ENOENT);
	else if (ask(u, req, name, NULL) == -1)
		fuse_reply_err(req, errno);
}

/* ---- the list ---------------------------------------------------------------------------------- */

void
users_opendir(fuse_req_t req, struct fuse_file_info *fi)
{
	if (ask(fs_of(req)->users, req, NULL, fi) == -1)
		fuse_reply_err(req, errno);
}

static int
compare(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* lock held. Pointers to the names of the users seen; *n of them. */
static const char **
seen(struct users *u, size_t extra, size_t *n)
{
	const char **names;

	*n = 0;
	for (size_t i = 0; i < NUSER_HASH; i++)
		for (struct user *p = u->by_name[i]; p != NULL; p = p->by_name)
			++*n;
	if ((names = reallocarray(NULL, *n + extra + 1, sizeof *names)) == NULL)
		return NULL;
	*n = 0;
	for (size_t i = 0; i < NUSER_HASH; i++)
		for (struct user *p = u->by_name[i]; p != NULL; p = p->by_name)
			names[(*n)++] = p->name;
	return names;
}

/* Users seen and those told (each ended by a NUL), sorted, once each, into `out`. */
static int
merge(struct users *u, const struct buf *told, struct buf *out)
{
	const char **names;
	size_t n, ntold = 0;

	for (size_t i = 0; i < told->n; i++)
		ntold += told->p[i] == '\0';
	pthread_mutex_lock(&u->lock);
	names = seen(u, ntold, &n);
	pthread_mutex_unlock(&u->lock);
	if (names == NULL)
		return -1;
	for (size_t at = 0; at < told->n; at += strlen(told->p + at) + 1)
		names[n++] = told->p + at;
	qsort(names, n, sizeof *names, compare);
	for (size_t i = 0; i < n; i++)
		if (i == 0 || strcmp(names[i], names[i - 1]) != 0)
			if (buf_add(out, (struct span){names[i], strlen(names[i]) + 1}) == -1) {
				free(names);
				return -1;
			}
	free(names);
	return 0;
}

static void
answer_lists(struct users *u, struct question *q, const struct buf *told)
{
	struct waiter *w;

	while ((w = q->waiters) != NULL) {
		struct buf names = {0};

		q->waiters = w->next;
		if (merge(u, told, &names) == -1) {
			buf_free(&names);
			fuse_reply_err(w->req, ENOMEM);
		} else
			dir_open_names(w->req, &w->fi, &names);
		free(w);
	}
	free_question(q);
}

/* ---- answers: a user's store is opened by a thread of its own ------------------------------------ */

struct opening {
	struct users *users;
	uint32_t id;
	char name[256];
	char *location;
	int rootfd;
	struct cred cred;
};

static struct question *
take_question(struct users *u, uint32_t id)
{
	struct question **at, *q;

	pthread_mutex_lock(&u->lock);
	at = find_question(u, id);
	if ((q = *at) != NULL)
		*at = q->next;
	pthread_mutex_unlock(&u->lock);
	return q;
}

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
		link_user(u, p);
		pthread_mutex_unlock(&u->lock);
	}
	if ((q = take_question(u, o->id)) != NULL)
		answer_lookups(q, p == NULL ? NULL : p->top, err);
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
	q = *find_question(u, id);
	ours = q != NULL && q->name != NULL && !q->opening && !u->stop &&
	       strcmp(q->name, name) == 0 && find_user(u, name) == NULL;
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
	p = find_user(u, name);
	pthread_mutex_unlock(&u->lock);
	if (p != NULL && (q = take_question(u, id)) != NULL)
		answer_lookups(q, p->top, 0);
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
	if ((q = take_question(u, o->id)) != NULL)
		answer_lookups(q, NULL, EAGAIN);
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
	if (!span_word(&rest, &name) || span_cstr(name, o->name, sizeof o->name) == -1 ||
	    !span_word(&rest, &uid) || num_u32(uid, &o->cred.uid) == -1 ||
	    !span_word(&rest, &gid) || num_u32(gid, &o->cred.gid) == -1 ||
	    !span_word(&rest, &groups) || parse_groups(groups, &o->cred) == -1 ||
	    !may_show(o->cred.uid) || fd == -1) {
		log_error("user \"%.*s\" refused: %s", (int)name.n, name.p,
			  may_show(o->cred.uid) ? "not a whole answer" : "not a uid to show");
		if ((q = take_question(u, id)) != NULL)
			answer_lookups(q, NULL, q->name == NULL ? EIO : ENOENT);
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
	struct question *q = take_question(u, id);

	(void)rest, (void)fd;
	if (q == NULL)
		return;
	if (q->name != NULL) {
		pthread_mutex_lock(&u->lock);
		set_negative(u, q->name);
		pthread_mutex_unlock(&u->lock);
	}
	answer_lookups(q, NULL, ENOENT);
}

static void
take_later(struct users *u, uint32_t id, struct span rest, int fd)
{
	struct question *q = take_question(u, id);
	struct buf none = {0};

	(void)rest, (void)fd;
	if (q == NULL)
		return;
	if (q->name == NULL)
		answer_lists(u, q, &none);
	else
		answer_lookups(q, NULL, EAGAIN);
}

static void
take_names(struct users *u, uint32_t id, struct span rest, int fd)
{
	struct question *q = take_question(u, id);
	struct buf names = {0};
	struct span name;

	(void)fd;
	if (q == NULL)
		return;
	while (span_word(&rest, &name))
		if (buf_add(&names, name) == -1 || buf_addc(&names, '\0') == -1)
			break;
	if (q->name == NULL)
		answer_lists(u, q, &names);
	else
		answer_lookups(q, NULL, EIO);
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

/* ---- life ------------------------------------------------------------------------------------------- */

static void *
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

int
users_open(struct fs *fs, int sock)
{
	struct users *u = calloc(1, sizeof *u);

	if (u == NULL)
		return -1;
	u->fs = fs;
	u->sock = sock;
	hash_random(&u->key);
	pthread_mutex_init(&u->lock, NULL);
	pthread_cond_init(&u->opened, NULL);
	fs->users = u;
	if ((errno = pthread_create(&u->thread, NULL, users_thread, u)) == 0)
		return 0;
	fs->users = NULL;
	free(u);
	return -1;
}

static struct question *
take_overdue(struct users *u, int64_t now)
{
	struct question **at = &u->questions, *q;

	pthread_mutex_lock(&u->lock);
	while (*at != NULL && ((*at)->opening || (*at)->until_ms > now))
		at = &(*at)->next;
	if ((q = *at) != NULL)
		*at = q->next;
	pthread_mutex_unlock(&u->lock);
	return q;
}

static void
end_questions(struct users *u, int64_t now)
{
	struct buf none = {0};
	struct question *q;

	while ((q = take_overdue(u, now)) != NULL)
		if (q->name == NULL)
			answer_lists(u, q, &none);
		else
			answer_lookups(q, NULL, EAGAIN);
}

void
users_sweep(struct fs *fs)
{
	if (fs->users != NULL)
		end_questions(fs->users, fs_now_ms());
}

static void
close_user(struct user *p)
{
	box_unref(p->top);
	store_close(p->store);
	free(p->name);
	free(p);
}

void
users_close(struct fs *fs)
{
	struct users *u = fs->users;
	struct user *p;

	if (u == NULL)
		return;
	pthread_mutex_lock(&u->lock);
	u->stop = true;
	while (u->nopening > 0)
		pthread_cond_wait(&u->opened, &u->lock);
	pthread_mutex_unlock(&u->lock);
	shutdown(u->sock, SHUT_RDWR);
	pthread_join(u->thread, NULL);
	close(u->sock);
	end_questions(u, INT64_MAX);
	for (size_t i = 0; i < NUSER_HASH; i++)
		while ((p = u->by_name[i]) != NULL) {
			u->by_name[i] = p->by_name;
			close_user(p);
		}
	fs->users = NULL;
	pthread_cond_destroy(&u->opened);
	pthread_mutex_destroy(&u->lock);
	free(u);
}
