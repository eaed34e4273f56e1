#include "storage/pool.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>

struct job {
	struct job *next;
	void (*run)(void *);
	void *arg;
};

struct pool {
	pthread_mutex_t lock;
	pthread_cond_t work;
	struct job *first, **last; /* lock */
	bool ending;		   /* lock */
	unsigned nthread;
	pthread_t thread[];
};

static void *
worker(void *arg)
{
	struct pool *p = arg;
	struct job *j;

	pthread_mutex_lock(&p->lock);
	for (;;) {
		while ((j = p->first) == NULL && !p->ending)
			pthread_cond_wait(&p->work, &p->lock);
		if (j == NULL)
			break;
		if ((p->first = j->next) == NULL)
			p->last = &p->first;
		pthread_mutex_unlock(&p->lock);
		j->run(j->arg);
		free(j);
		pthread_mutex_lock(&p->lock);
	}
	pthread_mutex_unlock(&p->lock);
	return NULL;
}

int
pool_open(unsigned nthread, struct pool **out)
{
	struct pool *p = calloc(1, sizeof *p + nthread * sizeof p->thread[0]);
	sigset_t all, old;

	if (p == NULL)
		return -1;
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->work, NULL);
	p->last = &p->first;
	sigfillset(&all); /* signals are for the main thread */
	pthread_sigmask(SIG_SETMASK, &all, &old);
	for (; p->nthread < nthread; p->nthread++)
		if ((errno = pthread_create(&p->thread[p->nthread], NULL, worker, p)) != 0)
			break;
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (p->nthread == 0) {
		free(p);
		return -1;
	}
	*out = p;
	return 0;
}

int
pool_submit(struct pool *p, void (*run)(void *), void *arg)
{
	struct job *j = malloc(sizeof *j);

	if (j == NULL)
		return -1;
	*j = (struct job){NULL, run, arg};
	pthread_mutex_lock(&p->lock);
	*p->last = j;
	p->last = &j->next;
	pthread_cond_signal(&p->work);
	pthread_mutex_unlock(&p->lock);
	return 0;
}

void
pool_close(struct pool *p)
{
	if (p == NULL)
		return;
	pthread_mutex_lock(&p->lock);
	p->ending = true;
	pthread_cond_broadcast(&p->work);
	pthread_mutex_unlock(&p->lock);
	for (unsigned i = 0; i < p->nthread; i++)
		pthread_join(p->thread[i], NULL);
	pthread_cond_destroy(&p->work);
	pthread_mutex_destroy(&p->lock);
	free(p);
}
