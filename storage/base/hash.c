#include "storage/base/hash.h"

#include <endian.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

const struct hash_key hash_fixed = {0, 0};

void
hash_random(struct hash_key *k)
{
	if (getrandom(k, sizeof *k, 0) != (ssize_t)sizeof *k) {
		struct timespec t; /* never seen on Linux; still not a constant */

		clock_gettime(CLOCK_REALTIME, &t);
		k->k0 = (uint64_t)t.tv_nsec * 0x9e3779b97f4a7c15u;
		k->k1 = (uint64_t)getpid() ^ (uint64_t)t.tv_sec;
	}
}

static inline uint64_t
rotl(uint64_t x, int b)
{
	return x << b | x >> (64 - b);
}

struct sip {
	uint64_t a, b, c, d;
};

static inline void
sip_round(struct sip *v)
{
	v->a += v->b, v->b = rotl(v->b, 13), v->b ^= v->a, v->a = rotl(v->a, 32);
	v->c += v->d, v->d = rotl(v->d, 16), v->d ^= v->c;
	v->a += v->d, v->d = rotl(v->d, 21), v->d ^= v->a;
	v->c += v->b, v->b = rotl(v->b, 17), v->b ^= v->c, v->c = rotl(v->c, 32);
}

static uint64_t
load8(const unsigned char *p)
{
	uint64_t w;

	memcpy(&w, p, sizeof w);
	return le64toh(w);
}

static uint64_t
load(const unsigned char *p, size_t n)
{
	uint64_t w = 0;

	for (size_t i = 0; i < n; i++)
		w |= (uint64_t)p[i] << (8 * i);
	return w;
}

uint64_t
hash64(const struct hash_key *k, struct span s)
{
	struct sip v = {k->k0 ^ 0x736f6d6570736575u, k->k1 ^ 0x646f72616e646f6du,
			k->k0 ^ 0x6c7967656e657261u, k->k1 ^ 0x7465646279746573u};
	const unsigned char *p = (const unsigned char *)s.p;
	uint64_t w;
	size_t left = s.n;

	for (; left >= 8; p += 8, left -= 8) {
		w = load8(p);
		v.d ^= w;
		sip_round(&v), sip_round(&v);
		v.a ^= w;
	}
	w = (uint64_t)s.n << 56 | load(p, left);
	v.d ^= w;
	sip_round(&v), sip_round(&v);
	v.a ^= w;
	v.c ^= 0xff;
	sip_round(&v), sip_round(&v), sip_round(&v), sip_round(&v);
	return v.a ^ v.b ^ v.c ^ v.d;
}

uint32_t
hash_check(const void *p, size_t n)
{
	return (uint32_t)hash64(&hash_fixed, (struct span){p, n});
}
