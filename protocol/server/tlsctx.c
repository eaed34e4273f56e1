#include "protocol/server/tlsctx.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdio.h>

#include "protocol/server/tlsproto.h"

void
tlsctx_init(void)
{
	OPENSSL_init_ssl(OPENSSL_INIT_NO_LOAD_CONFIG, NULL);
}

/* What one step needs. */
struct making {
	SSL_CTX *ctx;
	const struct config *c;
	const struct tlskeys *keys;
	const struct tlskey *row;
	struct tlsctx_fault *fault;
};

static int
fail(struct making *m, enum conf_key key, const char *text)
{
	const char *why = ERR_reason_error_string(ERR_peek_last_error());

	m->fault->key = key;
	snprintf(m->fault->text, sizeof m->fault->text, "%s%s%s", text,
	         why != NULL ? ": " : "", why != NULL ? why : "");
	return -1;
}

/* ---- versions and ciphers --------------------------------------------------------- */

static int
set_versions(struct making *m)
{
	static const struct {
		unsigned bit;
		uint64_t option;
	} off[] = {{TLSPROTO_10, SSL_OP_NO_TLSv1},
	           {TLSPROTO_11, SSL_OP_NO_TLSv1_1},
	           {TLSPROTO_12, SSL_OP_NO_TLSv1_2},
	           {TLSPROTO_13, SSL_OP_NO_TLSv1_3}};
	unsigned allowed = tlsproto_allowed(m->c);

	if (SSL_CTX_set_min_proto_version(m->ctx, TLS1_VERSION) != 1)
		return fail(m, CONF_SSL_MIN_PROTOCOL, "OpenSSL refuses it");
	for (size_t i = 0; i < ARRAY_LEN(off); i++)
		if (!(allowed & off[i].bit))
			SSL_CTX_set_options(m->ctx, off[i].option);
	return 0;
}

static int
set_ciphers(struct making *m)
{
	char *const *text = m->c->text;

	if (SSL_CTX_set_cipher_list(m->ctx, text[CONF_SSL_CIPHER_LIST]) != 1)
		return fail(m, CONF_SSL_CIPHER_LIST, "no cipher is left");
	if (text[CONF_SSL_CIPHER_SUITES][0] != '\0' &&
	    SSL_CTX_set_ciphersuites(m->ctx, text[CONF_SSL_CIPHER_SUITES]) != 1)
		return fail(m, CONF_SSL_CIPHER_SUITES,
		            "not a list of TLS 1.3's suites");
	if (text[CONF_SSL_CURVE_LIST][0] != '\0' &&
	    strcmp(text[CONF_SSL_CURVE_LIST], "auto") != 0 &&
	    SSL_CTX_set1_groups_list(m->ctx, text[CONF_SSL_CURVE_LIST]) != 1)
		return fail(m, CONF_SSL_CURVE_LIST, "not a list of curves");
	return 0;
}

/* The groups that come with OpenSSL fit the strength of the key. */
static int
set_dh(struct making *m)
{
	const struct buf *pem = &m->keys->dh;
	EVP_PKEY *key;
	BIO *b;

	if (pem->n == 0)
		return SSL_CTX_set_dh_auto(m->ctx, 1) == 1
		           ? 0
		           : fail(m, CONF_SSL_DH, "no groups");
	b = BIO_new_mem_buf(pem->p, (int)pem->n);
	key = b != NULL ? PEM_read_bio_Parameters(b, NULL) : NULL;
	BIO_free(b);
	if (key == NULL)
		return fail(m, CONF_SSL_DH, "no DH parameters (PEM) are in the file");
	if (SSL_CTX_set0_tmp_dh_pkey(m->ctx, key) == 1)
		return 0;
	EVP_PKEY_free(key);
	return fail(m, CONF_SSL_DH, "OpenSSL refuses these DH parameters");
}

/* ---- certificates ----------------------------------------------------------------- */

/* The certificate, then those that lead to whom clients trust. -1: none is there. */
static int
use_chain(SSL_CTX *ctx, const struct buf *pem)
{
	BIO *b = BIO_new_mem_buf(pem->p, (int)pem->n);
	X509 *x = b != NULL ? PEM_read_bio_X509_AUX(b, NULL, NULL, NULL) : NULL;
	int rc = x != NULL && SSL_CTX_use_certificate(ctx, x) == 1 ? 0 : -1;

	X509_free(x);
	while (rc == 0 && (x = PEM_read_bio_X509(b, NULL, NULL, NULL)) != NULL)
		if (SSL_CTX_add0_chain_cert(ctx, x) != 1) {
			X509_free(x);
			rc = -1;
		}
	BIO_free(b);
	if (rc == 0)
		ERR_clear_error(); /* the end of the file */
	return rc;
}

static int
use_key(SSL_CTX *ctx, const struct buf *pem)
{
	BIO *b = BIO_new_mem_buf(pem->p, (int)pem->n);
	EVP_PKEY *key = b != NULL ? PEM_read_bio_PrivateKey(b, NULL, NULL, "") : NULL;
	int rc = key != NULL && SSL_CTX_use_PrivateKey(ctx, key) == 1 ? 0 : -1;

	EVP_PKEY_free(key);
	BIO_free(b);
	return rc;
}

static int
set_certificates(struct making *m)
{
	const struct tlskey *r = m->row;

	if (use_chain(m->ctx, &r->cert) == -1)
		return fail(m, CONF_SSL_CERT, "OpenSSL refuses the certificate");
	if (use_key(m->ctx, &r->key) == -1)
		return fail(m, CONF_SSL_KEY, "OpenSSL refuses the key");
	if (r->alt_cert.n == 0)
		return 0;
	if (use_chain(m->ctx, &r->alt_cert) == -1)
		return fail(m, CONF_SSL_ALT_CERT, "OpenSSL refuses the certificate");
	if (use_key(m->ctx, &r->alt_key) == -1)
		return fail(m, CONF_SSL_ALT_KEY, "OpenSSL refuses the key");
	return 0;
}

/* ---- certificates of clients ------------------------------------------------------- */

/*
 * A client without a good certificate may go on to say who it is: what that is worth is
 * judged by the result, which keeps the first fault.
 */
static int
go_on(int good, X509_STORE_CTX *x)
{
	SSL *ssl = X509_STORE_CTX_get_ex_data(x, SSL_get_ex_data_X509_STORE_CTX_idx());

	if (!good && ssl != NULL)
		SSL_set_app_data(ssl, SSL_get_SSL_CTX(ssl)); /* anything but NULL */
	return 1;
}

static int
add_authority(struct making *m, X509_STORE *store, const X509_INFO *one, bool *crl)
{
	if (one->x509 != NULL && (X509_STORE_add_cert(store, one->x509) != 1 ||
	                          SSL_CTX_add_client_CA(m->ctx, one->x509) != 1))
		return -1;
	if (one->crl == NULL)
		return 0;
	*crl = true;
	return X509_STORE_add_crl(store, one->crl) == 1 ? 0 : -1;
}

static int
add_authorities(struct making *m, X509_STORE *store, bool *crl)
{
	BIO *b = BIO_new_mem_buf(m->keys->ca.p, (int)m->keys->ca.n);
	STACK_OF(X509_INFO) *all =
	    b != NULL ? PEM_X509_INFO_read_bio(b, NULL, NULL, NULL) : NULL;
	int rc = all != NULL && sk_X509_INFO_num(all) > 0 ? 0 : -1;

	for (int i = 0; rc == 0 && i < sk_X509_INFO_num(all); i++)
		rc = add_authority(m, store, sk_X509_INFO_value(all, i), crl);
	sk_X509_INFO_pop_free(all, X509_INFO_free);
	BIO_free(b);
	return rc;
}

static int
set_clients(struct making *m)
{
	X509_STORE *store = SSL_CTX_get_cert_store(m->ctx);
	bool crl = false;

	if (!m->c->num[CONF_SSL_VERIFY_CLIENT_CERT])
		return 0;
	if (add_authorities(m, store, &crl) == -1)
		return fail(m, CONF_SSL_CA, "no certificate (PEM) is in the file");
	if (m->c->num[CONF_SSL_REQUIRE_CRL] && !crl)
		return fail(m, CONF_SSL_CA,
		            "the file has no revocation list, without which no client "
		            "is believed: add one, or set ssl_require_crl = no");
	if (crl)
		X509_STORE_set_flags(store,
		                     X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL);
	SSL_CTX_set_verify(m->ctx, SSL_VERIFY_PEER, go_on);
	SSL_CTX_set_max_cert_list(m->ctx, TLSCTX_CHAIN_MAX);
	/* a resumed session would tell of a certificate that was looked at long ago */
	SSL_CTX_set_options(m->ctx, SSL_OP_NO_TICKET);
	SSL_CTX_set_num_tickets(m->ctx, 0);
	return 0;
}

static int
check_field(struct making *m)
{
	return OBJ_txt2nid(m->c->text[CONF_SSL_CERT_USERNAME_FIELD]) != NID_undef
	           ? 0
	           : fail(m, CONF_SSL_CERT_USERNAME_FIELD,
	                  "certificates have no field of that name");
}

/* ---- the rest ----------------------------------------------------------------------- */

static int
set_options(struct making *m)
{
	const struct config *c = m->c;

	SSL_CTX_set_options(m->ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
	                                SSL_OP_SINGLE_DH_USE |
	                                SSL_OP_IGNORE_UNEXPECTED_EOF);
	if (c->num[CONF_SSL_PREFER_SERVER_CIPHERS])
		SSL_CTX_set_options(m->ctx, SSL_OP_CIPHER_SERVER_PREFERENCE);
	if (config_has_word(c, CONF_SSL_OPTIONS, SPAN("no_ticket"))) {
		SSL_CTX_set_options(m->ctx, SSL_OP_NO_TICKET);
		SSL_CTX_set_num_tickets(m->ctx, 0);
	}
	/* an idle connection holds no buffer, a session no memory of ours */
	SSL_CTX_set_mode(m->ctx, SSL_MODE_RELEASE_BUFFERS |
	                             SSL_MODE_ENABLE_PARTIAL_WRITE |
	                             SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_set_session_cache_mode(m->ctx, SSL_SESS_CACHE_OFF);
	return 0;
}

SSL_CTX *
tlsctx_make(const struct config *c, const struct tlskeys *keys, size_t row,
            struct tlsctx_fault *fault)
{
	static int (*const steps[])(struct making *) = {
	    set_options, set_versions,     set_ciphers, set_dh,
	    check_field, set_certificates, set_clients,
	};
	struct making m = {NULL, c, keys, &keys->row[row], fault};

	ERR_clear_error();
	if ((m.ctx = SSL_CTX_new(TLS_server_method())) == NULL) {
		(void)fail(&m, CONF_SSL, "OpenSSL");
		return NULL;
	}
	for (size_t i = 0; i < ARRAY_LEN(steps); i++)
		if (steps[i](&m) == -1) {
			ERR_clear_error();
			SSL_CTX_free(m.ctx);
			return NULL;
		}
	return m.ctx;
}
