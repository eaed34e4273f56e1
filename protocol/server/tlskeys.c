#include "protocol/server/tlskeys.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "protocol/server/tlsctx.h"
#include "storage/base/io.h"
#include "storage/base/num.h"

static void
wipe(struct buf *b)
{
	if (b->p != NULL)
		explicit_bzero(b->p, b->cap);
	buf_free(b);
}

void
tlskeys_free(struct tlskeys *k)
{
	for (size_t i = 0; i < k->n; i++) {
		free(k->row[i].names);
		buf_free(&k->row[i].cert);
		buf_free(&k->row[i].alt_cert);
		wipe(&k->row[i].key);
		wipe(&k->row[i].alt_key);
	}
	free(k->row);
	buf_free(&k->ca);
	buf_free(&k->dh);
	*k = (struct tlskeys){0};
}

/* ---- reading ------------------------------------------------------------------------ */

/* Where a mistake is to be mended: a setting, or a local_name. */
struct source {
	struct config *conf;
	struct conf_place at;
	const char *name; /* of the setting */
};

static struct source
of_key(struct config *c, enum conf_key k)
{
	return (struct source){
	    c, {c->at[k].file, c->at[k].line, c->at[k].col, 0}, config_key_name(k)};
}

static struct source
of_local(struct config *c, const struct conf_local *l, const char *name)
{
	return (struct source){c, {l->file, l->line, 1, 0}, name};
}

#define NOTE(s, error, ...)                                                            \
	config_note((s)->conf, error, (s)->at.file != NULL ? &(s)->at : NULL,          \
	            __VA_ARGS__)

/* A key is for the owner, and at most for a group to read. */
static void
judge_mode(const struct source *s, const char *path, const struct stat *st)
{
	if (st->st_mode & (S_IRWXO | S_IWGRP))
		NOTE(s, false,
		     "%s: others can read or write the key in %s: chmod 0400 it, and "
		     "make a new one if somebody may have done so",
		     s->name, path);
}

/* `</path` into *out. */
static int
read_file(const struct source *s, const char *value, bool secret, struct buf *out)
{
	const char *path = value + 1;
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK), rc = -1;

	out->max = TLSKEYS_FILE_MAX;
	if (fd == -1) {
		NOTE(s, true, "%s: %s: %s", s->name, path, strerror(errno));
		return -1;
	}
	if (fstat(fd, &st) == -1 || !S_ISREG(st.st_mode))
		NOTE(s, true, "%s: %s is not a regular file", s->name, path);
	else if (io_slurp(fd, out) == -1)
		NOTE(s, true, "%s: %s: %s", s->name, path,
		     errno == EMSGSIZE ? "larger than 1 MB" : strerror(errno));
	else
		rc = 0;
	if (rc == 0 && secret)
		judge_mode(s, path, &st);
	close(fd);
	return rc;
}

/* ---- certificates and keys ---------------------------------------------------------- */

static void
judge_dates(const struct source *s, const char *path, const X509 *x)
{
	if (X509_cmp_current_time(X509_get0_notAfter(x)) < 0)
		NOTE(s, false, "%s: the certificate in %s has expired", s->name, path);
	else if (X509_cmp_current_time(X509_get0_notBefore(x)) > 0)
		NOTE(s, false, "%s: the certificate in %s is not valid yet", s->name,
		     path);
}

/* The first certificate of a chain; NULL after a note. */
static X509 *
take_cert(const struct source *s, const char *path, const struct buf *pem)
{
	BIO *b = BIO_new_mem_buf(pem->p, (int)pem->n);
	X509 *x = b != NULL ? PEM_read_bio_X509(b, NULL, NULL, NULL) : NULL;

	if (x == NULL)
		NOTE(s, true, "%s: there is no certificate (PEM) in %s", s->name, path);
	else
		judge_dates(s, path, x);
	BIO_free(b);
	ERR_clear_error();
	return x;
}

struct password {
	const char *text;
	bool asked;
};

static int
give_password(char *room, int cap, int writing, void *arg)
{
	struct password *p = arg;
	int n = (int)strlen(p->text);

	(void)writing;
	p->asked = true;
	if (n == 0 || n > cap)
		return -1;
	memcpy(room, p->text, (size_t)n);
	return n;
}

/* What the key cannot be used for is said once, here. */
static EVP_PKEY *
take_key(const struct source *s, const char *path, const struct buf *pem,
         struct password *p)
{
	BIO *b = BIO_new_mem_buf(pem->p, (int)pem->n);
	EVP_PKEY *key =
	    b != NULL ? PEM_read_bio_PrivateKey(b, NULL, give_password, p) : NULL;

	if (key == NULL && !p->asked)
		NOTE(s, true, "%s: there is no private key (PEM) in %s", s->name, path);
	else if (key == NULL && p->text[0] == '\0')
		NOTE(s, true, "%s: the key in %s has a password: set ssl_key_password",
		     s->name, path);
	else if (key == NULL)
		NOTE(s, true, "%s: ssl_key_password is wrong for the key in %s",
		     s->name, path);
	BIO_free(b);
	ERR_clear_error();
	return key;
}

/* Without its password, for who is to use it. */
static int
decrypt(EVP_PKEY *key, struct buf *pem)
{
	BIO *b = BIO_new(BIO_s_secmem());
	char *p;
	long n;
	int rc = -1;

	if (b != NULL &&
	    PEM_write_bio_PKCS8PrivateKey(b, key, NULL, NULL, 0, NULL, NULL) == 1 &&
	    (n = BIO_get_mem_data(b, &p)) > 0) {
		wipe(pem);
		rc = buf_add(pem, (struct span){p, (size_t)n});
	}
	BIO_free(b);
	return rc;
}

/* A password may lie in a file, whose first line it is. */
static int
find_password(const struct source *s, const char *value, struct buf *out)
{
	struct span rest, line = SPAN("");
	int rc;

	if (value[0] != '<')
		return buf_add(out, (struct span){value, strlen(value) + 1});
	if (read_file(s, value, true, out) == -1)
		return -1;
	rest = buf_span(out);
	(void)span_cut(&rest, '\n', &line);
	line = span_trim(line);
	memmove(out->p, line.n > 0 ? line.p : out->p, line.n);
	out->n = line.n;
	rc = buf_addc(out, '\0');
	return rc;
}

struct pair {
	struct source cert_at, key_at, password_at;
	const char *cert, *key, *password; /* of the settings */
};

static int
load_pair(const struct pair *p, struct buf *cert, struct buf *key)
{
	struct buf password = {0};
	struct password ask = {0};
	X509 *x = NULL;
	EVP_PKEY *k = NULL;
	int rc = -1;

	if (read_file(&p->cert_at, p->cert, false, cert) == 0)
		x = take_cert(&p->cert_at, p->cert + 1, cert);
	if (read_file(&p->key_at, p->key, true, key) == 0 &&
	    find_password(&p->password_at, p->password, &password) == 0) {
		ask.text = password.p;
		k = take_key(&p->key_at, p->key + 1, key, &ask);
	}
	if (x != NULL && k != NULL) {
		if (X509_check_private_key(x, k) != 1)
			NOTE(&p->key_at, true,
			     "%s: the key in %s does not belong to the certificate in "
			     "%s",
			     p->key_at.name, p->key + 1, p->cert + 1);
		else
			rc = ask.asked ? decrypt(k, key) : 0;
	}
	ERR_clear_error();
	X509_free(x);
	EVP_PKEY_free(k);
	wipe(&password);
	return rc;
}

static struct tlskey *
new_row(struct tlskeys *k, struct span names)
{
	struct tlskey *row = realloc(k->row, (k->n + 1) * sizeof *row);

	if (row == NULL)
		return NULL;
	k->row = row;
	row += k->n;
	*row = (struct tlskey){.names = strndup(names.n > 0 ? names.p : "", names.n)};
	if (row->names == NULL)
		return NULL;
	k->n++;
	return row;
}

static int
load_usual(struct tlskeys *k, struct config *c)
{
	struct source password = of_key(c, CONF_SSL_KEY_PASSWORD);
	struct pair usual = {of_key(c, CONF_SSL_CERT),
	                     of_key(c, CONF_SSL_KEY),
	                     password,
	                     c->text[CONF_SSL_CERT],
	                     c->text[CONF_SSL_KEY],
	                     c->text[CONF_SSL_KEY_PASSWORD]},
	            other = {of_key(c, CONF_SSL_ALT_CERT),
	                     of_key(c, CONF_SSL_ALT_KEY),
	                     password,
	                     c->text[CONF_SSL_ALT_CERT],
	                     c->text[CONF_SSL_ALT_KEY],
	                     c->text[CONF_SSL_KEY_PASSWORD]};
	struct tlskey *row = new_row(k, SPAN(""));
	int rc;

	if (row == NULL)
		return -1;
	rc = load_pair(&usual, &row->cert, &row->key);
	if (other.cert[0] != '\0' && other.key[0] != '\0' &&
	    load_pair(&other, &row->alt_cert, &row->alt_key) == -1)
		rc = -1;
	return rc;
}

static int
load_local(struct tlskeys *k, struct config *c, const struct conf_local *l)
{
	struct pair p = {of_local(c, l, "ssl_cert"),
	                 of_local(c, l, "ssl_key"),
	                 of_local(c, l, "ssl_key_password"),
	                 l->cert,
	                 l->key,
	                 l->password};
	struct tlskey *row = new_row(k, span_of(l->names));

	if (p.password[0] == '\0') /* as Dovecot has it */
		p.password = c->text[CONF_SSL_KEY_PASSWORD];
	return row != NULL ? load_pair(&p, &row->cert, &row->key) : -1;
}

static int
load_file(struct config *c, enum conf_key k, struct buf *out)
{
	struct source s = of_key(c, k);

	return c->text[k][0] == '\0' ? 0 : read_file(&s, c->text[k], false, out);
}

/* What all of it makes together: the settings of ciphers and the like, too. */
static int
try_out(const struct tlskeys *k, struct config *c)
{
	struct tlsctx_fault fault;

	for (size_t i = 0; i < k->n; i++) {
		SSL_CTX *ctx = tlsctx_make(c, k, i, &fault);

		if (ctx == NULL) {
			struct source s = of_key(c, fault.key);

			NOTE(&s, true, "%s: %s", s.name, fault.text);
			return -1; /* the others would have the same */
		}
		SSL_CTX_free(ctx);
	}
	return 0;
}

int
tlskeys_load(struct tlskeys *k, struct config *c)
{
	size_t before = c->nerror;

	*k = (struct tlskeys){0};
	tlsctx_init();
	if (!config_has_tls(c) || c->text[CONF_SSL_KEY][0] == '\0')
		return 0; /* conftls_check() has said it */
	if (load_usual(k, c) == -1 && c->nerror == before)
		config_note(c, true, NULL, "out of memory");
	for (size_t i = 0; i < c->nlocal; i++)
		if (c->local[i].cert[0] != '\0' && c->local[i].key[0] != '\0' &&
		    load_local(k, c, &c->local[i]) == -1 && c->nerror == before)
			config_note(c, true, NULL, "out of memory");
	(void)load_file(c, CONF_SSL_CA, &k->ca);
	(void)load_file(c, CONF_SSL_DH, &k->dh);
	if (c->nerror == before)
		(void)try_out(k, c);
	return c->nerror == before ? 0 : -1;
}

/* ---- as octets: `LENGTH:` and so many, for each field -------------------------------- */

static int
print_field(struct buf *out, struct span s)
{
	return buf_addf(out, "%zu:", s.n) == -1 ? -1 : buf_add(out, s);
}

int
tlskeys_print(const struct tlskeys *k, struct buf *out)
{
	if (print_field(out, buf_span(&k->ca)) == -1 ||
	    print_field(out, buf_span(&k->dh)) == -1)
		return -1;
	for (size_t i = 0; i < k->n; i++) {
		const struct tlskey *r = &k->row[i];

		if (print_field(out, span_of(r->names)) == -1 ||
		    print_field(out, buf_span(&r->cert)) == -1 ||
		    print_field(out, buf_span(&r->key)) == -1 ||
		    print_field(out, buf_span(&r->alt_cert)) == -1 ||
		    print_field(out, buf_span(&r->alt_key)) == -1)
			return -1;
	}
	return 0;
}

static int
take_field(struct span *in, struct span *field)
{
	struct span length;
	uint32_t n;

	if (in->n == 0 || memchr(in->p, ':', in->n) == NULL)
		return -1;
	(void)span_cut(in, ':', &length);
	if (num_u32(length, &n) == -1 || n > in->n)
		return -1;
	*field = (struct span){in->p, n};
	*in = span_from(*in, n);
	return 0;
}

static int
take_buf(struct span *in, struct buf *out)
{
	struct span field;

	return take_field(in, &field) == -1 ? -1 : buf_add(out, field);
}

int
tlskeys_parse(struct span in, struct tlskeys *k)
{
	struct tlskey *row;
	struct span names;

	*k = (struct tlskeys){0};
	if (take_buf(&in, &k->ca) == -1 || take_buf(&in, &k->dh) == -1)
		goto bad;
	while (in.n > 0)
		if (k->n == TLSKEYS_ROWS_MAX || take_field(&in, &names) == -1 ||
		    (row = new_row(k, names)) == NULL ||
		    take_buf(&in, &row->cert) == -1 || take_buf(&in, &row->key) == -1 ||
		    take_buf(&in, &row->alt_cert) == -1 ||
		    take_buf(&in, &row->alt_key) == -1)
			goto bad;
	return 0;
bad:
	tlskeys_free(k);
	return -1;
}
