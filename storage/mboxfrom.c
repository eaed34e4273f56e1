/* mboxfrom: one line, word by word; no word is looked at twice but the first two. */
#include "storage/mboxfrom.h"

#include <stdio.h>
#include <time.h>

#define DATE_LEAST (-2208988800LL) /* 1900 */
#define DATE_MOST  253402300799LL  /* the end of 9999: four digits for the year */

static const char days[] = "sunmontuewedthufrisat";
static const char months[] = "janfebmaraprmayjunjulaugsepoctnovdec";

/* ---- words --------------------------------------------------------------------------- */

static int
index_of(const char *names, struct span w)
{
	if (w.n != 3)
		return -1;
	for (int i = 0; names[3 * i] != '\0'; i++)
		if (span_caseeq((struct span){names + 3 * i, 3}, w))
			return i;
	return -1;
}

static bool
number(struct span w, size_t least, size_t most, int *out)
{
	int n = 0;

	if (w.n < least || w.n > most)
		return false;
	for (size_t i = 0; i < w.n; i++) {
		if (w.p[i] < '0' || w.p[i] > '9')
			return false;
		n = n * 10 + (w.p[i] - '0');
	}
	*out = n;
	return true;
}

/* HH:MM or HH:MM:SS. */
static bool
clock_time(struct span w, struct tm *t)
{
	struct span h, m;

	if (!span_cut(&w, ':', &h) || !number(h, 1, 2, &t->tm_hour) ||
	    !span_cut(&w, ':', &m) || !number(m, 2, 2, &t->tm_min))
		return false;
	t->tm_sec = 0;
	if (w.n > 0 && !number(w, 2, 2, &t->tm_sec))
		return false;
	return t->tm_hour < 24 && t->tm_min < 60 && t->tm_sec <= 60;
}

/* +HHMM, -HHMM as seconds east. */
static bool
numeric_zone(struct span w, int *east)
{
	int n;

	if (w.n != 5 || (w.p[0] != '+' && w.p[0] != '-') ||
	    !number(span_from(w, 1), 4, 4, &n) || n % 100 >= 60 || n / 100 >= 24)
		return false;
	*east = (n / 100 * 60 + n % 100) * 60 * (w.p[0] == '-' ? -1 : 1);
	return true;
}

/* `EST`, `MET DST`: which of the many it is cannot be known, so it is only passed over. */
static bool
named_zone(struct span w)
{
	for (size_t i = 0; i < w.n; i++)
		if (((unsigned char)w.p[i] | 32) < 'a' ||
		    ((unsigned char)w.p[i] | 32) > 'z')
			return false;
	return w.n >= 1 && w.n <= 5;
}

static bool
is_year(struct span w, struct tm *t)
{
	int n;

	if (!number(w, 4, 4, &n) || n < 1900)
		return false;
	t->tm_year = n - 1900;
	return true;
}

/* ---- dates --------------------------------------------------------------------------- */

/* Behind the time of day: the year with a zone before or behind it. */
static bool
year_and_zone(struct span rest, struct tm *t, int *east)
{
	struct span w;
	bool zone = false;

	for (int i = 0; i < 3; i++) {
		if (!span_word(&rest, &w))
			return false;
		if (is_year(w, t)) {
			if (!zone && span_word(&rest, &w))
				(void)numeric_zone(w, east);
			return true;
		}
		if (numeric_zone(w, east))
			zone = true;
		else if (!named_zone(w))
			return false;
	}
	return false;
}

/* `Nov 29 22:33:52 [zone] 2001 [zone]` */
static bool
asctime_date(struct span rest, struct tm *t, int *east)
{
	struct span w;

	return span_word(&rest, &w) && (t->tm_mon = index_of(months, w)) != -1 &&
	       span_word(&rest, &w) && number(w, 1, 2, &t->tm_mday) &&
	       span_word(&rest, &w) && clock_time(w, t) && year_and_zone(rest, t, east);
}

/* `29 Nov 2001 22:33:52 [zone]` */
static bool
rfc822_date(struct span rest, struct tm *t, int *east)
{
	struct span w;

	if (!span_word(&rest, &w) || !number(w, 1, 2, &t->tm_mday) ||
	    !span_word(&rest, &w) || (t->tm_mon = index_of(months, w)) == -1 ||
	    !span_word(&rest, &w) || !is_year(w, t) || !span_word(&rest, &w) ||
	    !clock_time(w, t))
		return false;
	if (span_word(&rest, &w))
		(void)numeric_zone(w, east);
	return true;
}

/* The weekday is what tells a date from the prose of a body. */
static bool
parse_date(struct span rest, struct mboxfrom *f)
{
	struct tm t = {0};
	struct span w;
	int east = 0;

	if (!span_word(&rest, &w))
		return false;
	if (w.n == 4 && w.p[3] == ',')
		w.n = 3;
	if (index_of(days, w) == -1 ||
	    (!asctime_date(rest, &t, &east) &&
	     (east = 0, !rfc822_date(rest, &t, &east))) ||
	    t.tm_mday < 1 || t.tm_mday > 31)
		return false;
	f->date = timegm(&t) - east;
	return true;
}

/* Does the canonical text of that moment stand there, so that another fits its place? */
static void
find_plain_date(struct span line, struct span date, struct mboxfrom *f)
{
	char text[MBOXFROM_DATE + 1];
	size_t off;

	while (date.n > 0 && (date.p[0] == ' ' || date.p[0] == '\t'))
		date = span_from(date, 1);
	off = (size_t)(date.p - line.p);
	mboxfrom_print_date(f->date, text);
	if (date.n == MBOXFROM_DATE && memcmp(date.p, text, MBOXFROM_DATE) == 0)
		f->date_off = (uint32_t)off;
}

static bool
sender_word(struct span *rest, struct span *sender)
{
	bool quoted = false;
	size_t i = 0;

	for (; i < rest->n && (quoted || (rest->p[i] != ' ' && rest->p[i] != '\t'));
	     i++)
		if (rest->p[i] == '"')
			quoted = !quoted;
		else if (rest->p[i] == '\\' && quoted && i + 1 < rest->n)
			i++;
	*sender = (struct span){rest->p, i};
	*rest = span_from(*rest, i);
	return !quoted && rest->n > 0;
}

bool
mboxfrom_parse(struct span line, struct mboxfrom *f)
{
	struct span rest = line;

	*f = (struct mboxfrom){.sender = {line.p, 0}};
	if (line.n > 0 && line.p[line.n - 1] == '\r')
		rest.n--;
	if (rest.n > MBOXFROM_MAX || !span_starts(rest, SPAN("From ")))
		return false;
	rest = span_from(rest, 5);
	if (!parse_date(rest, f)) {
		if (!sender_word(&rest, &f->sender) || !parse_date(rest, f))
			return false;
	}
	find_plain_date(line, rest, f);
	return true;
}

/* ---- printing ------------------------------------------------------------------------ */

void
mboxfrom_print_date(int64_t date, char out[static MBOXFROM_DATE + 1])
{
	time_t when = date < DATE_LEAST  ? DATE_LEAST
	              : date > DATE_MOST ? DATE_MOST
	                                 : date;
	char text[80];
	struct tm t;

	gmtime_r(&when, &t);
	snprintf(text, sizeof text, "%.3s %.3s %2d %02d:%02d:%02d %04d",
	         &"SunMonTueWedThuFriSat"[3 * t.tm_wday],
	         &"JanFebMarAprMayJunJulAugSepOctNovDec"[3 * t.tm_mon], t.tm_mday,
	         t.tm_hour, t.tm_min, t.tm_sec, t.tm_year + 1900);
	memcpy(out, text, MBOXFROM_DATE);
	out[MBOXFROM_DATE] = '\0';
}

int
mboxfrom_print(struct span sender, int64_t date, struct buf *out)
{
	char text[MBOXFROM_DATE + 1];
	size_t at;

	if (sender.n == 0 || sender.n > MBOXFROM_MAX / 2)
		sender = SPAN("MAILER-DAEMON");
	if (buf_add(out, SPAN("From ")) == -1)
		return -1;
	at = out->n;
	if (buf_add(out, sender) == -1)
		return -1;
	for (; at < out->n; at++)
		if ((unsigned char)out->p[at] <= ' ' || out->p[at] == 0x7f ||
		    out->p[at] == '"' || out->p[at] == '\\')
			out->p[at] = '_';
	mboxfrom_print_date(date, text);
	return buf_addf(out, " %s", text);
}
