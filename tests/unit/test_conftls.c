/* What configurations say of TLS, in all dialects; and what login is given of it. */
#include "tests/unit/support/check.h"
#include "tests/unit/support/guard.h"

#include "protocol/server/tlskeys.h"
#include "protocol/server/tlsproto.h"

#define DBS  "passdb { driver = pam }\nuserdb { driver = passwd }\n"
#define PAIR "ssl_cert = </c\nssl_key = </k\n"

static void
load(struct config *c, const char *text)
{
	check_num((uint64_t)config_init(c), 0, "init");
	config_text(c, span_of(text), "f", 0, NULL);
	config_finish(c);
}

static void
each_dialect_is_understood(void **state)
{
	static const struct {
		const char *text;
		enum conf_key key;
		const char *want;
	} row[] = {
	    {"ssl_cert = </etc/c.pem", CONF_SSL_CERT, "</etc/c.pem"},
	    {"ssl_cert = < /etc/c.pem", CONF_SSL_CERT, "</etc/c.pem"},
	    {"ssl_cert = /etc/c.pem", CONF_SSL_CERT, "</etc/c.pem"},
	    {"ssl_cert = \"/etc/my c.pem\"", CONF_SSL_CERT, "</etc/my c.pem"},
	    {"ssl_cert =", CONF_SSL_CERT, ""},
	    {"ssl_cert_file = /etc/c.pem", CONF_SSL_CERT, "</etc/c.pem"},
	    {"ssl_server_cert_file = /etc/c.pem", CONF_SSL_CERT, "</etc/c.pem"},
	    {"ssl_key_file = /etc/k.pem", CONF_SSL_KEY, "</etc/k.pem"},
	    {"ssl_server_key_file = /etc/k.pem", CONF_SSL_KEY, "</etc/k.pem"},
	    {"ssl_server_key_password = x y", CONF_SSL_KEY_PASSWORD, "x y"},
	    {"ssl_server_dh_file = /d", CONF_SSL_DH, "</d"},
	    {"ssl_server_ca_file = /d", CONF_SSL_CA, "</d"},
	    {"ssl_server_prefer_ciphers = server", CONF_SSL_PREFER_SERVER_CIPHERS,
	     "yes"},
	    {"ssl_disable = yes", CONF_SSL, "no"},
	    {"ssl_disable = no", CONF_SSL, "yes"},
	    {"", CONF_SSL, "yes"},
	    {"", CONF_SSL_MIN_PROTOCOL, "TLSv1.2"},
	};
	struct config c;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		load(&c, row[i].text);
		check_span(span_of(c.text[row[i].key]), span_of(row[i].want), "row %zu",
		           i);
		config_free(&c);
	}
}

static void
versions(void **state)
{
	enum { V0 = TLSPROTO_10, V1 = TLSPROTO_11, V2 = TLSPROTO_12, V3 = TLSPROTO_13 };
	static const struct {
		const char *text;
		unsigned want;
	} row[] = {
	    {"", V2 | V3},
	    {"ssl_min_protocol = TLSv1.3", V3},
	    {"ssl_min_protocol = TLSv1.1", V1 | V2 | V3},
	    {"ssl_min_protocol = TLSv1", V0 | V1 | V2 | V3},
	    {"ssl_min_protocol = ANY", V0 | V1 | V2 | V3},
	    {"ssl_min_protocol = LATEST", V3},
	    {"ssl_min_protocol = SSLv3", V0 | V1 | V2 | V3},
	    /* a list that only excludes brings nothing back */
	    {"ssl_protocols = !SSLv2 !SSLv3", V2 | V3},
	    {"ssl_protocols = !SSLv2 !SSLv3 !TLSv1", V2 | V3},
	    {"ssl_protocols = !SSLv2, !SSLv3, !TLSv1, !TLSv1.1", V2 | V3},
	    {"ssl_protocols = !TLSv1.2", V3},
	    {"ssl_protocols = !SSLv3\nssl_min_protocol = TLSv1.1", V1 | V2 | V3},
	    /* one that names them does */
	    {"ssl_protocols = TLSv1 TLSv1.1 TLSv1.2", V0 | V1 | V2 | V3},
	    {"ssl_protocols = TLSv1.2", V2 | V3},
	    {"ssl_protocols = TLSv1.2 !TLSv1.3", V2},
	    {"ssl_protocols = TLSv1 TLSv1.2\nssl_min_protocol = TLSv1.3", V3},
	    {"ssl_protocols = SSLv3", 0},
	};
	struct config c;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		load(&c, row[i].text);
		check_num(tlsproto_allowed(&c), row[i].want, "row %zu", i);
		config_free(&c);
	}
}

static void
names_have_their_certificates(void **state)
{
	static const char text[] =
	    DBS PAIR "local_name a.example { ssl_cert = </a\n ssl_key = </b }\n"
	             "local_name \"c.example *.d.example\" {\n ssl_cert_file = /c\n"
	             " ssl_server_key_file = /d\n ssl_key_password = \"p\\\"w\"\n}\n"
	             "local_name a.example {\n ssl_server {\n key_file = /e\n }\n}\n";
	struct buf once = {0}, twice = {0};
	struct config c, d;

	(void)state;
	load(&c, text);
	check_num(c.nnote, 0, "notes");
	check_num(c.nlocal, 2, "a block is continued");
	check_span(span_of(c.local[0].key), SPAN("</e"), "key");
	check_span(span_of(c.local[1].names), SPAN("c.example *.d.example"), "names");
	check_span(span_of(c.local[1].cert), SPAN("</c"), "cert");
	check_span(span_of(c.local[1].password), SPAN("p\"w"), "password");
	check_num((uint64_t)config_print(&c, false, &once), 0, "print");
	check_true(memmem(once.p, once.n, "\nssl_cert = </c\n", 16) != NULL,
	           "as it was");
	(void)buf_addc(&once, '\0');
	load(&d, once.p);
	check_num((uint64_t)config_print(&d, false, &twice), 0, "print");
	(void)buf_addc(&twice, '\0');
	check_span(buf_span(&twice), buf_span(&once), "read back");
	config_free(&c);
	config_free(&d);
	buf_free(&once);
	buf_free(&twice);
}

static void
when_tls_is_offered(void **state)
{
	static const struct {
		const char *text;
		bool want;
	} row[] = {{DBS, false},
	           {DBS PAIR, true},
	           {DBS PAIR "ssl = required", true},
	           {DBS PAIR "ssl = no", false}};
	struct config c;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		load(&c, row[i].text);
		check_num(c.nerror, 0, "row %zu", i);
		check_true(config_has_tls(&c) == row[i].want, "row %zu", i);
		config_free(&c);
	}
}

/* Whatever login is given: all of it, or nothing. */
static void
keys_as_octets(void **state)
{
	static const char octets[] = "2:CA0:0:4:cert3:key0:0:3:a.b1:c2:kk1:x1:y";
	struct span all = {octets, sizeof octets - 1};
	struct buf again = {0};
	struct tlskeys k;

	(void)state;
	check_num((uint64_t)tlskeys_parse(guarded(all), &k), 0, "parse");
	check_num(k.n, 2, "rows");
	check_span(buf_span(&k.ca), SPAN("CA"), "ca");
	check_span(span_of(k.row[1].names), SPAN("a.b"), "names");
	check_span(buf_span(&k.row[1].alt_key), SPAN("y"), "alt_key");
	check_num((uint64_t)tlskeys_print(&k, &again), 0, "print");
	check_span(buf_span(&again), all, "printed again");
	tlskeys_free(&k);
	buf_free(&again);
	for (size_t n = 0; n < all.n; n++) {
		int rc = tlskeys_parse(guarded((struct span){octets, n}), &k);

		/* without any row, or with one */
		check_num((uint64_t)rc, n == 6 || n == 23 ? 0 : (uint64_t)-1,
		          "%zu octets", n);
		tlskeys_free(&k);
		guard_free_all();
	}
	check_num((uint64_t)tlskeys_parse(SPAN("0:0:4294967295:x"), &k), (uint64_t)-1,
	          "too long");
	check_num((uint64_t)tlskeys_parse(SPAN("0:0:-1:x"), &k), (uint64_t)-1,
	          "negative");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(each_dialect_is_understood),
	    cmocka_unit_test(versions),
	    cmocka_unit_test(names_have_their_certificates),
	    cmocka_unit_test(when_tls_is_offered),
	    cmocka_unit_test(keys_as_octets),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
