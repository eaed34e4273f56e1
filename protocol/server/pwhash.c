#include "protocol/server/pwhash.h"

#include <crypt.h>
#include <errno.h>
#include <stdlib.h>

enum how { PLAIN, HASHED };

static const struct scheme {
	const char *name;
	enum how how;
	const char *prefix;   /* of crypt(5), to make one; NULL: cannot be made */
	unsigned long rounds; /* 0: the default of libcrypt */
} schemes[] = {
    {"PLAIN", PLAIN, NULL, 0},          {"CLEARTEXT", PLAIN, NULL, 0},
    {"CRYPT", HASHED, "$2b$", 0},       {"DES-CRYPT", HASHED, NULL, 0},
    {"MD5-CRYPT", HASHED, NULL, 0},     {"SHA256-CRYPT", HASHED, "$5$", 0},
    {"SHA512-CRYPT", HASHED, "$6$", 0}, {"BLF-CRYPT", HASHED, "$2b$", 0},
    {"YESCRYPT", HASHED, "$y$", 0},
};

static const struct scheme *
find(struct span name)
{
	for (size_t i = 0; i < ARRAY_LEN(schemes); i++)
		if (span_caseeq(name, span_of(schemes[i].name)))
			return &schemes[i];
	return NULL;
}

const char *
pwhash_scheme(struct span name)
{
	const struct scheme *s = find(name);

	return s != NULL && (s->how == PLAIN || s->prefix != NULL) ? s->name : NULL;
}

bool
pwhash_same(struct span a, struct span b)
{
	unsigned char differ = a.n != b.n;

	for (size_t i = 0; i < a.n; i++)
		differ |= (unsigned char)(a.p[i] ^ (b.n > 0 ? b.p[i % b.n] : 1));
	return differ == 0;
}

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

static enum pwhash_is
verify_hash(struct span password, struct span stored)
{
	struct crypt_data *data = calloc(1, sizeof *data);
	enum pwhash_is is = PWHASH_UNUSABLE;
	const char *hash;

	if (data != NULL && (hash = run_crypt(password, stored, data)) != NULL)
		is = pwhash_same(span_of(hash), stored) ? PWHASH_RIGHT : PWHASH_WRONG;
	if (data != NULL)
		explicit_bzero(data, sizeof *data);
	free(data);
	return is;
}

void
pwhash_split(struct span *stored, struct span *scheme)
{
	const char *end;

	if (stored->n > 0 && stored->p[0] == '{' &&
	    (end = memchr(stored->p, '}', stored->n)) != NULL) {
		*scheme = (struct span){stored->p + 1, (size_t)(end - stored->p) - 1};
		*stored = span_from(*stored, scheme->n + 2);
	}
}

bool
pwhash_is_plain(struct span scheme)
{
	const struct scheme *s = find(scheme);

	return s != NULL && s->how == PLAIN;
}

enum pwhash_is
pwhash_verify(struct span password, struct span stored, struct span scheme)
{
	const struct scheme *s;

	pwhash_split(&stored, &scheme);
	if (stored.n == 0 || (s = find(scheme)) == NULL)
		return PWHASH_UNUSABLE;
	if (s->how == HASHED)
		return verify_hash(password, stored);
	return pwhash_same(password, stored) ? PWHASH_RIGHT : PWHASH_WRONG;
}

static int
make_hash(struct span password, const struct scheme *s, struct buf *out)
{
	struct crypt_data *data = calloc(1, sizeof *data);
	char salt[CRYPT_GENSALT_OUTPUT_SIZE];
	const char *hash;
	int rc = -1;

	if (data == NULL)
		return -1;
	if (crypt_gensalt_rn(s->prefix, s->rounds, NULL, 0, salt, sizeof salt) !=
	        NULL &&
	    (hash = run_crypt(password, span_of(salt), data)) != NULL)
		rc = buf_addf(out, "{%s}%s", s->name, hash);
	explicit_bzero(data, sizeof *data);
	free(data);
	return rc;
}

int
pwhash_make(struct span password, const char *scheme, struct buf *out)
{
	const struct scheme *s = find(span_of(scheme));

	if (s == NULL || password.n == 0 || password.n > PWHASH_PASSWORD_MAX ||
	    memchr(password.p, '\0', password.n) != NULL ||
	    (s->how == HASHED && s->prefix == NULL)) {
		errno = EINVAL;
		return -1;
	}
	if (s->how == HASHED)
		return make_hash(password, s, out);
	if (buf_addf(out, "{%s}", s->name) == -1)
		return -1;
	return buf_add(out, password);
}
