#include "protocol/server/settings.h"

#include "protocol/server/config.h"

#define LATER       KNOWN_LATER
#define MEANINGLESS KNOWN_MEANINGLESS

/* Reasons that many rows share. */
static const char tls[] = "TLS has no such setting here";
static const char metadata[] = "METADATA is not in this version";
static const char announced[] = "the server announces what it can do";
static const char layout[] = "how mailboxes lie in a store is fixed";
static const char sasl[] = "write it in a block passdb { } or userdb { }";
static const char lmtp[] = "LMTP delivery is not in this version";
static const char lda[] =
    "there is no delivery agent: deliver into the mount or the store";
static const char submit[] = "mailtree does not submit mail";
static const char director[] = "there are no directors";
static const char proxy[] = "logins are never passed on to another server";
static const char client[] = "mailtree is no client of other servers";
static const char plugin[] = "there are no plugins";
static const char index_[] =
    "the index is rebuilt whenever in doubt and cannot be tuned";
static const char process[] =
    "processes start, stop and drop their rights by themselves";
static const char dbox[] = "dbox stores cannot be read";
static const char virtual_[] = "the index settles which mail has been seen and sized";
static const char ids[] = "only uid limits are checked";
static const char logs[] = "the format of log lines is fixed";
static const char confine[] = "a session sees the user's own mail and nothing else";
static const char kerberos[] = "Kerberos is not in this version";
static const char cache[] = "passwords are never cached";
static const char external[] = "no mail is kept outside its store";
static const char settings1[] = "this setting of version 1 has no counterpart";

/* In the order of the alphabet within each group; the first row that fits counts. */
static const struct known settings[] = {
    {"auth", LATER, sasl},
    {"auth_cache_*", MEANINGLESS, cache},
    {"auth_debug", MEANINGLESS, logs},
    {"auth_debug_passwords", MEANINGLESS, "passwords are never logged"},
    {"auth_count", MEANINGLESS, process},
    {"auth_gssapi_hostname", LATER, kerberos},
    {"auth_krb5_keytab", LATER, kerberos},
    {"auth_policy_*", MEANINGLESS, "no policy server is asked"},
    {"auth_proxy_self", MEANINGLESS, proxy},
    {"auth_realms", LATER, "only DIGEST-MD5 has realms, which is not in this version"},
    {"auth_socket_path", MEANINGLESS, "processes share no socket in the file system"},
    {"auth_stats", MEANINGLESS, logs},
    {"auth_use_winbind", MEANINGLESS, "winbind is not asked"},
    {"auth_verbose", MEANINGLESS, "every failed login is logged"},
    {"auth_verbose_passwords", MEANINGLESS, "passwords are never logged"},
    {"auth_winbind_helper_path", MEANINGLESS, "winbind is not asked"},
    {"auth_executable", MEANINGLESS, process},
    {"auth_process_size", MEANINGLESS, process},
    {"base_dir", MEANINGLESS, "there is no run directory"},
    {"config_cache_size", MEANINGLESS, process},
    {"debug_log_path", MEANINGLESS, "all lines go to log_path"},
    {"default_client_limit", MEANINGLESS, process},
    {"default_idle_kill*", MEANINGLESS, process},
    {"default_internal_*", MEANINGLESS, process},
    {"default_process_*", MEANINGLESS, process},
    {"default_vsz_limit", MEANINGLESS, process},
    {"default_login_group", MEANINGLESS, process},
    {"default_mail_env", MEANINGLESS, "write mail_location instead"},
    {"deliver_log_format", MEANINGLESS, lda},
    {"dict_*", MEANINGLESS, plugin},
    {"dbox_*", MEANINGLESS, dbox},
    {"director_*", MEANINGLESS, director},
    {"doveadm_*", MEANINGLESS, "there is no doveadm"},
    {"dotlock_use_excl", MEANINGLESS, "O_EXCL is always used"},
    {"dovecot_config_version", MEANINGLESS,
     "every setting is understood by its own name"},
    {"dovecot_storage_version", MEANINGLESS,
     "files are kept readable for every version"},
    {"dsync_*", MEANINGLESS, "there is no dsync"},
    {"first_valid_gid", MEANINGLESS, ids},
    {"fs_*", MEANINGLESS, external},
    {"fsync_disable", MEANINGLESS, "what is acknowledged is always durable"},
    {"fts*", MEANINGLESS, plugin},
    {"haproxy_*", LATER, "the proxy protocol is not in this version"},
    {"hostname", MEANINGLESS, "no reply carries it"},
    {"imap_capability", MEANINGLESS, announced},
    {"imap_client_workarounds", LATER, "no workaround is needed or offered yet"},
    {"imap_fetch_failure", MEANINGLESS, "what cannot be read is answered with NO"},
    {"imap_hibernate_timeout", MEANINGLESS, "idle sessions stay as they are"},
    {"imap_id_log", LATER, "what clients say of themselves is not logged"},
    {"imap_id_retain", MEANINGLESS, proxy},
    {"imap_id_*", MEANINGLESS, "ID tells the server's name"},
    {"imap_idle_notify_interval", MEANINGLESS, "connections in IDLE are kept alive"},
    {"imap_literal_minus", MEANINGLESS, "LITERAL+ is offered"},
    {"imap_logout_format", MEANINGLESS, logs},
    {"imap_max_line_length", MEANINGLESS, "a command may have 128 KB"},
    {"imap_metadata", LATER, metadata},
    {"imap_urlauth_*", LATER, "URLAUTH is not in this version"},
    {"imap_*", MEANINGLESS, "it has no counterpart here"},
    {"imapc_*", MEANINGLESS, client},
    {"import_environment", MEANINGLESS, "sessions start with an empty environment"},
    {"info_log_path", MEANINGLESS, "all lines go to log_path"},
    {"instance_name", MEANINGLESS, process},
    {"last_valid_gid", MEANINGLESS, ids},
    {"lda_*", MEANINGLESS, lda},
    {"libexec_dir", MEANINGLESS, "programs are found beside the mailtree command"},
    {"lmtp_*", LATER, lmtp},
    {"lock_method", MEANINGLESS, "each file is locked as its format demands"},
    {"log_core_filter", MEANINGLESS, logs},
    {"log_debug", MEANINGLESS, logs},
    {"log_timestamp", MEANINGLESS, logs},
    {"login", LATER, settings1},
    {"login_access_sockets", MEANINGLESS, process},
    {"login_chroot", MEANINGLESS, "mailtree-login always lives in an empty root"},
    {"login_dir", MEANINGLESS, "there is no run directory"},
    {"login_executable", MEANINGLESS, settings1},
    {"login_greeting_capability", MEANINGLESS, "the greeting always has it"},
    {"login_log_format*", MEANINGLESS, logs},
    {"login_max_*", MEANINGLESS, process},
    {"login_plugin*", MEANINGLESS, plugin},
    {"login_process*", MEANINGLESS, process},
    {"login_proxy_*", MEANINGLESS, proxy},
    {"login_source_ips", MEANINGLESS, proxy},
    {"login_socket_path", MEANINGLESS, process},
    {"login_trusted_networks", LATER, "no address is trusted more than another"},
    {"mail_always_cache_fields", MEANINGLESS, index_},
    {"mail_attachment_*", MEANINGLESS, external},
    {"mail_attribute*", LATER, metadata},
    {"mail_cache_*", MEANINGLESS, index_},
    {"mail_chroot", MEANINGLESS, confine},
    {"mail_control_path", MEANINGLESS, "control files stay in the store"},
    {"mail_debug", MEANINGLESS, logs},
    {"mail_drop_priv_before_exec", MEANINGLESS, process},
    {"mail_executable", MEANINGLESS, settings1},
    {"mail_extra_groups", MEANINGLESS,
     "write mail_access_groups or mail_privileged_group instead"},
    {"mail_fsync", MEANINGLESS, "what is acknowledged is always durable"},
    {"mail_full_filesystem_access", MEANINGLESS, confine},
    {"mail_index_*", MEANINGLESS, "write index_path instead"},
    {"mail_log_*", MEANINGLESS, logs},
    {"mail_max_keyword_length", MEANINGLESS, "dovecot-keywords sets the limits"},
    {"mail_max_lock_timeout", MEANINGLESS, "each file is locked as its format demands"},
    {"mail_never_cache_fields", MEANINGLESS, index_},
    {"mail_nfs_*", MEANINGLESS, "network file systems are recognised and polled"},
    {"mail_plugin*", MEANINGLESS, plugin},
    {"mail_prefetch_count", MEANINGLESS, "mail is read ahead by itself"},
    {"mail_process_size", MEANINGLESS, process},
    {"mail_read_mmaped", MEANINGLESS, "users' files are never mapped"},
    {"mail_save_crlf", MEANINGLESS, "the store keeps LF, the tree shows CRLF"},
    {"mail_server_*", LATER, metadata},
    {"mail_shared_explicit_inbox", LATER, "shared mailboxes are not in this version"},
    {"mail_sort_max_read_count", LATER, "SORT is not in this version"},
    {"mail_temp_*", MEANINGLESS, "mail is staged in the store or at index_path"},
    {"mail_use_modules", MEANINGLESS, plugin},
    {"mail_vsize_bg_after_count", MEANINGLESS, virtual_},
    {"mailbox_idle_check_interval", MEANINGLESS, "changes are noticed at once"},
    {"mailbox_list_*", MEANINGLESS, index_},
    {"mailbox_*", MEANINGLESS, layout},
    {"maildir_broken_filename_sizes", MEANINGLESS,
     "sizes in file names are never believed"},
    {"maildir_copy_*", MEANINGLESS, "copies are links where that is safe"},
    {"maildir_empty_new", MEANINGLESS, "reading never moves mail"},
    {"maildir_stat_dirs", MEANINGLESS, "every folder is looked at"},
    {"maildir_very_dirty_syncs", MEANINGLESS, virtual_},
    {"master_user_separator", MEANINGLESS, "write auth_master_user_separator instead"},
    {"max_mail_processes", MEANINGLESS, process},
    {"mbox_lazy_writes", MEANINGLESS, "what is acknowledged stands in the file"},
    {"mbox_md5", MEANINGLESS, "no UIDL is made of the header"},
    {"mbox_very_dirty_syncs", MEANINGLESS,
     "the rest of a file that has grown is always looked at a moment later"},
    {"mdbox_*", MEANINGLESS, dbox},
    {"mmap_*", MEANINGLESS, "users' files are never mapped"},
    {"namespace_*", LATER, "write namespace NAME { }"},
    {"nfs_check", MEANINGLESS, "network file systems are recognised and polled"},
    {"old_stats_*", MEANINGLESS, "there is no stats process"},
    {"passdb_*", LATER, sasl},
    {"pop3_client_workarounds", LATER, "no workaround is needed or offered yet"},
    {"pop3_delete*", MEANINGLESS, "QUIT expunges what DELE marked"},
    {"pop3_enable_last", MEANINGLESS, "RFC 1939 dropped LAST"},
    {"pop3_fast_size_lookups", MEANINGLESS, "sizes are exact and known already"},
    {"pop3_lock_session", MEANINGLESS, "a maildrop has one POP3 session at a time"},
    {"pop3_logout_format", MEANINGLESS, logs},
    {"pop3_no_flag_updates", MEANINGLESS, "POP3 never changes flags"},
    {"pop3_reuse_xuidl", MEANINGLESS, "a header is no proof of whose UIDL it is"},
    {"pop3_save_uidl", MEANINGLESS, "a stored UIDL is always respected"},
    {"pop3_uidl_duplicates", MEANINGLESS, "two messages never share a UIDL"},
    {"pop3_uidl_rename_duplicates", MEANINGLESS, "two messages never share a UIDL"},
    {"pop3c_*", MEANINGLESS, client},
    {"postmaster_address", MEANINGLESS, lda},
    {"process_shutdown_filter", MEANINGLESS, process},
    {"quota*", LATER, "quota is not in this version"},
    {"rawlog_dir", MEANINGLESS, "sessions are never recorded"},
    {"recipient_delimiter*", LATER, lmtp},
    {"rejection_*", MEANINGLESS, lda},
    {"replication_*", MEANINGLESS, "there is no replicator"},
    {"replicator_*", MEANINGLESS, "there is no replicator"},
    {"sendmail_path", MEANINGLESS, submit},
    {"shutdown_clients", MEANINGLESS, "sessions end when the server does"},
    {"sieve*", MEANINGLESS, lda},
    {"ssl_client_*", MEANINGLESS, client},
    {"ssl_crypto_device", MEANINGLESS, "there are no engines"},
    {"ssl_parameters_regenerate", MEANINGLESS, "DH groups are the standard ones"},
    {"ssl_*", LATER, tls},
    {"state_dir", MEANINGLESS, "write index_path instead"},
    {"stats_*", MEANINGLESS, "there is no stats process"},
    {"submission_*", MEANINGLESS, submit},
    {"syslog_facility", MEANINGLESS, "the facility is always mail"},
    {"umask", MEANINGLESS, "files in a store follow the store's own modes"},
    {"userdb_*", LATER, sasl},
    {"valid_chroot_dirs", MEANINGLESS, confine},
    {"verbose_proctitle", MEANINGLESS, "a session's command line shows its user"},
    {"version_ignore", MEANINGLESS, process},
    {"zlib_*", MEANINGLESS, plugin},
};

static const struct known blocks[] = {
    {"dict", MEANINGLESS, plugin},
    {"event_exporter", MEANINGLESS, "there is no stats process"},
    {"fs", MEANINGLESS, external},
    {"lda", MEANINGLESS, lda},
    {"mail_attribute", LATER, metadata},
    {"mailbox", LATER, "write it within a namespace"},
    {"metric", MEANINGLESS, "there is no stats process"},
    {"old_stats", MEANINGLESS, "there is no stats process"},
    {"plugin", MEANINGLESS, plugin},
    {"sieve_script", MEANINGLESS, lda},
    {"ssl_*", LATER, tls},
};

static const struct known services[] = {
    {"aggregator", MEANINGLESS, "there is no replicator"},
    {"anvil", MEANINGLESS, process},
    {"auth", MEANINGLESS, process},
    {"auth-worker", MEANINGLESS, process},
    {"config", MEANINGLESS, process},
    {"dict", MEANINGLESS, plugin},
    {"dict-*", MEANINGLESS, plugin},
    {"director", MEANINGLESS, director},
    {"dns-client", MEANINGLESS, process},
    {"dns_client", MEANINGLESS, process},
    {"doveadm", MEANINGLESS, "there is no doveadm"},
    {"health-check", MEANINGLESS, process},
    {"imap-*", MEANINGLESS, process},
    {"indexer", MEANINGLESS, index_},
    {"indexer-worker", MEANINGLESS, index_},
    {"ipc", MEANINGLESS, process},
    {"lmtp", LATER, lmtp},
    {"log", MEANINGLESS, process},
    {"managesieve*", MEANINGLESS, lda},
    {"old-stats", MEANINGLESS, "there is no stats process"},
    {"replicator", MEANINGLESS, "there is no replicator"},
    {"stats", MEANINGLESS, "there is no stats process"},
    {"submission", MEANINGLESS, submit},
    {"submission-login", MEANINGLESS, submit},
    {"tcpwrap", MEANINGLESS, "addresses are not filtered"},
    {"welcome", MEANINGLESS, process},
};

static const struct {
	const struct known *row;
	size_t n;
} table[] = {
    {settings, ARRAY_LEN(settings)},
    {blocks, ARRAY_LEN(blocks)},
    {services, ARRAY_LEN(services)},
};

static bool
fits(struct span pattern, struct span name)
{
	if (pattern.p[pattern.n - 1] != '*')
		return span_eq(pattern, name);
	pattern.n--;
	return span_starts(name, pattern);
}

static const struct known *
find(size_t t, struct span name)
{
	for (size_t i = 0; i < table[t].n; i++)
		if (fits(span_of(table[t].row[i].name), name))
			return &table[t].row[i];
	return NULL;
}

const struct known *
known_setting(struct span name)
{
	return find(0, name);
}

const struct known *
known_block(struct span name)
{
	return find(1, name);
}

const struct known *
known_service(struct span name)
{
	return find(2, name);
}

size_t
known_number(const struct known *k)
{
	size_t before = 0;

	for (size_t t = 0; t < ARRAY_LEN(table); before += table[t].n, t++)
		if (k >= table[t].row && k < table[t].row + table[t].n)
			return before + (size_t)(k - table[t].row);
	return before;
}

/* ---- spelling --------------------------------------------------------------------- */

#define NAME_MAX_OCTETS 40

/* Edits (insert, delete, change) that turn a into b; names are short. */
static unsigned
distance(struct span a, struct span b)
{
	unsigned row[NAME_MAX_OCTETS + 1], diagonal, old;

	for (size_t j = 0; j <= b.n; j++)
		row[j] = (unsigned)j;
	for (size_t i = 1; i <= a.n; i++) {
		diagonal = row[0];
		row[0] = (unsigned)i;
		for (size_t j = 1; j <= b.n; j++) {
			unsigned best = diagonal + (a.p[i - 1] != b.p[j - 1]);

			old = row[j];
			if (row[j] + 1 < best)
				best = row[j] + 1;
			if (row[j - 1] + 1 < best)
				best = row[j - 1] + 1;
			row[j] = best;
			diagonal = old;
		}
	}
	return row[b.n];
}

const char *
known_nearest(struct span name)
{
	static const char *const others[] = {
	    "service",     "inet_listener", "passdb",    "userdb", "protocol",
	    "mail_driver", "mail_path",     "namespace", "mailbox"};
	const char *best = NULL;
	unsigned least = 3; /* two slips of the finger, no more */

	if (name.n > NAME_MAX_OCTETS)
		return NULL;
	for (size_t i = 0; i < CONF_NKEY + ARRAY_LEN(others); i++) {
		const char *s = i < CONF_NKEY ? config_key_name((enum conf_key)i)
		                              : others[i - CONF_NKEY];
		unsigned d = distance(name, span_of(s));

		if (d < least) {
			least = d;
			best = s;
		}
	}
	return best;
}
