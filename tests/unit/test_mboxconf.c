/* mboxconf: each setting takes Dovecot's words and refuses others, and then nothing changes. */
#include "tests/unit/support/check.h"

#include "storage/mboxconf.h"

static const char *
set(struct mboxconf *c, const char *name, const char *value)
{
	return mboxconf_set(c, span_of(name), span_of(value));
}

static void
locks_in_their_order(void **state)
{
	static const struct {
		const char *value;
		enum mbox_lock_kind want[MBOXCONF_NLOCK];
	} row[] = {
	    {"fcntl", {MBOX_LOCK_FCNTL}},
	    {"dotlock fcntl", {MBOX_LOCK_DOTLOCK, MBOX_LOCK_FCNTL}},
	    {" flock\tdotlock_try ", {MBOX_LOCK_FLOCK, MBOX_LOCK_DOTLOCK_TRY}},
	    {"lockf flock dotlock",
	     {MBOX_LOCK_LOCKF, MBOX_LOCK_FLOCK, MBOX_LOCK_DOTLOCK}},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		struct mboxconf c = mboxconf;
		const char *why = set(&c, "mbox_write_locks", row[i].value);

		if (why != NULL)
			check_fail("%s: %s", row[i].value, why);
		why = set(&c, "mbox_read_locks", row[i].value);
		for (size_t k = 0; k < MBOXCONF_NLOCK; k++) {
			check_num(c.write[k], row[i].want[k], "%s: lock %zu",
			          row[i].value, k);
			check_num(c.read[k], row[i].want[k], "%s: lock %zu",
			          row[i].value, k);
		}
	}
}

static void
amounts(void **state)
{
	struct mboxconf c = mboxconf;

	(void)state;
	if (set(&c, "mbox_lock_timeout", "5 mins") != NULL ||
	    set(&c, "mbox_dotlock_change_timeout", "90") != NULL ||
	    set(&c, "mbox_min_index_size", "100k") != NULL ||
	    set(&c, "mbox_dirty_syncs", "no") != NULL ||
	    set(&c, "mail_privileged_group", "8") != NULL)
		check_fail("a setting was refused");
	check_num(c.lock_timeout_s, 300, "mbox_lock_timeout");
	check_num(c.dotlock_change_s, 90, "mbox_dotlock_change_timeout");
	check_num(c.min_index_size, 102400, "mbox_min_index_size");
	check_num(c.dirty_syncs, false, "mbox_dirty_syncs");
	check_num(c.privileged_group, 8, "mail_privileged_group");
	if (set(&c, "mail_privileged_group", "") != NULL)
		check_fail("no group was refused");
	check_num(c.privileged_group, (gid_t)-1, "no group");
}

static void
what_makes_no_sense_changes_nothing(void **state)
{
	static const struct {
		const char *name, *value;
	} row[] = {
	    {"mbox_write_locks", ""},
	    {"mbox_write_locks", "fcntl,flock"},
	    {"mbox_write_locks", "dotlock fcntl dotlock_try"},
	    {"mbox_read_locks", "fcntl lockf"},
	    {"mbox_read_locks", "fcntl flock dotlock fcntl flock dotlock"},
	    {"mbox_read_locks", "none"},
	    {"mbox_lock_timeout", ""},
	    {"mbox_lock_timeout", "0"},
	    {"mbox_lock_timeout", "-1"},
	    {"mbox_lock_timeout", "1 fortnight"},
	    {"mbox_lock_timeout", "4294967296"},
	    {"mbox_dotlock_change_timeout", "25 hours"},
	    {"mbox_min_index_size", "k"},
	    {"mbox_min_index_size", "1 T"},
	    {"mbox_dirty_syncs", "1"},
	    {"mail_privileged_group", "no such group"},
	    {"mail_privileged_group", "4294967295"},
	    {"mbox_lazy_writes", "yes"},
	    {"", ""},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		struct mboxconf c = mboxconf;

		if (set(&c, row[i].name, row[i].value) == NULL)
			check_fail("row %zu: %s=%s was taken", i, row[i].name,
			           row[i].value);
		check_true(memcmp(&c, &mboxconf, sizeof c) == 0, "row %zu", i);
	}
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
	    cmocka_unit_test(locks_in_their_order),
	    cmocka_unit_test(amounts),
	    cmocka_unit_test(what_makes_no_sense_changes_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
