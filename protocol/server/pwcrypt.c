/* pwcrypt: passwords stored as text that says itself how it was made. */
#include <crypt.h>
#include <errno.h>
#include <stdlib.h>
#ifdef MT_SODIUM
#include <sodium.h>
#endif

#include "protocol/server/pwscheme.h"
#include "storage/base/num.h"

/* crypt(3) with the password and a setting, both made NUL-terminated. NULL: cannot. */
static const char *
run_crypt(struct span password, struct span setting, struct crypt_data *data)
{
	char pass[PWHASH_PASSWORD_MAX + 1], set[CRYPT_OUTPUT_SIZE];
	const char *hash = NULL;

	if (span_cstr(password, pass, sizeof pass) == 0 &&
	    span_cstr(setting, set, sizeof set) == 0)
		hash = crypt_r(pass, set, data);
	explicit_bzero(pass, sizeof pass);
	return hash != NULL && hash[0] != '*' ? hash : NULL;
}

enum pwhash_is
pwcrypt_verify(const struct pwscheme *s, const struct pwhash_claim *c,
               struct span stored)
{
	struct crypt_data *data = calloc(1, sizeof *data);
	enum pwhash_is is = PWHASH_UNUSABLE;
	const char *hash;

	(void)s;
	if (data != NULL && (hash = run_crypt(c->password, stored, data)) != NULL)
		is = pwhash_same(span_of(hash), stored) ? PWHASH_RIGHT : PWHASH_WRONG;
	if (data != NULL)
		explicit_bzero(data, sizeof *data);
	free(data);
	return is;
}

int
pwcrypt_make(const struct pwscheme *s, struct span password, struct buf *out)
{
	struct crypt_data *data = calloc(1, sizeof *data);
	char salt[CRYPT_GENSALT_OUTPUT_SIZE];
	const char *hash;
	int rc = -1;

	if (data == NULL)
		return -1;
	if (crypt_gensalt_rn(s->by, 0, NULL, 0, salt, sizeof salt) != NULL &&
	    (hash = run_crypt(password, span_of(salt), data)) != NULL)
		rc = buf_add(out, span_of(hash));
	explicit_bzero(data, sizeof *data);
	free(data);
	return rc;
}

#ifdef MT_SODIUM

#define ARGON_KB_MAX (1 << 20) /* of memory; the time of a question has its own end */

/* `$argon2id$v=19$m=65536,t=2,p=1$...`: does it want as much memory as somebody can mean? */
static bool
is_affordable(struct span stored)
{
	struct span f = {"", 0}, memory = {"", 0};
	uint32_t kb;

	for (int i = 0; i < 4; i++)
		span_cut(&stored, '$', &f);
	span_cut(&f, ',', &memory);
	return span_starts(memory, SPAN("m=")) &&
	       num_u32(span_from(memory, 2), &kb) == 0 && kb <= ARGON_KB_MAX;
}

enum pwhash_is
pwargon_verify(const struct pwscheme *s, const struct pwhash_claim *c,
               struct span stored)
{
	char text[crypto_pwhash_STRBYTES];

	/* the row's own or the other one: what is written decides, as with crypt(3) */
	if ((!span_starts(stored, span_of(s->by)) &&
	     !span_starts(stored, SPAN("$argon2i"))) ||
	    !is_affordable(stored) || span_cstr(stored, text, sizeof text) == -1 ||
	    sodium_init() == -1 ||
	    crypto_pwhash_str_needs_rehash(text, 1, 8192) == -1)
		return PWHASH_UNUSABLE;
	return crypto_pwhash_str_verify(text, c->password.p, c->password.n) == 0
	           ? PWHASH_RIGHT
	           : PWHASH_WRONG;
}

int
pwargon_make(const struct pwscheme *s, struct span password, struct buf *out)
{
	bool d = span_eq(span_of(s->by), SPAN("$argon2id$"));
	char text[crypto_pwhash_STRBYTES];

	if (sodium_init() == -1 ||
	    crypto_pwhash_str_alg(text, password.p, password.n,
	                          d ? crypto_pwhash_argon2id_OPSLIMIT_INTERACTIVE
	                            : crypto_pwhash_argon2i_OPSLIMIT_INTERACTIVE,
	                          d ? crypto_pwhash_argon2id_MEMLIMIT_INTERACTIVE
	                            : crypto_pwhash_argon2i_MEMLIMIT_INTERACTIVE,
	                          d ? crypto_pwhash_ALG_ARGON2ID13
	                            : crypto_pwhash_ALG_ARGON2I13) == -1) {
		errno = ENOMEM;
		return -1;
	}
	return buf_add(out, span_of(text));
}

#endif
