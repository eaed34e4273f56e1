#include "storage/env.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "storage/base/io.h"
#include "storage/base/log.h"
#include "storage/box_private.h"
#include "storage/epoch.h"
#include "storage/refresh.h"

#define MOMENT_MS    2000
#define LOCK_STEP_MS 20

#define TICK_MS		 250
#define LOOK_AGAIN_TICKS 5 /* about a second */
#define TRIM_TICKS	 20
#define FREE_HEAP_MAX	 (4u << 20) /* octets */
#define POLL_MS 1000 /* an outside change is seen within 5 s even on a busy machine */

static void
on_change(void *arg, uint64_t cookie)
{
	struct box *b = box_by_number(arg, (uint32_t)cookie);

	if (b == NULL)
		return;
	b->in->look_again = LOOK_AGAIN_TICKS;
	refresh_soon(b);
	box_unref(b);
}

/* lock held: a watched box whose time has come, with a reference; NULL when there is none. */
static struct box *
due_box(struct env *e, size_t *bucket)
{
	for (; *bucket < ENV_BUCKETS; ++*bucket)
		for (struct box *b = e->box[*bucket]; b != NULL; b = b->next_number)
			if (b->in->look_again == 1) {
				b->in->look_again = 0;
				box_ref(b);
				return b;
			}
	return NULL;
}

static void
count_down(struct env *e)
{
	for (size_t i = 0; i < ENV_BUCKETS; i++)
		for (struct box *b = e->box[i]; b != NULL; b = b->next_number)
			if (b->in->look_again > 1)
				b->in->look_again--;
}

/* What a burst of reading left free in the heaps goes back: an idle daemon is small. */
static void
give_back_memory(void)
{
	if (mallinfo2().fordblks > FREE_HEAP_MAX)
		malloc_trim(0);
}

/*
 * File times have a tick, and a driver relies on a directory for a moment after a change
 * of its own: so what happened right then shows only to a later look, for which no
 * further event may come.
 */
static void *
tick(void *arg)
{
	struct env *e = arg;
	unsigned n = 0;

	pthread_mutex_lock(&e->lock);
	while (!e->ending) {
		struct timespec until;
		struct box *b;
		size_t bucket = 0;

		clock_gettime(CLOCK_REALTIME, &until);
		until.tv_nsec += TICK_MS * 1000000L;
		if (until.tv_nsec >= 1000000000L)
			until.tv_sec++, until.tv_nsec -= 1000000000L;
		pthread_cond_timedwait(&e->end, &e->lock, &until);
		while (!e->ending && (b = due_box(e, &bucket)) != NULL) {
			pthread_mutex_unlock(&e->lock);
			refresh_soon(b);
			box_unref(b);
			pthread_mutex_lock(&e->lock);
		}
		count_down(e);
		if (++n % TRIM_TICKS == 0) {
			pthread_mutex_unlock(&e->lock);
			give_back_memory();
			pthread_mutex_lock(&e->lock);
		}
	}
	pthread_mutex_unlock(&e->lock);
	return NULL;
}

/* A daemon whose mount was just ended may still be about to end: it sees its index on disk
 * first, which takes long while others write a lot. */
static int
lock_index_path(int fd, unsigned wait_ms)
{
	for (unsigned waited = 0; flock(fd, LOCK_EX | LOCK_NB) == -1; waited += LOCK_STEP_MS) {
		if (errno != EWOULDBLOCK && errno != EINTR)
			return -1;
		if (waited >= wait_ms) {
			errno = EWOULDBLOCK;
			return -1;
		}
		usleep(LOCK_STEP_MS * 1000);
	}
	return 0;
}

/* index_path as a directory of ours alone; another daemon's: a private one below it. */
static int
open_index_path(struct env *e, const char *path, unsigned alone_ms)
{
	struct buf name = {0};
	int fd, sub;

	if (mkdir(path, 0700) == -1 && errno != EEXIST)
		return -1;
	if ((fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) == -1)
		return -1;
	if (lock_index_path(fd, alone_ms > 0 ? alone_ms : MOMENT_MS) == 0) {
		e->index_path = fd;
		return 0;
	}
	sub = errno;
	close(fd);
	if (sub == EWOULDBLOCK && alone_ms > 0) {
		log_error("%s is in use by another mailtreed", path);
		sub = EBUSY;
	}
	errno = sub;
	if (sub != EWOULDBLOCK || buf_addf(&name, "%s/.private-XXXXXX", path) == -1 ||
	    buf_addc(&name, '\0') == -1)
		goto fail;
	if (mkdtemp(name.p) == NULL)
		goto fail;
	log_warn("%s is in use by another mailtreed: the index of this one is made anew and "
		 "removed at its end",
		 path);
	if ((sub = open(name.p, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) == -1) {
		rmdir(name.p);
		goto fail;
	}
	e->index_path = sub;
	e->private_path = name.p; /* handed over */
	return 0;
fail:
	buf_free(&name);
	return -1;
}

static void remove_tree(int dir);

int
env_open(const struct env_conf *conf, struct env **out)
{
	struct env *e = calloc(1, sizeof *e);
	unsigned nthread = conf->nsizer;
	int saved;

	if (e == NULL)
		return -1;
	e->index_path = -1;
	e->wake = conf->wake;
	e->wake_arg = conf->arg;
	e->quick_end = conf->quick_end;
	pthread_mutex_init(&e->lock, NULL);
	pthread_cond_init(&e->end, NULL);
	if (nthread == 0)
		nthread = 2 * (unsigned)sysconf(_SC_NPROCESSORS_ONLN);
	if (open_index_path(e, conf->index_path, conf->alone_ms) == -1 ||
	    numbers_open(e->index_path, &e->numbers) == -1 ||
	    epoch_begin(e->index_path, e->epoch) == -1 ||
	    pool_open(nthread, &e->pool) == -1 ||
	    (e->watch = watch_open(conf->poll_ms == 0 ? POLL_MS : conf->poll_ms,
				   conf->no_inotify, on_change, e)) == NULL ||
	    (errno = pthread_create(&e->ticker, NULL, tick, e)) != 0) {
		saved = errno;
		env_close(e);
		errno = saved;
		return -1;
	}
	e->ticking = true;
	*out = e;
	return 0;
}

void
env_close(struct env *e)
{
	bool opened = false;

	if (e == NULL)
		return;
	if (e->ticking) {
		opened = true;
		pthread_mutex_lock(&e->lock);
		e->ending = true;
		pthread_cond_signal(&e->end);
		pthread_mutex_unlock(&e->lock);
		pthread_join(e->ticker, NULL);
	}
	if (e->watch != NULL)
		watch_close(e->watch);
	pool_close(e->pool);
	numbers_close(e->numbers);
	if (e->private_path != NULL) {
		remove_tree(e->index_path);
		rmdir(e->private_path);
		free(e->private_path);
	} else if (opened && !e->quick_end)
		epoch_end(e->index_path, e->epoch);
	if (e->index_path != -1)
		close(e->index_path);
	pthread_cond_destroy(&e->end);
	pthread_mutex_destroy(&e->lock);
	free(e);
}

/* ---- the table from number to box ---------------------------------------------- */

static struct box **
bucket(struct env *e, uint32_t number)
{
	return &e->box[number % ENV_BUCKETS];
}

void
env_add_box(struct env *e, struct box *b)
{
	struct box **at = bucket(e, b->number);

	pthread_mutex_lock(&e->lock);
	b->next_number = *at;
	*at = b;
	pthread_mutex_unlock(&e->lock);
}

void
env_drop_box(struct env *e, struct box *b)
{
	struct box **at = bucket(e, b->number);

	pthread_mutex_lock(&e->lock);
	while (*at != NULL && *at != b)
		at = &(*at)->next_number;
	if (*at == b)
		*at = b->next_number;
	pthread_mutex_unlock(&e->lock);
}

struct box *
box_by_number(struct env *e, uint32_t number)
{
	struct box *b;

	pthread_mutex_lock(&e->lock);
	for (b = *bucket(e, number); b != NULL && b->number != number; b = b->next_number)
		;
	if (b != NULL) /* in the table means: the tree's own reference still stands */
		box_ref(b);
	pthread_mutex_unlock(&e->lock);
	if (b == NULL)
		errno = ESTALE;
	return b;
}

/* ---- the end of a private index path ---------------------------------------------- */

/* Empties a directory that only this process knows; two levels deep at most. */
static void
remove_tree(int dir)
{
	int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd == -1 ? NULL : fdopendir(fd);
	struct dirent *ent;

	while (d != NULL && (ent = readdir(d)) != NULL) {
		int sub;

		if (strcmp(ent->d_name, ".") == 0 || strcmp(ent->d_name, "..") == 0)
			continue;
		if (unlinkat(dir, ent->d_name, 0) == 0)
			continue;
		if ((sub = openat(dir, ent->d_name,
				  O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)) == -1)
			continue;
		remove_tree(sub);
		close(sub);
		unlinkat(dir, ent->d_name, AT_REMOVEDIR);
	}
	if (d != NULL)
		closedir(d);
	else if (fd != -1)
		close(fd);
}
