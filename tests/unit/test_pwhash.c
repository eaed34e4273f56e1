/*
 * pwhash: passwords against what is stored of them. Rows without another source were made by
 * `doveadm pw -s SCHEME -p 'Hello world!'` of Dovecot 2.3.19.
 */
#include "tests/unit/support/check.h"
#include "tests/unit/support/guard.h"

#include <errno.h>

#include "protocol/mech.h"
#include "protocol/server/pwhash.h"

#define PASSWORD "Hello world!"
#define SHA512_CRYPT                                                                   \
	"$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/"                           \
	"O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1"
#define CRAM "be3fa00ed91dac8efa2f2929dee858c2e9d1232732bba82c2a73c4d157f80e10"

static const char *const rows[] = {
    "{PLAIN}" PASSWORD,
    "{CLEARTEXT}" PASSWORD,
    "{CLEAR}" PASSWORD,
    "{PLAIN.B64}SGVsbG8gd29ybGQh",
    "{plain.hex}48656c6c6f20776f726c6421",
    "{SHA}00hq6RNueFa8QiEjhep5cJRHWAI=",
    "{SHA}d3486ae9136e7856bc42212385ea797094475802",
    "{SHA1}00hq6RNueFa8QiEjhep5cJRHWAI=",
    "{SHA1.b64url}00hq6RNueFa8QiEjhep5cJRHWAI", /* by hand from the row above */
    "{SHA.HEX}d3486ae9136e7856bc42212385ea797094475802",
    "{SHA.HEX}D3486AE9136E7856BC42212385EA797094475802",
    "{SHA256}wFNeS+K3n/2TKRMFQ2v4iTFOSj+uwF7P/Lt98xrZ5Ro=",
    "{SHA256.B64}wFNeS+K3n/2TKRMFQ2v4iTFOSj+uwF7P/Lt98xrZ5Ro=",
    "{SHA256.B64URL}wFNeS-K3n_2TKRMFQ2v4iTFOSj-uwF7P_Lt98xrZ5Ro=", /* by hand */
    "{SHA512}9s3ioPgZMUzd5V/"
    "CJ9jX2uPSjMVWIioKitZtkcytSq1glPUXohgjYMmqz2o9wyMWLLb9jN/+2w/gOPVehf+1tg==",
    "{SSHA}wwzV+fRfIObGrl+I7T1W3lm6CEaIYYBg",
    "{SSHA256}Lu/hU5tBrcdU/Q1Dxg3YsSOeUIe0atPU5SY5ygvgjqE2D7IE",
    "{SSHA512}"
    "K5Pu1f3x6lyHHTOhm13gpArcnilifiYy6M5Kpmi73nan7BJGkpS2z2hpqXP9I8ekTf9Zomvfs+"
    "dznM9Unozx+sBwHjc=",
    "{SSHA512.HEX}"
    "a25210fed0669ffd00079d4b2811e972c4897a1ad945b84b70d5fb57c5830ec7f93f0a939768e697d0"
    "eb"
    "3390162d4d7700bccfcd6ad88652bc29fffbc0bb5ac1d63e7f80",
    "{SMD5}JlMcwU0287WKZwSHmb9kM9AUGAg=",
    "{PLAIN-MD5}86fb269d190d2c85f6e0468ceca42a20",
    "{PLAIN-MD5.B64}hvsmnRkNLIX24EaM7KQqIA==",
    "{LDAP-MD5}hvsmnRkNLIX24EaM7KQqIA==",
    "{LDAP-MD5}86fb269d190d2c85f6e0468ceca42a20",
    "{MD5}hvsmnRkNLIX24EaM7KQqIA==",
    "{MD5}86fb269d190d2c85f6e0468ceca42a20",
    "{MD5}$1$LCQu/oj/$8EUU8IPNHYpvkg4ZRJvlU1",
    "{MD5-CRYPT}$1$Bdo5rsA/$KSFaVVG028pxLXCJbl6nC.",
    "{DIGEST-MD5}8ce0b18d11794f7256baedadc25e0547", /* -u ann@ex.org */
    "{BLF-CRYPT}$2y$05$XPrgfHSh.rqiLRHFWIRkZuDV2cnCLmhS/OkmYUfjKmL4ZD1tOC5z.",
    "{CRYPT}$2y$05$GDzZ2aWbP7fR0nLynO1YK.1wyEYJc5MrYaDcIDoakQfXipkJ3V/I6",
    "{SHA256-CRYPT}$5$DFjf.cHy71htVeEm$GES1/wXF7G.qDqsSPB17kJ9qNtXpvxILqt6y2NtI9e5",
    "{CRAM-MD5}" CRAM,
    "{HMAC-MD5}" CRAM,
    "{CRAM-MD5.B64}vj+gDtkdrI76Lykp3uhYwunRIycyu6gsKnPE0Vf4DhA=",
    "{SCRAM-SHA-1}4096,404bMd2CW6qzDjMpyk4oaA==,cOr3XGbTG8upJ9+s4I5IWres/"
    "cw=,iJijE4zbg08+4iOgocavgFPThRw=",
    "{SCRAM-SHA-256}4096,0TQL6ltqjYTDlkfmpolvGA==,KG+HA6bfg7SSN60BsLZ6+"
    "gJl2NeTIBLAQDhDi3"
    "kX+3k=,aCjDpgdl8IjGb6PDEZYt/WoMWQUzZtp7dn6R2yJGzgk=",
    "{PBKDF2}$1$6gtP1B7i6A29Pa5u$5000$7e65c4879ba50c92197d033ce788afd9b43b9b71",
    /* by `openssl passwd -6` and `-5`; without a prefix it is the database's scheme */
    SHA512_CRYPT,
    "{SHA512-CRYPT}" SHA512_CRYPT,
    "{SHA256-CRYPT}$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5",
#ifdef MT_SODIUM
    /* by libargon2: 3 passes over 64 KB, salt `saltsaltsaltsalt` */
    "{ARGON2I}$argon2i$v=19$m=64,t=3,p=1$c2FsdHNhbHRzYWx0c2FsdA$"
    "SkqUicTzn4Mn62VeFZFipx3z"
    "ztkZyyKGQLw2FrNNQ84",
    "{ARGON2ID}$argon2id$v=19$m=64,t=3,p=1$c2FsdHNhbHRzYWx0c2FsdA$nK/"
    "A3KwFbeDgGfj7wC28MVgxZSZx0AeVygR8KLR5Hak",
#endif
};

static enum pwhash_is
ask(struct span password, struct span stored, const char *scheme)
{
	const struct pwhash_claim c = {SPAN("ann@ex.org"), guarded(password)};
	enum pwhash_is is = pwhash_verify(&c, guarded(stored), span_of(scheme));

	guard_free_all();
	return is;
}

static void
verifies(void **state)
{
	static const char *const wrong[] = {"", "Hello world", "Hello world!!",
	                                    "hello world!"};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		check_num(ask(SPAN(PASSWORD), span_of(rows[i]), "CRYPT"), PWHASH_RIGHT,
		          "%s", rows[i]);
		for (size_t k = 0; k < ARRAY_LEN(wrong); k++)
			check_num(ask(span_of(wrong[k]), span_of(rows[i]), "CRYPT"),
			          PWHASH_WRONG, "%s: `%s`", rows[i], wrong[k]);
	}
}

/* What has lost its end lets in nobody, nor what has lost its beginning. */
static void
nothing_cut_is_right(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct span whole = span_of(rows[i]);

		for (size_t n = 0; n < whole.n; n++) {
			if (n > 20 &&
			    n + 3 < whole.n) /* the time that crypt(3) takes */
				continue;
			/* but padding is no part of what base64url stands for */
			if (span_starts(whole, SPAN("{SHA256.B64URL}")) &&
			    n + 1 == whole.n)
				continue;
			check_true(ask(SPAN(PASSWORD), (struct span){whole.p, n},
			               "CRYPT") != PWHASH_RIGHT,
			           "%s to %zu", rows[i], n);
			check_true(
			    ask(SPAN(PASSWORD), span_from(whole, n + 1), "CRYPT") !=
			            PWHASH_RIGHT ||
			        span_eq(span_from(whole, n + 1), SPAN(SHA512_CRYPT)) ||
			        whole.p[n] == '}',
			    "%s from %zu", rows[i], n + 1);
		}
	}
}

static void
judges_what_is_none(void **state)
{
	static const struct {
		const char *stored, *scheme;
		enum pwhash_is want;
	} row[] = {
	    {"", "PLAIN", PWHASH_UNUSABLE},
	    {"{PLAIN}", "CRYPT", PWHASH_UNUSABLE},
	    {"*", "CRYPT", PWHASH_UNUSABLE},
	    {"!", "CRYPT", PWHASH_UNUSABLE},
	    {"!" SHA512_CRYPT, "CRYPT", PWHASH_UNUSABLE},
	    {"{NOSUCH}x", "PLAIN", PWHASH_UNKNOWN},
	    {"{}x", "PLAIN", PWHASH_UNKNOWN},
	    {"{PLAIN.}x", "PLAIN", PWHASH_UNKNOWN},
	    {"{PLAIN.b65}x", "PLAIN", PWHASH_UNKNOWN},
	    {"{SHA.hex.b64}00", "PLAIN", PWHASH_UNKNOWN},
	    {"x", "NOSUCH", PWHASH_UNKNOWN},
	    {"{SHA}x", "PLAIN", PWHASH_UNUSABLE},
	    {"{SHA}AAAA", "PLAIN", PWHASH_UNUSABLE},
	    {"{SSHA}AAAA", "PLAIN", PWHASH_UNUSABLE},
	    {"{SHA.hex}zz", "PLAIN", PWHASH_UNUSABLE},
	    {"{CRAM-MD5}" CRAM "00", "PLAIN", PWHASH_UNUSABLE},
	    {"{SCRAM-SHA-1}0,AAAA,cOr3XGbTG8upJ9+s4I5IWres/cw=,x", "", PWHASH_UNUSABLE},
	    {"{SCRAM-SHA-1}4294967296,AAAA,cOr3XGbTG8upJ9+s4I5IWres/cw=,x", "",
	     PWHASH_UNUSABLE},
	    {"{SCRAM-SHA-1}4096,,,", "", PWHASH_UNUSABLE},
	    {"{PBKDF2}$1$s$4294967295$7e65c4879ba50c92197d033ce788afd9b43b9b71", "",
	     PWHASH_UNUSABLE},
	    {"{PBKDF2}$2$s$1$7e65c4879ba50c92197d033ce788afd9b43b9b71", "",
	     PWHASH_UNUSABLE},
#ifdef MT_SODIUM
	    {"{ARGON2ID}" SHA512_CRYPT, "", PWHASH_UNUSABLE},
	    {"{ARGON2ID}$argon2id$v=19$m=64,t=3,p=1$!", "", PWHASH_UNUSABLE},
	    /* more memory than there is reason for */
	    {"{ARGON2ID}$argon2id$v=19$m=1048577,t=1,p=1$c2FsdHNhbHRzYWx0c2FsdA$nK/"
	     "A3KwFbeDgGfj7wC28MVgxZSZx0AeVygR8KLR5Hak",
	     "", PWHASH_UNUSABLE},
#endif
	};
	static char huge[PWHASH_STORED_MAX + 1];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++)
		check_num(ask(SPAN(PASSWORD), span_of(row[i].stored), row[i].scheme),
		          row[i].want, "row %zu", i);
	memset(huge, 'A', sizeof huge);
	check_num(ask(SPAN(PASSWORD), (struct span){huge, sizeof huge}, "PLAIN"),
	          PWHASH_UNUSABLE, "longer than any");
	check_num(ask(SPAN(PASSWORD), (struct span){huge, sizeof huge}, "SHA.b64url"),
	          PWHASH_UNUSABLE, "longer than any");
}

/* The user is a part of it. */
static void
another_user(void **state)
{
	static const char *const user[] = {"ann", "ann@", "bob@ex.org", "ann@ex.com",
	                                   ""};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(user); i++) {
		const struct pwhash_claim c = {span_of(user[i]), SPAN(PASSWORD)};

		check_num(pwhash_verify(&c,
		                        SPAN("{DIGEST-MD5}"
		                             "8ce0b18d11794f7256baedadc25e0547"),
		                        SPAN("")),
		          PWHASH_WRONG, "%s", user[i]);
	}
}

static void
serves_mechanisms(void **state)
{
	static const struct {
		const char *stored;
		unsigned mech;
		const char *text; /* NULL: not for this one */
		unsigned form;
	} row[] = {
	    {"{PLAIN}pw", MECH_CRAM_MD5, "pw", 0},
	    {"{PLAIN.b64}cHc=", MECH_SCRAM_SHA_256, "pw", 0},
	    {"{CLEARTEXT}pw", MECH_APOP, "pw", 0},
	    {"{CRAM-MD5}" CRAM, MECH_CRAM_MD5, CRAM, MECH_CRAM_MD5},
	    {"{CRAM-MD5.b64}vj+gDtkdrI76Lykp3uhYwunRIycyu6gsKnPE0Vf4DhA=",
	     MECH_CRAM_MD5, CRAM, MECH_CRAM_MD5},
	    {"{CRAM-MD5}" CRAM, MECH_APOP, NULL, 0},
	    {"{CRAM-MD5}" CRAM, MECH_SCRAM_SHA_1, NULL, 0},
	    {"{SCRAM-SHA-1}1,a,b,c", MECH_SCRAM_SHA_1, "1,a,b,c", MECH_SCRAM_SHA_1},
	    {"{SCRAM-SHA-1}1,a,b,c", MECH_SCRAM_SHA_256, NULL, 0},
	    {SHA512_CRYPT, MECH_CRAM_MD5, NULL, 0},
	    {"{SSHA}wwzV+fRfIObGrl+I7T1W3lm6CEaIYYBg", MECH_SCRAM_SHA_1, NULL, 0},
	    {"{NOSUCH}pw", MECH_CRAM_MD5, NULL, 0},
	    {"{PLAIN}", MECH_CRAM_MD5, NULL, 0},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		struct buf text = {0};
		unsigned form = 0;
		enum pwhash_is is =
		    pwhash_secret(guarded(span_of(row[i].stored)), SPAN("CRYPT"),
		                  row[i].mech, &text, &form);

		check_num(is == PWHASH_RIGHT, row[i].text != NULL, "row %zu", i);
		check_num(form, row[i].form, "row %zu", i);
		if (row[i].text != NULL)
			check_span(buf_span(&text), span_of(row[i].text), "row %zu", i);
		buf_free(&text);
		guard_free_all();
	}
}

static void
makes_what_it_verifies(void **state)
{
	struct buf list = {0}, one = {0}, two = {0};
	struct span rest, name;
	char scheme[64];

	(void)state;
	check_num((uint64_t)pwhash_list(&list), 0, "list");
	for (rest = buf_span(&list); span_word(&rest, &name);) {
		check_num((uint64_t)span_cstr(name, scheme, sizeof scheme), 0, "name");
		buf_reset(&one);
		buf_reset(&two);
		check_num((uint64_t)pwhash_make(SPAN("p\xc3\xa4ss w"), scheme, &one), 0,
		          "%s", scheme);
		check_num((uint64_t)pwhash_make(SPAN("p\xc3\xa4ss w"), scheme, &two), 0,
		          "%s", scheme);
		check_num(ask(SPAN("p\xc3\xa4ss w"), buf_span(&one), "x"), PWHASH_RIGHT,
		          "%s: right", scheme);
		check_num(ask(SPAN("p\xc3\xa4ss"), buf_span(&one), "x"), PWHASH_WRONG,
		          "%s: wrong", scheme);
		check_num(span_eq(buf_span(&one), buf_span(&two)),
		          strcmp(scheme, "PLAIN") == 0 ||
		              strcmp(scheme, "CLEARTEXT") == 0 ||
		              strcmp(scheme, "CRAM-MD5") == 0,
		          "%s: salt", scheme);
	}
	buf_reset(&one);
	check_num((uint64_t)pwhash_make(SPAN(PASSWORD), "CRAM-MD5", &one), 0,
	          "CRAM-MD5");
	check_span(buf_span(&one), SPAN("{CRAM-MD5}" CRAM), "CRAM-MD5");
	check_num((uint64_t)pwhash_make(SPAN("x"), "DES-CRYPT", &one), (uint64_t)-1,
	          "old");
	check_num((uint64_t)pwhash_make(SPAN("a\0b"), "PLAIN", &one), (uint64_t)-1,
	          "NUL");
	check_true(pwhash_scheme(SPAN("sha512-crypt")) != NULL, "a scheme");
	check_true(pwhash_scheme(SPAN("MD5-CRYPT")) == NULL, "not to be made any more");
	check_true(pwhash_scheme(SPAN("PLAIN.b64")) == NULL, "a name with a suffix");
	buf_free(&list);
	buf_free(&one);
	buf_free(&two);
}

/* A key of more than 64 octets is digested first (RFC 2104). */
static void
long_keys(void **state)
{
	char password[PWHASH_PASSWORD_MAX];
	struct buf one = {0};

	(void)state;
	memset(password, 'k', sizeof password);
	for (size_t n = 62; n < 68; n++) {
		buf_reset(&one);
		check_num(
		    (uint64_t)pwhash_make((struct span){password, n}, "CRAM-MD5", &one),
		    0, "%zu", n);
		check_num(ask((struct span){password, n}, buf_span(&one), ""),
		          PWHASH_RIGHT, "%zu", n);
		check_num(ask((struct span){password, n - 1}, buf_span(&one), ""),
		          PWHASH_WRONG, "%zu", n);
	}
	buf_free(&one);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(verifies),
	    cmocka_unit_test(nothing_cut_is_right),
	    cmocka_unit_test(judges_what_is_none),
	    cmocka_unit_test(another_user),
	    cmocka_unit_test(serves_mechanisms),
	    cmocka_unit_test(makes_what_it_verifies),
	    cmocka_unit_test(long_keys),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
