/* pwderive: passwords stored as a key that is derived from them by PBKDF2. */
#include <errno.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <sys/random.h>

#include "protocol/base64.h"
#include "protocol/server/pwscheme.h"
#include "storage/base/num.h"

#define ITERATIONS_MAX   10000000
#define SCRAM_ITERATIONS 10000 /* the client has to do them, too */
#define KEY_ITERATIONS   100000
#define SALT             18 /* octets of a fresh one: no padding of base64 */

/* One of RFC 8018 or of RFC 5802: as many octets as the digest has. */
struct key {
	unsigned char octets[EVP_MAX_MD_SIZE];
	size_t n;
};

static struct span
key_span(const struct key *k)
{
	return (struct span){(const char *)k->octets, k->n};
}

/* `size` octets. -1: iterations that nobody means, or no such digest. */
static int
derive(const struct pwscheme *s, struct span password, struct span salt,
       uint32_t iterations, struct key *k)
{
	const EVP_MD *md = EVP_get_digestbyname(s->by);

	k->n = s->size;
	if (md == NULL || iterations == 0 || iterations > ITERATIONS_MAX ||
	    PKCS5_PBKDF2_HMAC(password.p, (int)password.n,
	                      (const unsigned char *)salt.p, (int)salt.n,
	                      (int)iterations, md, (int)k->n, k->octets) != 1) {
		errno = EINVAL;
		return -1;
	}
	return 0;
}

/* ---- SCRAM ---------------------------------------------------------------------------- */

/* What a server compares with and answers with. */
struct scram {
	struct key stored, server;
};

/* HMAC(salted, "Client Key") and the like. */
static int
named_key(const EVP_MD *md, const struct key *salted, struct span name, struct key *k)
{
	unsigned n = 0;

	if (HMAC(md, salted->octets, (int)salted->n, (const unsigned char *)name.p,
	         name.n, k->octets, &n) == NULL)
		return -1;
	k->n = n;
	return 0;
}

static int
scram_keys(const struct pwscheme *s, struct span password, struct span salt,
           uint32_t iterations, struct scram *keys)
{
	const EVP_MD *md = EVP_get_digestbyname(s->by);
	struct key salted, client;
	unsigned n = 0;
	int rc = -1;

	if (derive(s, password, salt, iterations, &salted) == 0 &&
	    named_key(md, &salted, SPAN("Client Key"), &client) == 0 &&
	    named_key(md, &salted, SPAN("Server Key"), &keys->server) == 0 &&
	    EVP_Digest(client.octets, client.n, keys->stored.octets, &n, md, NULL) == 1)
		rc = 0;
	keys->stored.n = n;
	explicit_bzero(&salted, sizeof salted);
	explicit_bzero(&client, sizeof client);
	return rc;
}

enum pwhash_is
pwscram_verify(const struct pwscheme *s, const struct pwhash_claim *c,
               struct span stored)
{
	char salt[PWHASH_STORED_MAX], want[EVP_MAX_MD_SIZE], server[EVP_MAX_MD_SIZE];
	struct span f[3] = {{"", 0}, {"", 0}, {"", 0}};
	uint32_t iterations;
	struct scram keys;
	ptrdiff_t n, m;

	for (size_t i = 0; i < ARRAY_LEN(f); i++)
		span_cut(&stored, ',', &f[i]);
	if (num_u32(f[0], &iterations) == -1 ||
	    (n = base64_decode(f[1], salt, sizeof salt)) <= 0 ||
	    (m = base64_decode(f[2], want, sizeof want)) != (ptrdiff_t)s->size ||
	    base64_decode(stored, server, sizeof server) != m ||
	    scram_keys(s, c->password, (struct span){salt, (size_t)n}, iterations,
	               &keys) == -1)
		return PWHASH_UNUSABLE;
	return pwhash_same(key_span(&keys.stored), (struct span){want, (size_t)m})
	           ? PWHASH_RIGHT
	           : PWHASH_WRONG;
}

int
pwscram_make(const struct pwscheme *s, struct span password, struct buf *out)
{
	char octets[SALT];
	struct span salt = {octets, sizeof octets};
	struct scram keys;

	if (getrandom(octets, sizeof octets, 0) != (ssize_t)sizeof octets ||
	    scram_keys(s, password, salt, SCRAM_ITERATIONS, &keys) == -1)
		return -1;
	return buf_addf(out, "%d,", SCRAM_ITERATIONS) == -1 ||
	               base64_encode(salt, out) == -1 || buf_addc(out, ',') == -1 ||
	               base64_encode(key_span(&keys.stored), out) == -1 ||
	               buf_addc(out, ',') == -1 ||
	               base64_encode(key_span(&keys.server), out) == -1
	           ? -1
	           : 0;
}

/* ---- PBKDF2 --------------------------------------------------------------------------- */

enum pwhash_is
pwpbkdf2_verify(const struct pwscheme *s, const struct pwhash_claim *c,
                struct span stored)
{
	struct span f[4] = {
	    {"", 0}, {"", 0}, {"", 0}, {"", 0}}; /* "", "1", salt, number */
	char want[EVP_MAX_MD_SIZE];
	uint32_t iterations;
	struct key k;

	for (size_t i = 0; i < ARRAY_LEN(f); i++)
		span_cut(&stored, '$', &f[i]);
	if (f[0].n > 0 || !span_eq(f[1], SPAN("1")) ||
	    num_u32(f[3], &iterations) == -1 ||
	    pwscheme_unhex(stored, want, sizeof want) != (ptrdiff_t)s->size ||
	    derive(s, c->password, f[2], iterations, &k) == -1)
		return PWHASH_UNUSABLE;
	return pwhash_same(key_span(&k), (struct span){want, s->size}) ? PWHASH_RIGHT
	                                                               : PWHASH_WRONG;
}

int
pwpbkdf2_make(const struct pwscheme *s, struct span password, struct buf *out)
{
	char octets[SALT];
	struct buf salt = {.max = 64};
	struct key k;
	int rc = -1;

	if (getrandom(octets, sizeof octets, 0) == (ssize_t)sizeof octets &&
	    base64_encode((struct span){octets, sizeof octets}, &salt) == 0 &&
	    derive(s, password, buf_span(&salt), KEY_ITERATIONS, &k) == 0 &&
	    buf_addf(out, "$1$%.*s$%d$", (int)salt.n, salt.p, KEY_ITERATIONS) == 0)
		rc = pwscheme_hex(key_span(&k), out);
	buf_free(&salt);
	return rc;
}
