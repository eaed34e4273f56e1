#include "protocol/server/pwhash.h"

#include <errno.h>

#include "protocol/base64.h"
#include "protocol/mech.h"
#include "protocol/server/pwscheme.h"
#include "storage/base/num.h"

/* clang-format off */
static const struct pwscheme schemes[] = {
    /* name, text, verify, make, by, size, serves */
    {"PLAIN", PWSCHEME_AS_IS, pwplain_verify, pwplain_make, NULL, 0, MECH_STORED},
    {"CLEARTEXT", PWSCHEME_AS_IS, pwplain_verify, pwplain_make, NULL, 0, MECH_STORED},
    {"CLEAR", PWSCHEME_AS_IS, pwplain_verify, NULL, NULL, 0, MECH_STORED},

    {"SHA512-CRYPT", PWSCHEME_AS_IS, pwcrypt_verify, pwcrypt_make, "$6$", 0, 0},
    {"SHA256-CRYPT", PWSCHEME_AS_IS, pwcrypt_verify, pwcrypt_make, "$5$", 0, 0},
    {"BLF-CRYPT", PWSCHEME_AS_IS, pwcrypt_verify, pwcrypt_make, "$2b$", 0, 0},
    {"YESCRYPT", PWSCHEME_AS_IS, pwcrypt_verify, pwcrypt_make, "$y$", 0, 0},
    {"CRYPT", PWSCHEME_AS_IS, pwcrypt_verify, pwcrypt_make, "$2b$", 0, 0},
    {"DES-CRYPT", PWSCHEME_AS_IS, pwcrypt_verify, NULL, NULL, 0, 0},
    {"MD5-CRYPT", PWSCHEME_AS_IS, pwcrypt_verify, NULL, NULL, 0, 0},
#ifdef MT_SODIUM
    {"ARGON2ID", PWSCHEME_AS_IS, pwargon_verify, pwargon_make, "$argon2id$", 0, 0},
    {"ARGON2I", PWSCHEME_AS_IS, pwargon_verify, pwargon_make, "$argon2i$", 0, 0},
#endif
    {"PBKDF2", PWSCHEME_AS_IS, pwpbkdf2_verify, pwpbkdf2_make, "SHA1", 20, 0},

    {"SSHA512", PWSCHEME_BASE64, pwdigest_verify, pwdigest_make, "SHA512", 0, 0},
    {"SSHA256", PWSCHEME_BASE64, pwdigest_verify, pwdigest_make, "SHA256", 0, 0},
    {"SSHA", PWSCHEME_BASE64, pwdigest_verify, NULL, "SHA1", 0, 0},
    {"SMD5", PWSCHEME_BASE64, pwdigest_verify, NULL, "MD5", 0, 0},
    {"SHA512", PWSCHEME_BASE64, pwdigest_verify, NULL, "SHA512", 64, 0},
    {"SHA256", PWSCHEME_BASE64, pwdigest_verify, NULL, "SHA256", 32, 0},
    {"SHA1", PWSCHEME_BASE64, pwdigest_verify, NULL, "SHA1", 20, 0},
    {"SHA", PWSCHEME_BASE64, pwdigest_verify, NULL, "SHA1", 20, 0},
    {"LDAP-MD5", PWSCHEME_BASE64, pwdigest_verify, NULL, "MD5", 16, 0},
    {"PLAIN-MD5", PWSCHEME_HEX, pwdigest_verify, NULL, "MD5", 16, 0},
    {"MD5", PWSCHEME_AS_IS, pwmd5_verify, NULL, "MD5", 16, 0},

    {"SCRAM-SHA-256", PWSCHEME_AS_IS, pwscram_verify, pwscram_make, "SHA256", 32, MECH_SCRAM_SHA_256},
    {"SCRAM-SHA-1", PWSCHEME_AS_IS, pwscram_verify, pwscram_make, "SHA1", 20, MECH_SCRAM_SHA_1},
    {"CRAM-MD5", PWSCHEME_HEX, pwcram_verify, pwcram_make, "MD5", 32, MECH_CRAM_MD5},
    {"HMAC-MD5", PWSCHEME_HEX, pwcram_verify, NULL, "MD5", 32, MECH_CRAM_MD5},
    {"DIGEST-MD5", PWSCHEME_HEX, pwrealm_verify, NULL, "MD5", 16, MECH_DIGEST_MD5},
};
/* clang-format on */

bool
pwhash_same(struct span a, struct span b)
{
	unsigned char differ = a.n != b.n;

	for (size_t i = 0; i < a.n; i++)
		differ |= (unsigned char)(a.p[i] ^ (b.n > 0 ? b.p[i % b.n] : 1));
	return differ == 0;
}

/* ---- the octets of what is written ---------------------------------------------------- */

ptrdiff_t
pwscheme_unhex(struct span s, char *out, size_t cap)
{
	if (s.n % 2 != 0 || s.n / 2 > cap)
		return -1;
	for (size_t i = 0; i < s.n / 2; i++) {
		uint32_t octet;

		if (num_hex32((struct span){s.p + 2 * i, 2}, &octet) == -1)
			return -1;
		out[i] = (char)octet;
	}
	return (ptrdiff_t)(s.n / 2);
}

int
pwscheme_hex(struct span s, struct buf *b)
{
	for (size_t i = 0; i < s.n; i++)
		if (buf_addf(b, "%02x", (unsigned char)s.p[i]) == -1)
			return -1;
	return 0;
}

/* RFC 4648 section 5, with its padding or without. */
static ptrdiff_t
decode_url(struct span s, char *out, size_t cap)
{
	char text[PWHASH_STORED_MAX + 3];
	ptrdiff_t octets;
	size_t n = 0;

	if (s.n > PWHASH_STORED_MAX)
		return -1;
	for (; n < s.n; n++)
		text[n] = s.p[n] == '-' ? '+' : s.p[n] == '_' ? '/' : s.p[n];
	while (n % 4 != 0)
		text[n++] = '=';
	octets = base64_decode((struct span){text, n}, out, cap);
	explicit_bzero(text, sizeof text); /* it may be the password itself */
	return octets;
}

static ptrdiff_t
take_octets(struct span s, char *out, size_t cap)
{
	if (s.n > cap)
		return -1;
	memcpy(out, s.p, s.n);
	return (ptrdiff_t)s.n;
}

typedef ptrdiff_t decoder(struct span, char *out, size_t cap);

static decoder *
usual_decoder(const struct pwscheme *s, struct span stored)
{
	if (s->text == PWSCHEME_AS_IS)
		return take_octets;
	if (s->text == PWSCHEME_HEX && stored.n == 2 * s->size)
		return pwscheme_unhex;
	return s->size > 0 && stored.n == 2 * s->size ? pwscheme_unhex : base64_decode;
}

/* ---- names ---------------------------------------------------------------------------- */

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

/* The row of `NAME` or `NAME.b64`; *by is what the suffix says, NULL without one. */
static const struct pwscheme *
find(struct span name, decoder **by)
{
	static const struct {
		const char *suffix;
		decoder *by;
	} coded[] = {{"hex", pwscheme_unhex},
	             {"b64", base64_decode},
	             {"base64", base64_decode},
	             {"b64url", decode_url}};
	struct span suffix = name, alone;

	*by = NULL;
	if (memchr(name.p, '.', name.n) != NULL) {
		span_cut(&suffix, '.', &alone);
		name = alone;
		for (size_t i = 0; i < ARRAY_LEN(coded); i++)
			if (span_caseeq(suffix, span_of(coded[i].suffix)))
				*by = coded[i].by;
		if (*by == NULL)
			return NULL;
	}
	for (size_t i = 0; i < ARRAY_LEN(schemes); i++)
		if (span_caseeq(name, span_of(schemes[i].name)))
			return &schemes[i];
	return NULL;
}

/* What is stored under which scheme, as octets in room[0..PWHASH_STORED_MAX). */
struct opened {
	const struct pwscheme *scheme;
	struct span octets;
};

/* RIGHT: it is open. */
static enum pwhash_is
open_stored(struct span stored, struct span scheme, char *room, struct opened *o)
{
	decoder *by;
	ptrdiff_t n;

	pwhash_split(&stored, &scheme);
	if ((o->scheme = find(scheme, &by)) == NULL)
		return PWHASH_UNKNOWN;
	if (by == NULL)
		by = usual_decoder(o->scheme, stored);
	if (stored.n == 0 || (n = by(stored, room, PWHASH_STORED_MAX)) <= 0)
		return PWHASH_UNUSABLE;
	o->octets = (struct span){room, (size_t)n};
	return PWHASH_RIGHT;
}

/* ---- comparing and making ------------------------------------------------------------- */

enum pwhash_is
pwplain_verify(const struct pwscheme *s, const struct pwhash_claim *c,
               struct span stored)
{
	(void)s;
	return pwhash_same(c->password, stored) ? PWHASH_RIGHT : PWHASH_WRONG;
}

int
pwplain_make(const struct pwscheme *s, struct span password, struct buf *out)
{
	(void)s;
	return buf_add(out, password);
}

enum pwhash_is
pwhash_verify(const struct pwhash_claim *c, struct span stored, struct span scheme)
{
	char room[PWHASH_STORED_MAX];
	struct opened o;
	enum pwhash_is is = open_stored(stored, scheme, room, &o);

	if (is == PWHASH_RIGHT)
		is = o.scheme->verify(o.scheme, c, o.octets);
	explicit_bzero(room, sizeof room);
	return is;
}

unsigned
pwhash_serves(struct span scheme)
{
	decoder *by;
	const struct pwscheme *s = find(scheme, &by);

	return s != NULL ? s->serves : 0;
}

enum pwhash_is
pwhash_secret(struct span stored, struct span scheme, unsigned mech, struct buf *text,
              unsigned *form)
{
	char room[PWHASH_STORED_MAX];
	struct opened o;
	enum pwhash_is is = open_stored(stored, scheme, room, &o);
	int rc = 0;

	if (is == PWHASH_RIGHT && !(o.scheme->serves & mech))
		is = PWHASH_UNUSABLE;
	if (is == PWHASH_RIGHT) {
		*form = o.scheme->serves == mech ? mech : 0;
		rc = o.scheme->text == PWSCHEME_HEX ? pwscheme_hex(o.octets, text)
		                                    : buf_add(text, o.octets);
	}
	explicit_bzero(room, sizeof room);
	return rc == 0 ? is : PWHASH_UNUSABLE;
}

const char *
pwhash_scheme(struct span name)
{
	decoder *by;
	const struct pwscheme *s = find(name, &by);

	return s != NULL && by == NULL && s->make != NULL ? s->name : NULL;
}

int
pwhash_list(struct buf *b)
{
	for (size_t i = 0; i < ARRAY_LEN(schemes); i++)
		if (schemes[i].make != NULL &&
		    buf_addf(b, "%s%s", b->n > 0 ? " " : "", schemes[i].name) == -1)
			return -1;
	return 0;
}

int
pwhash_make(struct span password, const char *scheme, struct buf *out)
{
	decoder *by;
	const struct pwscheme *s = find(span_of(scheme), &by);

	if (s == NULL || by != NULL || s->make == NULL || password.n == 0 ||
	    password.n > PWHASH_PASSWORD_MAX ||
	    memchr(password.p, '\0', password.n) != NULL) {
		errno = EINVAL;
		return -1;
	}
	if (buf_addf(out, "{%s}", s->name) == -1)
		return -1;
	return s->make(s, password, out);
}
