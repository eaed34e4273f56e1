#include "protocol/server/auth/penalty.h"

#include <arpa/inet.h>

#include "protocol/server/clock.h"

#define FREE_ATTEMPTS 2 /* people mistype passwords */

void
penalty_init(struct penalties *p)
{
	*p = (struct penalties){0};
	hash_random(&p->key);
}

/* The network of an address, hashed; never 0. */
static uint64_t
network_of(const struct penalties *p, const char *address)
{
	unsigned char octets[16] = {0};
	struct span s = {(const char *)octets, 8};

	if (inet_pton(AF_INET, address, octets) == 1)
		s.n = 4;
	else if (inet_pton(AF_INET6, address, octets) != 1)
		s = span_of(address);
	else if (IN6_IS_ADDR_V4MAPPED((struct in6_addr *)(void *)octets))
		s = (struct span){(const char *)octets + 12, 4};
	return hash64(&p->key, s) | 1;
}

void
penalty_add(struct penalties *p, const char *address)
{
	uint64_t network = network_of(p, address);
	struct penalty *e = &p->at[(network >> 1) % PENALTY_PLACES];
	int64_t now = clock_ms();

	if (e->network != network || now - e->last >= PENALTY_AGE_MS)
		*e = (struct penalty){.network = network};
	e->last = now;
	e->n += e->n < 64;
}

int64_t
penalty_ms(const struct penalties *p, const char *address, int64_t unit_ms)
{
	uint64_t network = network_of(p, address);
	const struct penalty *e = &p->at[(network >> 1) % PENALTY_PLACES];
	int64_t ms = unit_ms;

	if (e->network != network || e->n <= FREE_ATTEMPTS ||
	    clock_ms() - e->last >= PENALTY_AGE_MS)
		return 0;
	for (unsigned i = FREE_ATTEMPTS + 1; i < e->n && ms < PENALTY_MAX_MS; i++)
		ms *= 2;
	return ms < PENALTY_MAX_MS ? ms : PENALTY_MAX_MS;
}
