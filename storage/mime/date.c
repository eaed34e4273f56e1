#include "storage/mime/date.h"

#include <stdio.h>

enum { DAY = 24 * 60 * 60 };

/* ---- the calendar ----------------------------------------------------------------------------- */

static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";

struct civil {
	int32_t year;
	int month, day; /* 1..12, 1..31 */
};

/*
 * Years begin with March here, so that the leap day is the last; 400 of them have 146097
 * days, and 719468 of those days lie between 0000-03-01 and 1970-01-01.
 */
static int32_t
to_day(struct civil c)
{
	int32_t y = c.month > 2 ? c.year : c.year - 1;
	int32_t era = (y >= 0 ? y : y - 399) / 400, of_era = y - era * 400;
	int32_t of_year =
	    (153 * (c.month + (c.month > 2 ? -3 : 9)) + 2) / 5 + c.day - 1;

	return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year -
	       719468;
}

static struct civil
from_day(int64_t day)
{
	int64_t d = day + 719468, era = (d >= 0 ? d : d - 146096) / 146097;
	int64_t of_era = d - era * 146097;
	int64_t y = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
	int64_t of_year = of_era - (365 * y + y / 4 - y / 100);
	int64_t m = (5 * of_year + 2) / 153;
	int month = (int)(m < 10 ? m + 3 : m - 9);

	return (struct civil){(int32_t)(y + era * 400 + (month <= 2)), month,
	                      (int)(of_year - (153 * m + 2) / 5 + 1)};
}

static bool
is_there(struct civil c)
{
	struct civil again;

	if (c.month < 1 || c.month > 12 || c.day < 1 || c.day > 31)
		return false;
	again = from_day(to_day(c));
	return again.month == c.month; /* 31-Feb would be in March */
}

static int64_t
floor_div(int64_t a, int64_t b)
{
	return a / b - (a % b < 0);
}

int32_t
date_day_of(int64_t when, int zone)
{
	int64_t day = floor_div(when, DAY), second = when % DAY;

	second += (second < 0 ? DAY : 0) + (int64_t)zone * 60;
	day += floor_div(second, DAY);
	return day > INT32_MAX ? INT32_MAX : day < INT32_MIN ? INT32_MIN : (int32_t)day;
}

/* ---- pieces of text ------------------------------------------------------------------------------ */

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool
is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static size_t
run(struct span s, bool (*is)(char))
{
	size_t n = 0;

	while (n < s.n && is(s.p[n]))
		n++;
	return n;
}

static struct span
take(struct span *s, size_t n)
{
	struct span head = {s->p, n};

	*s = span_from(*s, n);
	return head;
}

/* At most nine digits. */
static int32_t
value(struct span digits)
{
	int32_t v = 0;

	for (size_t i = 0; i < digits.n; i++)
		v = v * 10 + (digits.p[i] - '0');
	return v;
}

/* least..most digits, no more behind them. */
static bool
take_number(struct span *s, size_t least, size_t most, int32_t *v)
{
	size_t n = run(*s, is_digit);

	if (n < least || n > most)
		return false;
	*v = value(take(s, n));
	return true;
}

static bool
take_char(struct span *s, char c)
{
	if (s->n == 0 || *s->p != c)
		return false;
	take(s, 1);
	return true;
}

static bool
month_of(struct span word, int *month)
{
	if (word.n < 3)
		return false;
	for (size_t i = 0; i < 12; i++)
		if (span_caseeq((struct span){word.p, 3},
		                (struct span){months + 3 * i, 3})) {
			*month = (int)i + 1;
			return true;
		}
	return false;
}

/* `+0130`: minutes. */
static bool
take_zone(struct span *s, int *zone)
{
	bool west = s->n > 0 && *s->p == '-';
	int32_t v;

	if (!take_char(s, '+') && !take_char(s, '-'))
		return false;
	if (!take_number(s, 4, 4, &v) || v / 100 >= 24 || v % 100 >= 60)
		return false;
	*zone = (int)(v / 100 * 60 + v % 100);
	if (west)
		*zone = -*zone;
	return true;
}

struct clock {
	int32_t hour, minute, second;
};

static bool
is_time(struct clock t)
{
	return t.hour < 24 && t.minute < 60 && t.second <= 60; /* leap seconds */
}

static struct date
make(struct civil c, struct clock t, int zone)
{
	int32_t day = to_day(c);

	return (struct date){(int64_t)day * DAY + t.hour * 3600 + t.minute * 60 +
	                         t.second - zone * 60,
	                     day, zone};
}

/* ---- header fields --------------------------------------------------------------------------------- */

/* Blanks, comments, and what else people put between the pieces. */
static void
skip(struct span *s)
{
	size_t depth = 0;

	for (; s->n > 0; take(s, 1)) {
		char c = *s->p;

		if (c == '(')
			depth++;
		else if (c == ')' && depth > 0)
			depth--;
		else if (c == '\\' && depth > 0 && s->n > 1)
			take(s, 1);
		else if (depth == 0 && (c == '\0' || strchr(" \t\r\n,", c) == NULL))
			return;
	}
}

static void
skip_dash(struct span *s)
{
	skip(s);
	if (take_char(s, '-') || take_char(s, '.'))
		skip(s);
}

/* Two digits and three as RFC 5322 section 4.3 has them. */
static bool
header_year(struct span *s, int32_t *year)
{
	size_t n = run(*s, is_digit);

	if (!take_number(s, 2, 4, year))
		return false;
	if (n == 2)
		*year += *year < 50 ? 2000 : 1900;
	else if (n == 3)
		*year += 1900;
	return true;
}

static bool
header_clock(struct span *s, struct clock *t)
{
	*t = (struct clock){0};
	if (!take_number(s, 1, 2, &t->hour))
		return false;
	skip(s);
	if (!take_char(s, ':') && !take_char(s, '.'))
		return false;
	skip(s);
	if (!take_number(s, 1, 2, &t->minute))
		return false;
	skip(s);
	if (take_char(s, ':') || take_char(s, '.')) {
		skip(s);
		if (!take_number(s, 1, 2, &t->second))
			return false;
	}
	return is_time(*t);
}

/* What is not known counts as Greenwich, as `-0000` does (section 4.3). */
static int
header_zone(struct span *s)
{
	static const struct {
		char name[4];
		int hours;
	} zones[] = {
	    {"EDT", -4}, {"EST", -5}, {"CDT", -5}, {"CST", -6},
	    {"MDT", -6}, {"MST", -7}, {"PDT", -7}, {"PST", -8},
	};
	struct span word;
	int zone = 0;

	skip(s);
	if (take_zone(s, &zone))
		return zone;
	word = take(s, run(*s, is_letter));
	for (size_t i = 0; i < ARRAY_LEN(zones); i++)
		if (span_caseeq(word, span_of(zones[i].name)))
			zone = zones[i].hours * 60;
	return zone;
}

/* `1 Feb 1994 12:00:00 +0100`, or without a time. */
static bool
header_usual(struct span s, struct date *d)
{
	struct civil c;
	struct clock t = {0};
	int32_t day;

	if (!take_number(&s, 1, 2, &day))
		return false;
	c.day = day;
	skip_dash(&s);
	if (!month_of(take(&s, run(s, is_letter)), &c.month))
		return false;
	skip_dash(&s);
	if (!header_year(&s, &c.year) || !is_there(c))
		return false;
	skip(&s);
	if (s.n > 0 && !header_clock(&s, &t))
		return false;
	*d = make(c, t, header_zone(&s));
	return true;
}

/* `Feb  1 12:00:00 1994`, also with a zone before the year, as ctime(3) and date(1). */
static bool
header_ctime(struct span s, int month, struct date *d)
{
	struct civil c = {.month = month};
	struct clock t;
	int32_t day;
	int zone;

	if (!take_number(&s, 1, 2, &day))
		return false;
	c.day = day;
	skip(&s);
	if (!header_clock(&s, &t))
		return false;
	zone = header_zone(&s);
	skip(&s);
	if (!header_year(&s, &c.year) || !is_there(c))
		return false;
	*d = make(c, t, zone);
	return true;
}

bool
date_header(struct span s, struct date *d)
{
	int month;

	skip(&s);
	/* the day's name, in whatever language, then perhaps a month's */
	for (int words = 0; words < 2 && s.n > 0 && !is_digit(*s.p); words++) {
		size_t n = run(s, is_letter);
		bool is_month = month_of((struct span){s.p, n}, &month);

		while (n < s.n && !is_digit(s.p[n]) &&
		       strchr(" \t\r\n,(", s.p[n]) == NULL)
			n++;
		take(&s, n);
		skip(&s);
		if (is_month)
			return header_ctime(s, month, d);
	}
	return header_usual(s, d);
}

/* ---- IMAP ---------------------------------------------------------------------------------------- */

/* `-Feb-1994` */
static bool
imap_month_year(struct span *s, struct civil *c)
{
	return take_char(s, '-') && s->n >= 3 && month_of(take(s, 3), &c->month) &&
	       take_char(s, '-') && take_number(s, 4, 4, &c->year) && is_there(*c);
}

bool
date_day(struct span s, int32_t *day)
{
	struct civil c;
	int32_t of_month;

	if (!take_number(&s, 1, 2, &of_month))
		return false;
	c.day = of_month;
	if (!imap_month_year(&s, &c) || s.n > 0)
		return false;
	*day = to_day(c);
	return true;
}

bool
date_time(struct span s, struct date *d)
{
	struct civil c;
	struct clock t;
	int32_t of_month;
	int zone;

	if (!(take_char(&s, ' ') ? take_number(&s, 1, 1, &of_month)
	                         : take_number(&s, 1, 2, &of_month)))
		return false;
	c.day = of_month;
	if (!imap_month_year(&s, &c) || !take_char(&s, ' ') ||
	    !take_number(&s, 2, 2, &t.hour) || !take_char(&s, ':') ||
	    !take_number(&s, 2, 2, &t.minute) || !take_char(&s, ':') ||
	    !take_number(&s, 2, 2, &t.second) || !is_time(t) || !take_char(&s, ' ') ||
	    !take_zone(&s, &zone) || s.n > 0)
		return false;
	*d = make(c, t, zone);
	return true;
}

void
date_print(int64_t when, int zone, char out[static DATE_SIZE])
{
	const int64_t first = (int64_t)to_day((struct civil){0, 1, 1}) * DAY;
	const int64_t last =
	    (int64_t)to_day((struct civil){9999, 12, 31}) * DAY + DAY - 1;
	unsigned second, east = (unsigned)(zone < 0 ? -zone : zone);
	int64_t local, day;
	struct civil c;

	when = when < first ? first : when > last ? last : when;
	local = when + (int64_t)zone * 60;
	local = local < first ? first : local > last ? last : local;
	day = floor_div(local, DAY);
	second = (unsigned)(local - day * DAY);
	c = from_day(day);
	/* the remainders change nothing, and show that it fits */
	snprintf(out, DATE_SIZE, "%02u-%.3s-%04u %02u:%02u:%02u %c%02u%02u",
	         (unsigned)c.day % 100, months + 3 * (c.month - 1),
	         (unsigned)c.year % 10000, second / 3600 % 100, second / 60 % 60,
	         second % 60, zone < 0 ? '-' : '+', east / 60 % 100, east % 60);
}
