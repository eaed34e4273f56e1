#include "protocol/server/selfcert.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>

#include <openssl/conf.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#define NAME_MAX_OCTETS  253
#define LABEL_MAX_OCTETS 63
#define COMMON_NAME_MAX  64   /* RFC 5280, ub-common-name */
#define CONF_MAX_LINE    512  /* of a value that goes into the subject */
#define EARLY_S          3600 /* clocks of clients that are a little late */

/* One certificate being made. */
struct making {
	CONF *conf; /* NULL: none was given */
	const char *file;
	EVP_PKEY *key;
	X509 *cert;
	GENERAL_NAMES *names;
	char *why;
	size_t whycap;
};

#define WRONG(m, ...) (snprintf((m)->why, (m)->whycap, __VA_ARGS__), -1)

/* What the library says of its own failure, without its file names. */
static int
failed(struct making *m, const char *what)
{
	const char *reason = ERR_reason_error_string(ERR_peek_last_error());

	return WRONG(m, "%s: %s", what,
	             reason != NULL ? reason : "no reason was given");
}

/* ---- names ---------------------------------------------------------------------------- */

static bool
is_address(const char *s)
{
	unsigned char raw[16];

	return inet_pton(AF_INET, s, raw) == 1 || inet_pton(AF_INET6, s, raw) == 1;
}

static bool
is_label(struct span s)
{
	if (s.n == 0 || s.n > LABEL_MAX_OCTETS || s.p[0] == '-' || s.p[s.n - 1] == '-')
		return false;
	for (size_t i = 0; i < s.n; i++)
		if (!((s.p[i] >= 'a' && s.p[i] <= 'z') ||
		      (s.p[i] >= 'A' && s.p[i] <= 'Z') ||
		      (s.p[i] >= '0' && s.p[i] <= '9') || s.p[i] == '-' ||
		      s.p[i] == '_'))
			return false;
	return true;
}

const char *
selfcert_name_wrong(const char *name)
{
	struct span rest = span_of(name), label;

	if (is_address(name))
		return NULL;
	for (size_t i = 0; i < rest.n; i++)
		if ((unsigned char)rest.p[i] >= 0x80)
			return "write it in its ASCII form, which begins with xn--";
	if (span_starts(rest, SPAN("*.")))
		rest = span_from(rest, 2);
	if (rest.n == 0 || rest.n > NAME_MAX_OCTETS || rest.p[rest.n - 1] == '.')
		return "a host name has 1 to 253 octets and does not end in a dot";
	while (span_cut(&rest, '.', &label))
		if (!is_label(label))
			return "a host name has letters, digits and hyphens between "
			       "its dots";
	return NULL;
}

static bool
has_name(const struct making *m, const char *name)
{
	for (int i = 0; i < sk_GENERAL_NAME_num(m->names); i++) {
		const GENERAL_NAME *g = sk_GENERAL_NAME_value(m->names, i);

		if (g->type == GEN_DNS &&
		    span_caseeq(
		        span_of(name),
		        (struct span){(const char *)ASN1_STRING_get0_data(g->d.dNSName),
		                      (size_t)ASN1_STRING_length(g->d.dNSName)}))
			return true;
	}
	return false;
}

static int
add_name(struct making *m, const char *name)
{
	GENERAL_NAME *g;

	if (has_name(m, name))
		return 0;
	g = a2i_GENERAL_NAME(NULL, NULL, NULL, is_address(name) ? GEN_IPADD : GEN_DNS,
	                     name, 0);
	if (g != NULL && sk_GENERAL_NAME_push(m->names, g) > 0)
		return 0;
	GENERAL_NAME_free(g);
	return failed(m, name);
}

/* ---- the configuration ---------------------------------------------------------------- */

static int
read_conf(struct making *m)
{
	long line = 0;

	if ((m->conf = NCONF_new(NULL)) == NULL)
		return failed(m, m->file);
	if (NCONF_load(m->conf, m->file, &line) > 0)
		return 0;
	if (line > 0)
		return WRONG(m, "%s:%ld: this is no line of an OpenSSL configuration",
		             m->file, line);
	return failed(m, m->file);
}

/* A value, or NULL, and no complaint of the library about its absence. */
static const char *
conf_value(const struct making *m, const char *section, const char *name)
{
	const char *s;

	ERR_set_mark();
	s = NCONF_get_string(m->conf, section, name);
	ERR_pop_to_mark();
	return s;
}

/* `0.organizationName_default`: the name of the field between its decorations. */
static int
field_of(const char *entry, bool asks, char *out, size_t cap)
{
	struct span s = span_of(entry);
	static const char tail[] = "_default";
	size_t n = sizeof tail - 1;

	for (size_t i = 0; i < s.n && s.p[i] >= '0' && s.p[i] <= '9'; i++)
		if (i + 1 < s.n && s.p[i + 1] == '.') {
			s = span_from(s, i + 2);
			break;
		}
	if (asks) {
		if (s.n <= n || memcmp(s.p + s.n - n, tail, n) != 0)
			return -1;
		s.n -= n;
	}
	return span_cstr(s, out, cap);
}

/* Packages install templates, in which `@commonName@` is still to be replaced. */
static bool
is_filled_in(struct span value)
{
	return value.n > 0 &&
	       !(value.n > 2 && value.p[0] == '@' && value.p[value.n - 1] == '@');
}

/*
 * The subject from the section that `distinguished_name` names. With `prompt = no` it holds
 * the values, else questions and, as `NAME_default`, their usual answers.
 */
static int
conf_subject(struct making *m, X509_NAME *subject)
{
	const char *section = conf_value(m, "req", "distinguished_name");
	const char *prompt = conf_value(m, "req", "prompt");
	STACK_OF(CONF_VALUE) * entries;
	bool asks = prompt == NULL || strcmp(prompt, "no") != 0;

	if (section == NULL || (entries = NCONF_get_section(m->conf, section)) == NULL)
		return WRONG(m,
		             "%s: there is no distinguished name: a section [req] says "
		             "with `distinguished_name =` which section it is",
		             m->file);
	for (int i = 0; i < sk_CONF_VALUE_num(entries); i++) {
		const CONF_VALUE *v = sk_CONF_VALUE_value(entries, i);
		char field[64];

		if (field_of(v->name, asks, field, sizeof field) == -1 ||
		    !is_filled_in(span_of(v->value)) || OBJ_txt2nid(field) == NID_undef)
			continue;
		if (strlen(v->value) > CONF_MAX_LINE ||
		    X509_NAME_add_entry_by_txt(subject, field, MBSTRING_UTF8,
		                               (const unsigned char *)v->value, -1, -1,
		                               0) != 1)
			return WRONG(m, "%s: %s: this cannot be in a subject", m->file,
			             v->name);
	}
	return 0;
}

/* subjectAltName of the section that x509_extensions, or else req_extensions, names. */
static int
conf_names(struct making *m)
{
	static const char *const from[] = {"x509_extensions", "req_extensions"};
	X509_EXTENSION *ext;
	const char *section, *value = NULL;
	X509V3_CTX ctx;

	for (size_t i = 0; i < ARRAY_LEN(from) && value == NULL; i++)
		if ((section = conf_value(m, "req", from[i])) != NULL)
			value = conf_value(m, section, "subjectAltName");
	if (value == NULL)
		return 0;
	X509V3_set_ctx(&ctx, m->cert, m->cert, NULL, NULL, 0);
	X509V3_set_nconf(&ctx, m->conf);
	if ((ext = X509V3_EXT_nconf_nid(m->conf, &ctx, NID_subject_alt_name, value)) ==
	    NULL)
		return WRONG(m, "%s: subjectAltName = %s: these are no names", m->file,
		             value);
	GENERAL_NAMES_free(m->names);
	m->names = X509V3_EXT_d2i(ext);
	X509_EXTENSION_free(ext);
	return m->names != NULL ? 0 : failed(m, "subjectAltName");
}

/* ---- the certificate ------------------------------------------------------------------ */

/* The common name, when it is a name of a host. A subject without one gets `name`. */
static int
common_name(struct making *m, const char *name, char *out, size_t cap)
{
	X509_NAME *subject = X509_get_subject_name(m->cert);
	int n = X509_NAME_get_text_by_NID(subject, NID_commonName, out, (int)cap);

	if (n > 0)
		return (size_t)n < cap && selfcert_name_wrong(out) == NULL ? 0 : -1;
	if (name != NULL && strlen(name) <= COMMON_NAME_MAX)
		X509_NAME_add_entry_by_NID(subject, NID_commonName, MBSTRING_UTF8,
		                           (const unsigned char *)name, -1, -1, 0);
	return -1;
}

static int
set_names(struct making *m, char *const *names, size_t n, const char *usual)
{
	X509_NAME *subject = X509_get_subject_name(m->cert);
	char cn[NAME_MAX_OCTETS + 1];

	if (m->conf != NULL && (conf_subject(m, subject) == -1 || conf_names(m) == -1))
		return -1;
	for (size_t i = 0; i < n; i++)
		if (add_name(m, names[i]) == -1)
			return -1;
	if (n > 0)
		usual = names[0];
	if (common_name(m, usual, cn, sizeof cn) == 0)
		usual = cn;
	if (sk_GENERAL_NAME_num(m->names) == 0 && usual != NULL &&
	    add_name(m, usual) == -1)
		return -1;
	if (sk_GENERAL_NAME_num(m->names) == 0)
		return WRONG(m, "there is no name for the certificate: name those that "
		                "clients use");
	if (X509_set_issuer_name(m->cert, subject) != 1)
		return failed(m, "the issuer");
	return 0;
}

/* 127 random bits: positive, and never the same twice. */
static int
set_serial(struct making *m)
{
	unsigned char raw[16];
	BIGNUM *n;
	int rc = -1;

	if (RAND_bytes(raw, sizeof raw) != 1)
		return failed(m, "random octets");
	raw[0] = (unsigned char)((raw[0] & 0x7f) | 0x40);
	if ((n = BN_bin2bn(raw, sizeof raw, NULL)) != NULL &&
	    BN_to_ASN1_INTEGER(n, X509_get_serialNumber(m->cert)) != NULL)
		rc = 0;
	BN_free(n);
	return rc == 0 ? 0 : failed(m, "the serial number");
}

static int
add_ext(struct making *m, int nid, const char *value)
{
	X509_EXTENSION *ext;
	X509V3_CTX ctx;
	int rc = -1;

	X509V3_set_ctx(&ctx, m->cert, m->cert, NULL, NULL, 0);
	if ((ext = X509V3_EXT_conf_nid(NULL, &ctx, nid, value)) != NULL &&
	    X509_add_ext(m->cert, ext, -1) == 1)
		rc = 0;
	X509_EXTENSION_free(ext);
	return rc == 0 ? 0 : failed(m, value);
}

/*
 * No keyUsage: some verifiers want keyCertSign in whatever is trusted as its own issuer,
 * and others refuse that in a certificate that is no authority's.
 */
static int
set_extensions(struct making *m)
{
	/* a subject without any field is allowed when the names are critical */
	int empty = X509_NAME_entry_count(X509_get_subject_name(m->cert)) == 0;

	if (add_ext(m, NID_basic_constraints, "critical,CA:FALSE") == -1 ||
	    add_ext(m, NID_subject_key_identifier, "hash") == -1 ||
	    add_ext(m, NID_ext_key_usage, "serverAuth") == -1)
		return -1;
	if (X509_add1_ext_i2d(m->cert, NID_subject_alt_name, m->names, empty, 0) != 1)
		return failed(m, "subjectAltName");
	return 0;
}

static int
sign(struct making *m, char *const *names, size_t nnames, const char *usual,
     unsigned days)
{
	if ((m->key = EVP_EC_gen("P-256")) == NULL)
		return failed(m, "making a key");
	if ((m->cert = X509_new()) == NULL ||
	    (m->names = sk_GENERAL_NAME_new_null()) == NULL ||
	    X509_set_version(m->cert, X509_VERSION_3) != 1 ||
	    X509_gmtime_adj(X509_getm_notBefore(m->cert), -EARLY_S) == NULL ||
	    X509_time_adj_ex(X509_getm_notAfter(m->cert), (int)days, 0, NULL) == NULL ||
	    X509_set_pubkey(m->cert, m->key) != 1)
		return failed(m, "making a certificate");
	if (set_serial(m) == -1 || set_names(m, names, nnames, usual) == -1 ||
	    set_extensions(m) == -1)
		return -1;
	return X509_sign(m->cert, m->key, EVP_sha256()) > 0
	           ? 0
	           : failed(m, "signing the certificate");
}

/* ---- what comes out ------------------------------------------------------------------- */

static int
take(BIO *b, struct buf *out)
{
	char *p;
	long n = BIO_get_mem_data(b, &p);

	return n > 0 ? buf_add(out, (struct span){p, (size_t)n}) : -1;
}

/* The private key leaves no copy behind: the memory of the BIO is the library's secure way. */
static int
put_pem(struct making *m, struct selfcert *out)
{
	BIO *cert = BIO_new(BIO_s_mem()), *key = BIO_new(BIO_s_secmem());
	int rc = -1;

	if (cert != NULL && key != NULL && PEM_write_bio_X509(cert, m->cert) == 1 &&
	    PEM_write_bio_PrivateKey(key, m->key, NULL, NULL, 0, NULL, NULL) == 1 &&
	    take(cert, &out->cert) == 0 && take(key, &out->key) == 0)
		rc = 0;
	BIO_free(cert);
	BIO_free(key);
	return rc == 0 ? 0 : failed(m, "writing PEM");
}

static int
add_fingerprint(const X509 *cert, struct buf *out)
{
	unsigned char md[EVP_MAX_MD_SIZE];
	unsigned n;

	if (X509_digest(cert, EVP_sha256(), md, &n) != 1 ||
	    buf_add(out, SPAN("SHA-256 fingerprint: ")) == -1)
		return -1;
	for (unsigned i = 0; i < n; i++)
		if (buf_addf(out, "%s%02X", i > 0 ? ":" : "", md[i]) == -1)
			return -1;
	return buf_addc(out, '\n');
}

static int
print_names(BIO *b, GENERAL_NAMES *names)
{
	if (BIO_puts(b, "\nnames: ") <= 0)
		return -1;
	for (int i = 0; i < sk_GENERAL_NAME_num(names); i++)
		if ((i > 0 && BIO_puts(b, ", ") <= 0) ||
		    GENERAL_NAME_print(b, sk_GENERAL_NAME_value(names, i)) != 1)
			return -1;
	return 0;
}

static int
describe(struct making *m, struct selfcert *out)
{
	BIO *b = BIO_new(BIO_s_mem());
	int rc = -1;

	if (b != NULL && BIO_puts(b, "subject: ") > 0 &&
	    X509_NAME_print_ex(b, X509_get_subject_name(m->cert), 0,
	                       XN_FLAG_RFC2253 & ~ASN1_STRFLGS_ESC_MSB) >= 0 &&
	    print_names(b, m->names) == 0 && BIO_puts(b, "\nvalid until: ") > 0 &&
	    ASN1_TIME_print(b, X509_get0_notAfter(m->cert)) == 1 &&
	    BIO_puts(b, "\n") > 0 && take(b, &out->about) == 0)
		rc = add_fingerprint(m->cert, &out->about);
	BIO_free(b);
	return rc == 0 ? 0 : failed(m, "describing the certificate");
}

int
selfcert_make(struct selfcert *out, const char *conf, char *const *names, size_t nnames,
              const char *usual, unsigned days, char *why, size_t whycap)
{
	struct making m = {.file = conf, .why = why, .whycap = whycap};
	int rc = -1;

	*out = (struct selfcert){0};
	ERR_clear_error();
	if ((conf == NULL || read_conf(&m) == 0) &&
	    sign(&m, names, nnames, usual, days) == 0 && put_pem(&m, out) == 0 &&
	    describe(&m, out) == 0)
		rc = 0;
	NCONF_free(m.conf);
	EVP_PKEY_free(m.key);
	X509_free(m.cert);
	GENERAL_NAMES_free(m.names);
	ERR_clear_error();
	if (rc == -1)
		selfcert_free(out);
	return rc;
}

void
selfcert_free(struct selfcert *s)
{
	if (s->key.p != NULL)
		explicit_bzero(s->key.p, s->key.cap);
	buf_free(&s->key);
	buf_free(&s->cert);
	buf_free(&s->about);
}
