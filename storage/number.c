#include "storage/number.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "storage/base/hash.h"
#include "storage/base/io.h"
#include "storage/base/log.h"
#include "storage/base/num.h"

#define FILE_NAME "boxes"
#define FIRST	  2 /* 0 and 1 are the mount's own */

struct entry {
	char *key; /* store/path; NULL: given up */
	uint32_t number;
	struct entry *next;
};

struct numbers {
	int fd;
	pthread_mutex_t lock;
	uint32_t next;
	struct hash_key seed;
	size_t nbucket, nentry;
	struct entry **bucket;
	bool unsynced;
	struct buf pending; /* lines that are not in the file yet */
};

static struct entry **
slot(struct numbers *m, struct span key)
{
	struct entry **e = &m->bucket[hash64(&m->seed, key) & (m->nbucket - 1)];

	while (*e != NULL && !span_eq(span_of((*e)->key), key))
		e = &(*e)->next;
	return e;
}

static int
grow(struct numbers *m)
{
	size_t old = m->nbucket;
	struct entry **was = m->bucket;
	struct entry **b = calloc(old * 2, sizeof *b);

	if (b == NULL)
		return -1;
	m->bucket = b;
	m->nbucket = old * 2;
	for (size_t i = 0; i < old; i++)
		for (struct entry *e = was[i], *next; e != NULL; e = next) {
			struct entry **to = slot(m, span_of(e->key));

			next = e->next;
			e->next = NULL;
			*to = e;
		}
	free(was);
	return 0;
}

static void
forget(struct numbers *m, uint32_t number)
{
	for (size_t i = 0; i < m->nbucket; i++)
		for (struct entry **e = &m->bucket[i]; *e != NULL; e = &(*e)->next)
			if ((*e)->number == number) {
				struct entry *gone = *e;

				*e = gone->next;
				free(gone->key);
				free(gone);
				m->nentry--;
				return;
			}
}

static int
learn(struct numbers *m, struct span key, uint32_t number)
{
	struct entry **at, *e;

	if (m->nentry >= m->nbucket && grow(m) == -1)
		return -1;
	at = slot(m, key);
	if (*at != NULL) { /* two numbers for one name: the later line counts */
		(*at)->number = number;
		return 0;
	}
	if ((e = calloc(1, sizeof *e)) == NULL || (e->key = strndup(key.p, key.n)) == NULL) {
		free(e);
		return -1;
	}
	e->number = number;
	*at = e;
	m->nentry++;
	return 0;
}

static void
take_line(struct numbers *m, struct span line)
{
	struct span num;
	uint32_t number;

	if (!span_cut(&line, ' ', &num) || num_u32(num, &number) == -1 || line.n == 0 ||
	    memchr(line.p, '\0', line.n) != NULL)
		return;
	if (number >= m->next)
		m->next = number + 1;
	forget(m, number);
	if (!span_eq(line, SPAN("-")))
		(void)learn(m, line, number);
}

static int
read_file(struct numbers *m)
{
	struct buf text = {.max = 1u << 30};
	struct span rest, line;

	if (io_slurp(m->fd, &text) == -1)
		return -1;
	rest = buf_span(&text);
	while (rest.n > 0 && memchr(rest.p, '\n', rest.n) != NULL && span_cut(&rest, '\n', &line))
		take_line(m, line);
	if (rest.n > 0) /* torn: what follows must not be glued to it */
		(void)buf_addc(&m->pending, '\n');
	buf_free(&text);
	return 0;
}

/* The file, made when missing. What is there and is no file of ours is put aside: numbers
 * are only worth their being unique within one mount. */
static int
open_file(int index_path)
{
	const int flags = O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK;
	struct timespec now;
	char aside[64];

	for (int i = 0; i < 2; i++) {
		int fd = openat(index_path, FILE_NAME, flags, 0600);
		struct stat st;

		if (fd != -1 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
			return fd;
		if (fd != -1)
			close(fd);
		else if (errno != ELOOP && errno != EISDIR && errno != ENXIO)
			return -1;
		clock_gettime(CLOCK_REALTIME, &now);
		snprintf(aside, sizeof aside, FILE_NAME ".bad-%jd.%09ld", (intmax_t)now.tv_sec,
			 now.tv_nsec);
		log_error("%s in the index path is no regular file: put aside as %s", FILE_NAME,
			  aside);
		if (renameat(index_path, FILE_NAME, index_path, aside) == -1)
			return -1;
	}
	errno = EIO;
	return -1;
}

int
numbers_open(int index_path, struct numbers **out)
{
	struct numbers *m = calloc(1, sizeof *m);

	if (m == NULL)
		return -1;
	m->next = FIRST;
	m->nbucket = 256;
	hash_random(&m->seed);
	pthread_mutex_init(&m->lock, NULL);
	m->fd = open_file(index_path);
	if (m->fd == -1 || (m->bucket = calloc(m->nbucket, sizeof *m->bucket)) == NULL ||
	    read_file(m) == -1 || io_fsync_dir(index_path, ".") == -1) {
		int saved = errno;

		numbers_close(m);
		errno = saved;
		return -1;
	}
	*out = m;
	return 0;
}

void
numbers_close(struct numbers *m)
{
	if (m == NULL)
		return;
	for (size_t i = 0; m->bucket != NULL && i < m->nbucket; i++)
		for (struct entry *e = m->bucket[i], *next; e != NULL; e = next) {
			next = e->next;
			free(e->key);
			free(e);
		}
	free(m->bucket);
	buf_free(&m->pending);
	if (m->fd != -1)
		close(m->fd);
	pthread_mutex_destroy(&m->lock);
	free(m);
}

static int
key_of(const char *store, const char *path, struct buf *key)
{
	return buf_addf(key, "%s/%s", store, path);
}

int
numbers_get(struct numbers *m, const char *store, const char *path, uint32_t *number)
{
	struct buf key = {0};
	struct entry **e;
	int rc = -1;

	if (key_of(store, path, &key) == -1)
		return -1;
	pthread_mutex_lock(&m->lock);
	if (*(e = slot(m, buf_span(&key))) != NULL) {
		*number = (*e)->number;
		rc = 0;
	} else if (m->next == UINT32_MAX)
		errno = EOVERFLOW;
	else if (buf_addf(&m->pending, "%u %.*s\n", m->next, (int)key.n, key.p) == 0 &&
		 learn(m, buf_span(&key), m->next) == 0) {
		*number = m->next++;
		m->unsynced = true;
		rc = 0;
	}
	pthread_mutex_unlock(&m->lock);
	buf_free(&key);
	return rc;
}

/* lock held */
static int
write_pending(struct numbers *m)
{
	if (!m->unsynced)
		return 0;
	if (io_write_all(m->fd, buf_span(&m->pending)) == -1 || fdatasync(m->fd) == -1)
		return -1;
	buf_reset(&m->pending);
	m->unsynced = false;
	return 0;
}

int
numbers_sync(struct numbers *m)
{
	int rc;

	pthread_mutex_lock(&m->lock);
	rc = write_pending(m);
	pthread_mutex_unlock(&m->lock);
	return rc;
}

int
numbers_rename(struct numbers *m, uint32_t number, const char *store, const char *newpath)
{
	struct buf key = {0};
	int rc = -1;

	if (key_of(store, newpath, &key) == -1)
		return -1;
	pthread_mutex_lock(&m->lock);
	forget(m, number);
	if (buf_addf(&m->pending, "%u %.*s\n", number, (int)key.n, key.p) == 0 &&
	    learn(m, buf_span(&key), number) == 0) {
		m->unsynced = true;
		rc = write_pending(m);
	}
	pthread_mutex_unlock(&m->lock);
	buf_free(&key);
	return rc;
}

int
numbers_drop(struct numbers *m, uint32_t number)
{
	int rc = -1;

	pthread_mutex_lock(&m->lock);
	forget(m, number);
	if (buf_addf(&m->pending, "%u -\n", number) == 0) {
		m->unsynced = true;
		rc = write_pending(m);
	}
	pthread_mutex_unlock(&m->lock);
	return rc;
}
