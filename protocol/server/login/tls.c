#include "protocol/server/login/tls.h"

#include <errno.h>
#include <limits.h>
#include <openssl/err.h>
#include <stdio.h>
#include <stdlib.h>

#include "protocol/server/tlsctx.h"
#include "storage/base/log.h"

struct tls_set {
	size_t n; /* 1 or more; the first is the usual one */
	struct {
		char *names;
		SSL_CTX *ctx;
	} row[];
};

#define SHORT_RECORD 4096 /* octets: a buffer for one is held while hands are shaken */

struct tls {
	SSL *ssl;
	bool wants_out;
};

/* ---- certificates by name ----------------------------------------------------------- */

/* `*.example.org` stands for one label before the rest. */
static bool
fits(struct span pattern, struct span name)
{
	const char *dot;

	if (!span_starts(pattern, SPAN("*.")))
		return span_caseeq(pattern, name);
	dot = name.n > 0 ? memchr(name.p, '.', name.n) : NULL;
	return dot != NULL && dot > name.p &&
	       span_caseeq(span_from(pattern, 1),
	                   span_from(name, (size_t)(dot - name.p)));
}

static bool
has_name(const char *names, struct span name)
{
	struct span rest = span_of(names), part, w;

	while (span_cut(&rest, ',', &part))
		while (span_word(&part, &w))
			if (fits(w, name))
				return true;
	return false;
}

static int
on_name(SSL *ssl, int *alert, void *arg)
{
	const struct tls_set *set = arg;
	const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);

	(void)alert;
	for (size_t i = 1; name != NULL && i < set->n; i++)
		if (has_name(set->row[i].names, span_of(name))) {
			SSL_set_SSL_CTX(ssl, set->row[i].ctx);
			return SSL_TLSEXT_ERR_OK;
		}
	return SSL_TLSEXT_ERR_NOACK;
}

struct tls_set *
tls_set_make(const struct config *c, const struct tlskeys *keys)
{
	struct tls_set *set;
	struct tlsctx_fault fault;

	if (keys->n == 0)
		return NULL;
	if ((set = calloc(1, sizeof *set + keys->n * sizeof set->row[0])) == NULL)
		return NULL;
	for (; set->n < keys->n; set->n++) {
		set->row[set->n].ctx = tlsctx_make(c, keys, set->n, &fault);
		set->row[set->n].names = strdup(keys->row[set->n].names);
		if (set->row[set->n].ctx == NULL || set->row[set->n].names == NULL) {
			log_error("%s: %s", config_key_name(fault.key), fault.text);
			return NULL; /* the process ends */
		}
	}
	SSL_CTX_set_tlsext_servername_callback(set->row[0].ctx, on_name);
	SSL_CTX_set_tlsext_servername_arg(set->row[0].ctx, set);
	return set;
}

/* ---- one connection ----------------------------------------------------------------- */

struct tls *
tls_open(const struct tls_set *set, int fd)
{
	struct tls *t = calloc(1, sizeof *t);

	if (t == NULL)
		return NULL;
	t->ssl = SSL_new(set->row[0].ctx);
	if (t->ssl == NULL || SSL_set_fd(t->ssl, fd) != 1) {
		tls_close(t);
		ERR_clear_error();
		return NULL;
	}
	SSL_set_accept_state(t->ssl);
	SSL_set_max_send_fragment(t->ssl, SHORT_RECORD);
	return t;
}

void
tls_grow(struct tls *t)
{
	SSL_set_max_send_fragment(t->ssl, SSL3_RT_MAX_PLAIN_LENGTH);
}

void
tls_close(struct tls *t)
{
	if (t == NULL)
		return;
	SSL_free(t->ssl);
	free(t);
}

/* What became of a call: -1 with errno; 0: the end. */
static int
judge(struct tls *t, int rc)
{
	int saved = errno;

	switch (SSL_get_error(t->ssl, rc)) {
	case SSL_ERROR_WANT_READ:
		t->wants_out = false;
		errno = EAGAIN;
		return -1;
	case SSL_ERROR_WANT_WRITE:
		t->wants_out = true;
		errno = EAGAIN;
		return -1;
	case SSL_ERROR_ZERO_RETURN:
		return 0;
	case SSL_ERROR_SYSCALL:
		errno = saved != 0 ? saved : EPROTO;
		break;
	default:
		errno = EPROTO;
		break;
	}
	return -1;
}

int
tls_handshake(struct tls *t, const char **why)
{
	int rc;

	ERR_clear_error();
	errno = 0;
	if ((rc = SSL_do_handshake(t->ssl)) == 1)
		return 1;
	if (judge(t, rc) == -1 && errno == EAGAIN)
		return 0;
	*why = ERR_reason_error_string(ERR_peek_last_error());
	if (*why == NULL)
		*why = "the client has gone";
	ERR_clear_error();
	return -1;
}

ssize_t
tls_read(struct tls *t, void *p, size_t n)
{
	size_t got;
	int rc;

	ERR_clear_error();
	errno = 0;
	if ((rc = SSL_read_ex(t->ssl, p, n, &got)) == 1)
		return (ssize_t)got;
	return judge(t, rc);
}

ssize_t
tls_write(struct tls *t, const void *p, size_t n)
{
	size_t put;
	int rc;

	ERR_clear_error();
	errno = 0;
	if ((rc = SSL_write_ex(t->ssl, p, n, &put)) == 1)
		return (ssize_t)put;
	if (judge(t, rc) == 0)
		errno = EPIPE;
	return -1;
}

bool
tls_wants_out(const struct tls *t)
{
	return t->wants_out;
}

bool
tls_has_more(const struct tls *t)
{
	return SSL_pending(t->ssl) > 0;
}

int
tls_end(struct tls *t)
{
	int rc;

	ERR_clear_error();
	errno = 0;
	/* 0: said, but not answered yet, which nobody waits for */
	if ((rc = SSL_shutdown(t->ssl)) >= 0)
		return 0;
	return judge(t, rc);
}

/* ---- what is known of it ------------------------------------------------------------ */

/* One field of a name as text without NULs. */
static char *
field_of(const X509 *x, int nid)
{
	const X509_NAME *subject = X509_get_subject_name(x);
	int at = X509_NAME_get_index_by_NID(subject, nid, -1), n;
	unsigned char *utf8 = NULL;
	char *name = NULL;

	if (at < 0)
		return NULL;
	n = ASN1_STRING_to_UTF8(
	    &utf8, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
	if (n > 0 && memchr(utf8, '\0', (size_t)n) == NULL)
		name = strndup((char *)utf8, (size_t)n);
	OPENSSL_free(utf8);
	return name;
}

char *
tls_cert_name(const struct tls *t, const struct config *c)
{
	X509 *x = SSL_get0_peer_certificate(t->ssl);

	/* the first fault of a chain may be forgotten in the result, not in the mark */
	if (x == NULL || SSL_get_verify_result(t->ssl) != X509_V_OK ||
	    SSL_get_app_data(t->ssl) != NULL)
		return NULL;
	return field_of(x, OBJ_txt2nid(c->text[CONF_SSL_CERT_USERNAME_FIELD]));
}

void
tls_describe(const struct tls *t, char *out, size_t cap)
{
	snprintf(out, cap, "%s %s", SSL_get_version(t->ssl), SSL_get_cipher(t->ssl));
}
