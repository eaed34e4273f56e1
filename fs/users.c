#include "fs/users_private.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fs/entry.h"
#include "fs/ops.h"

#define NEGATIVE_MS 5000  /* an unknown user is not asked for again meanwhile */
#define ANSWER_MS   15000 /* the longest that a request waits for an answer */

/* ---- tables; lock held -------------------------------------------------------------- */

static uint64_t
hash_name(const struct users *u, const char *name)
{
	return hash64(&u->key, span_of(name));
}

struct user *
users_find(struct users *u, const char *name)
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

void
users_link(struct users *u, struct user *p)
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

void
users_set_negative(struct users *u, const char *name)
{
	struct negative *n = negative_of(u, name);

	strcpy(n->name, name); /* at most 255: checked before it was asked for */
	n->until_ms = fs_now_ms() + NEGATIVE_MS;
}

struct question **
users_find_question(struct users *u, uint32_t id)
{
	struct question **at = &u->questions;

	while (*at != NULL && (*at)->id != id)
		at = &(*at)->next;
	return at;
}

struct question *
users_take_question(struct users *u, uint32_t id)
{
	struct question **at, *q;

	pthread_mutex_lock(&u->lock);
	at = users_find_question(u, id);
	if ((q = *at) != NULL)
		*at = q->next;
	pthread_mutex_unlock(&u->lock);
	return q;
}

/* ---- answering requests; no lock ------------------------------------------------------ */

static void
free_question(struct question *q)
{
	free(q->name);
	free(q);
}

void
users_answer_lookups(struct question *q, struct box *top, int err)
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
	return name == NULL ? q->name == NULL
	                    : q->name != NULL && strcmp(q->name, name) == 0;
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
	int n = name == NULL
	            ? snprintf(packet, sizeof packet, "list %u", id)
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
	p = users_find(u, name); /* stays until the end */
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
			if (buf_add(out, (struct span){names[i],
			                               strlen(names[i]) + 1}) == -1) {
				free(names);
				return -1;
			}
	free(names);
	return 0;
}

void
users_answer_lists(struct users *u, struct question *q, const struct buf *told)
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

/* ---- life ------------------------------------------------------------------------------------------- */

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
			users_answer_lists(u, q, &none);
		else
			users_answer_lookups(q, NULL, EAGAIN);
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
