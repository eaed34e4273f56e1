/* pwdigest: passwords stored as a digest of them. */
#define OPENSSL_SUPPRESS_DEPRECATED /* only MD5_CTX shows the state of a digest half-way */

#include <errno.h>
#include <openssl/evp.h>
#include <openssl/md5.h>
#include <sys/random.h>

#include "protocol/base64.h"
#include "protocol/server/pwscheme.h"

#define SALT 16 /* octets of a fresh one */

struct digest {
	unsigned char octets[EVP_MAX_MD_SIZE];
	unsigned n;
};

static struct span
digest_span(const struct digest *d)
{
	return (struct span){(const char *)d->octets, d->n};
}

/* The digest of some octets and of those behind them. -1: the library has no such digest. */
static int
digest(const char *by, struct span one, struct span two, struct digest *d)
{
	const EVP_MD *md = EVP_get_digestbyname(by);
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	int rc = -1;

	if (md != NULL && ctx != NULL && EVP_DigestInit_ex(ctx, md, NULL) == 1 &&
	    EVP_DigestUpdate(ctx, one.p, one.n) == 1 &&
	    EVP_DigestUpdate(ctx, two.p, two.n) == 1 &&
	    EVP_DigestFinal_ex(ctx, d->octets, &d->n) == 1)
		rc = 0;
	EVP_MD_CTX_free(ctx);
	return rc;
}

/* A scheme of a digest alone has its size; behind one without there is the salt. */
enum pwhash_is
pwdigest_verify(const struct pwscheme *s, const struct pwhash_claim *c,
                struct span stored)
{
	const EVP_MD *md = EVP_get_digestbyname(s->by);
	size_t size = md != NULL ? (size_t)EVP_MD_size(md) : 0;
	struct digest d;

	if (size == 0 || stored.n < size || (s->size > 0 && stored.n != size) ||
	    digest(s->by, c->password, span_from(stored, size), &d) == -1)
		return PWHASH_UNUSABLE;
	return pwhash_same(digest_span(&d), (struct span){stored.p, size})
	           ? PWHASH_RIGHT
	           : PWHASH_WRONG;
}

int
pwdigest_make(const struct pwscheme *s, struct span password, struct buf *out)
{
	char octets[EVP_MAX_MD_SIZE + SALT], salt[SALT];
	struct digest d;

	if (getrandom(salt, sizeof salt, 0) != (ssize_t)sizeof salt ||
	    digest(s->by, password, (struct span){salt, sizeof salt}, &d) == -1)
		return -1;
	memcpy(octets, d.octets, d.n);
	memcpy(octets + d.n, salt, sizeof salt);
	return base64_encode((struct span){octets, d.n + sizeof salt}, out);
}

enum pwhash_is
pwmd5_verify(const struct pwscheme *s, const struct pwhash_claim *c, struct span stored)
{
	char octets[PWHASH_STORED_MAX];
	ptrdiff_t n;

	if (span_starts(stored, SPAN("$1$")))
		return pwcrypt_verify(s, c, stored);
	n = stored.n == 2 * s->size ? pwscheme_unhex(stored, octets, sizeof octets)
	                            : base64_decode(stored, octets, sizeof octets);
	return n <= 0 ? PWHASH_UNUSABLE
	              : pwdigest_verify(s, c, (struct span){octets, (size_t)n});
}

enum pwhash_is
pwrealm_verify(const struct pwscheme *s, const struct pwhash_claim *c,
               struct span stored)
{
	struct buf text = {.max = 4096};
	struct span realm = c->user, user = c->user;
	enum pwhash_is is = PWHASH_UNUSABLE;
	struct digest d;

	span_cut(&realm, '@', &user);
	if (stored.n == s->size && buf_add(&text, user) == 0 &&
	    buf_addc(&text, ':') == 0 && buf_add(&text, realm) == 0 &&
	    buf_addc(&text, ':') == 0 && buf_add(&text, c->password) == 0 &&
	    digest(s->by, buf_span(&text), SPAN(""), &d) == 0)
		is = pwhash_same(digest_span(&d), stored) ? PWHASH_RIGHT : PWHASH_WRONG;
	if (text.p != NULL)
		explicit_bzero(text.p, text.cap);
	buf_free(&text);
	return is;
}

/* ---- half an HMAC --------------------------------------------------------------------- */

#define BLOCK 64 /* octets that MD5 takes at once */
#define STATE 16 /* octets of its state */

/* Words with their low octet first. */
static void
write_state(const MD5_CTX *ctx, char out[static STATE])
{
	const MD5_LONG word[4] = {ctx->A, ctx->B, ctx->C, ctx->D};

	for (size_t i = 0; i < STATE; i++)
		out[i] = (char)(word[i / 4] >> 8 * (i % 4));
}

/* The state after the block of a key, each octet of it changed by `pad`. */
static int
half_way(const unsigned char key[static BLOCK], unsigned char pad,
         char out[static STATE])
{
	unsigned char block[BLOCK];
	MD5_CTX ctx;
	int rc = -1;

	for (size_t i = 0; i < BLOCK; i++)
		block[i] = key[i] ^ pad;
	if (MD5_Init(&ctx) == 1 && MD5_Update(&ctx, block, BLOCK) == 1) {
		write_state(&ctx, out);
		rc = 0;
	}
	explicit_bzero(block, sizeof block);
	explicit_bzero(&ctx, sizeof ctx);
	return rc;
}

static int
cram_states(const char *by, struct span password, char out[static 2 * STATE])
{
	unsigned char key[BLOCK] = {0};
	struct digest d = {.n = 0};
	int rc = -1;

	if (password.n <= BLOCK)
		memcpy(key, password.p, password.n);
	else if (digest(by, password, SPAN(""), &d) == -1)
		return -1;
	memcpy(key, d.octets, d.n);
	if (half_way(key, 0x5c, out) == 0 && half_way(key, 0x36, out + STATE) == 0)
		rc = 0;
	explicit_bzero(key, sizeof key);
	return rc;
}

enum pwhash_is
pwcram_verify(const struct pwscheme *s, const struct pwhash_claim *c,
              struct span stored)
{
	char states[2 * STATE];

	if (stored.n != s->size || cram_states(s->by, c->password, states) == -1)
		return PWHASH_UNUSABLE;
	return pwhash_same((struct span){states, sizeof states}, stored) ? PWHASH_RIGHT
	                                                                 : PWHASH_WRONG;
}

int
pwcram_make(const struct pwscheme *s, struct span password, struct buf *out)
{
	char states[2 * STATE];

	if (cram_states(s->by, password, states) == -1) {
		errno = ENOTSUP;
		return -1;
	}
	return pwscheme_hex((struct span){states, sizeof states}, out);
}
