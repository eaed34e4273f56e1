#!/usr/bin/env python3
"""mailtree's answers to FETCH and SEARCH are Dovecot's, but for the classes of imaprules.py:
over every fixture and some of the real mail. scripts/comparedovecot does it over all.
STORE=mbox: on an mbox, with less of the real mail."""
import imapcompare
import lib
import stores
from imaprules import RULES

EVERY = 100 if stores.KIND == 'mbox' else 25	# of the real mail
SMALL = 9000		# octets of a fixture


def classified(both):
    unknown = both.unclassified()
    lib.check(not unknown, '%d differences of no class, the first: %s', len(unknown),
              '; '.join(map(str, unknown[:5])))


def the_same_transcript():
    """The comparison itself finds nothing where there is nothing, and something where a rule
    is missing: two Dovecots agree; without its rules mailtree and Dovecot do not."""
    named = imapcompare.fixtures()[:60]
    with imapcompare.Both(imapcompare.with_state(named), [], 'dovecot') as both:
        both.fetch()
        classified(both)
    with imapcompare.Both(imapcompare.with_state(named), []) as both:
        both.without_newline()
        lib.check(both.unclassified(), 'no message differed in its final newline')


def fetch_and_search_agree():
    named = imapcompare.fixtures(SMALL) + imapcompare.corpus([imapcompare.REAL_MAIL], EVERY)
    lib.check(len(named) > 300, 'only %d messages', len(named))
    both = imapcompare.compare(named, RULES)
    print('# %(messages)d messages, %(searches)d searches, %(values)d values' % both.counts)
    classified(both)


if __name__ == '__main__':
    lib.run_tests([
        the_same_transcript,
        fetch_and_search_agree,
    ])
