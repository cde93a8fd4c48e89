/* syntax.c: dates by the proleptic Gregorian calendar, check digits by their published rules. */
#include "syntax.h"
#include <string.h>

enum { DAY_MINUTES = 24 * 60, ZONE_MAX_HOURS = 14, BIRTH_YEAR_MIN = 1850, BIRTH_YEAR_MAX = 2200 };

/* An instant of the calendar, or a day (minute < 0). */
struct moment { int64_t day; int minute, second; };       /* day 0: 1970-01-01 */

/* ---- reading and writing digits ---- */

/* Reads exactly n digits and steps over them: -1 when they are not there. */
static int take_digits(const char **s, int n) {
  int v = 0;
  for (int i = 0; i < n; i++) {
    if (**s < '0' || **s > '9') return -1;
    v = v * 10 + (*(*s)++ - '0');
  }
  return v;
}

static int take_char(const char **s, char c) {
  if (**s != c) return 0;
  (*s)++;
  return 1;
}

/* ".123", or ",123" as ISO 8601 allows: 0 when a point has no digit behind it. */
static int skip_fraction(const char **s) {
  if (**s != '.' && **s != ',') return 1;
  (*s)++;
  if (**s < '0' || **s > '9') return 0;
  while (**s >= '0' && **s <= '9') (*s)++;
  return 1;
}

static char *put_digits(char *out, int64_t v, int n) {
  for (int i = n - 1; i >= 0; i--, v /= 10) out[i] = (char)('0' + v % 10);
  return out + n;
}

/* ---- calendar ---- */

static int days_in_month(int year, int month) {
  static const char DAYS[12] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
  int leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
  return DAYS[month - 1] + (month == 2 && leap);
}

static int date_exists(int year, int month, int day) {
  return year >= 1 && month >= 1 && month <= 12 && day >= 1 && day <= days_in_month(year, month);
}

/* Days since 1970-01-01; eras of 400 years that begin on 1 March, so that the leap day comes last. */
static int64_t day_of_date(int64_t year, int month, int day) {
  year -= month <= 2;
  int64_t era = (year >= 0 ? year : year - 399) / 400, of_era = year - era * 400;
  int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
  return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

static char *put_date(char *out, int64_t days) {
  days += 719468;
  int64_t era = (days >= 0 ? days : days - 146096) / 146097, of_era = days - era * 146097;
  int64_t year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
  int64_t of_year = of_era - (365 * year + year / 4 - year / 100), month = (5 * of_year + 2) / 153;
  int64_t day = of_year - (153 * month + 2) / 5 + 1;
  month += month < 10 ? 3 : -9;
  year += era * 400 + (month <= 2);
  out = put_digits(out, year, 4);
  *out++ = '-';
  out = put_digits(out, month, 2);
  *out++ = '-';
  return put_digits(out, day, 2);
}

/* Writes the moment; 0 when its zone moved it out of the years that four digits write. */
static int put_moment(struct moment m, char *out) {
  if (m.minute >= DAY_MINUTES) m.minute -= DAY_MINUTES, m.day++;
  if (m.day < day_of_date(1, 1, 1) || m.day > day_of_date(9999, 12, 31)) return 0;
  out = put_date(out, m.day);
  if (m.minute >= 0) {
    *out++ = 'T';
    out = put_digits(out, m.minute / 60, 2);
    *out++ = ':';
    out = put_digits(out, m.minute % 60, 2);
    *out++ = ':';
    out = put_digits(out, m.second, 2);
    *out++ = 'Z';
  }
  *out = '\0';
  return 1;
}

/* ---- dates and times ---- */

/* Z, +hh:mm or +hhmm (separator '\0'): the minutes to take away to have UTC. */
static int take_zone(const char **s, char separator, int *minutes) {
  *minutes = 0;
  if (separator && take_char(s, 'Z')) return 1;
  int east = **s == '+';
  if (!take_char(s, '+') && !take_char(s, '-')) return 0;
  int h = take_digits(s, 2);
  if (h < 0 || (separator && !take_char(s, separator))) return 0;
  int m = take_digits(s, 2);
  if (h > ZONE_MAX_HOURS || m < 0 || m > 59) return 0;
  *minutes = east ? h * 60 + m : -(h * 60 + m);
  return 1;
}

/* Takes a zone's minutes away; the minute of the day stays in its day. */
static void move_to_utc(struct moment *m, int zone) {
  m->minute -= zone;
  if (m->minute < 0) m->minute += DAY_MINUTES, m->day--;
}

int syntax_birth_date(const char *s) {
  int year = take_digits(&s, 4), month = 1, day = 1;
  if (year < BIRTH_YEAR_MIN || year > BIRTH_YEAR_MAX) return 0;
  if (*s == '\0') return 1;
  if (!take_char(&s, '-')) return 0;
  month = take_digits(&s, 2);
  if (*s != '\0') {
    if (!take_char(&s, '-')) return 0;
    day = take_digits(&s, 2);
  }
  return *s == '\0' && date_exists(year, month, day);
}

int syntax_majority(const char *birth_date, int64_t *unix_ms) {
  const char *s = birth_date;
  *unix_ms = 0;
  if (birth_date == NULL || !syntax_birth_date(birth_date)) return 0;
  int year = take_digits(&s, 4), month = take_char(&s, '-') ? take_digits(&s, 2) : 12;
  int day = take_char(&s, '-') ? take_digits(&s, 2) : days_in_month(year, month);
  /* 29 February of a year that has none: the day after the 28th */
  *unix_ms = (day_of_date(year + 18, month, day)) * DAY_MINUTES * 60000;
  return 1;
}

int64_t syntax_month_later(int64_t unix_ms) {
  const int64_t day_ms = (int64_t)DAY_MINUTES * 60000;
  char date[16];
  const char *s = date;
  int64_t days = unix_ms / day_ms, of_day = unix_ms % day_ms;
  *put_date(date, days) = 0;
  int year = take_digits(&s, 4), month = (s++, take_digits(&s, 2)), day = (s++, take_digits(&s, 2));
  if (++month > 12) month = 1, year++;
  if (day > days_in_month(year, month)) day = days_in_month(year, month);
  return day_of_date(year, month, day) * day_ms + of_day;
}


int syntax_time(const char *s, char out[32]) {
  int year = take_digits(&s, 4), month, day, zone;
  if (!take_char(&s, '-') || (month = take_digits(&s, 2)) < 0 || !take_char(&s, '-')) return 0;
  day = take_digits(&s, 2);
  if (!date_exists(year, month, day)) return 0;
  struct moment m = { day_of_date(year, month, day), -1, 0 };
  if (*s == '\0') return put_moment(m, out);
  if (!take_char(&s, 'T')) return 0;
  int h = take_digits(&s, 2);
  if (h < 0 || h > 23 || !take_char(&s, ':')) return 0;
  int min = take_digits(&s, 2);
  if (min < 0 || min > 59) return 0;
  if (take_char(&s, ':')) {
    m.second = take_digits(&s, 2);
    if (m.second < 0 || m.second > 59 || !skip_fraction(&s)) return 0;
  }
  m.minute = h * 60 + min;
  if (!take_zone(&s, ':', &zone) || *s != '\0') return 0;
  move_to_utc(&m, zone);
  return put_moment(m, out);
}

void syntax_time_ms(int64_t unix_ms, char out[32]) {
  int64_t first = day_of_date(1, 1, 1) * 86400, last = (day_of_date(9999, 12, 31) + 1) * 86400 - 1;
  int64_t s = unix_ms / 1000 - (unix_ms % 1000 < 0);
  if (s < first) s = first;                           /* four digits write no other year */
  if (s > last) s = last;
  int64_t day = s / 86400 - (s % 86400 < 0), of_day = s - day * 86400;
  put_moment((struct moment){ day, (int)(of_day / 60), (int)(of_day % 60) }, out);
}

/* Year, month and day as far as given: how many of the three, 0 when impossible. */
static int take_hl7_date(const char **s, int *year, int *month, int *day) {
  *year = take_digits(s, 4), *month = 1, *day = 1;
  int parts = 1;
  if (**s >= '0' && **s <= '9') *month = take_digits(s, 2), parts = 2;
  if (parts == 2 && **s >= '0' && **s <= '9') *day = take_digits(s, 2), parts = 3;
  return date_exists(*year, *month, *day) ? parts : 0;
}

int syntax_hl7_time(const char *s, char out[32]) {
  const char *start = s;
  int year, month, day, zone = 0, parts = take_hl7_date(&s, &year, &month, &day);
  if (parts == 0) return 0;
  struct moment m = { day_of_date(year, month, day), -1, 0 };
  if (parts == 3 && *s >= '0' && *s <= '9') {
    int h = take_digits(&s, 2), min = 0;
    if (*s >= '0' && *s <= '9') min = take_digits(&s, 2);
    if (s - start == 12 && *s >= '0' && *s <= '9') {
      m.second = take_digits(&s, 2);
      if (!skip_fraction(&s)) return 0;
    }
    if (h < 0 || h > 23 || min < 0 || min > 59 || m.second < 0 || m.second > 59) return 0;
    m.minute = h * 60 + min;
  }
  /* An hour without a zone is no instant: the day is kept. A zone says nothing about a bare day. */
  if (*s == '\0') m.minute = -1;
  else if (!take_zone(&s, '\0', &zone) || *s != '\0') return 0;
  if (m.minute >= 0) move_to_utc(&m, zone);
  if (!put_moment(m, out)) return 0;
  if (parts < 3) out[parts == 1 ? 4 : 7] = '\0';
  return 1;
}

/* ---- identifiers ---- */

int syntax_ins(const char *s) {
  if (strlen(s) != 15) return 0;
  int64_t n = 0;
  for (int i = 0; i < 13; i++) {
    /* Corsica: departments 2A and 2B count as 19 and 18. */
    if (i == 6 && s[5] == '2' && (s[6] == 'A' || s[6] == 'B')) n = n / 10 * 100 + (s[6] == 'A' ? 19 : 18);
    else if (s[i] >= '0' && s[i] <= '9') n = n * 10 + (s[i] - '0');
    else return 0;
  }
  const char *p = s + 13;
  int key = take_digits(&p, 2);
  if (key < 0 || s[0] == '0') return 0;
  return key == 97 - n % 97 ? 1 : -1;
}

int syntax_ins_oid(const char *oid) {
  static const char ROOT[] = "1.2.250.1.213.1.4.";
  if (strncmp(oid, ROOT, sizeof ROOT - 1) != 0) return 0;
  const char *leaf = oid + sizeof ROOT - 1;
  if (!strcmp(leaf, "8") || !strcmp(leaf, "9")) return 1;
  return !strcmp(leaf, "10") || !strcmp(leaf, "11") || !strcmp(leaf, "13") ? 2 : 0;
}

/* Luhn over length digits; letter_at: where A and B may stand (they count 1 and 2), or -1. */
static int check_luhn(const char *s, int length, int letter_at) {
  if (strlen(s) != (size_t)length) return 0;
  int sum = 0;
  for (int i = 0; i < length; i++) {
    int v = s[i] - '0';
    if (i == letter_at && s[i - 1] == '2' && (s[i] == 'A' || s[i] == 'B')) v = s[i] - 'A' + 1;
    if (v < 0 || v > 9) return 0;
    if ((length - i) % 2 == 0) v = v < 5 ? v * 2 : v * 2 - 9;
    sum += v;
  }
  return sum % 10 == 0 ? 1 : -1;
}

int syntax_rpps(const char *s) { return check_luhn(s, 11, -1); }

int syntax_finess(const char *s) { return check_luhn(s, 9, 1); }   /* Corsica: 2A…, 2B… */

/* ---- text ---- */

int syntax_utf8(const char *s, size_t n) {
  const unsigned char *p = (const unsigned char *)s, *end = p + n;
  while (p < end) {
    unsigned char c = *p++;
    if (c == 0) return 0;
    if (c < 0x80) continue;
    int more = c >= 0xc2 && c <= 0xdf ? 1 : (c & 0xf0) == 0xe0 ? 2 : c >= 0xf0 && c <= 0xf4 ? 3 : 0;
    if (more == 0 || end - p < more) return 0;
    /* The second byte's range shuts out overlong forms, surrogates and what lies above U+10FFFF. */
    unsigned char low = c == 0xe0 ? 0xa0 : c == 0xf0 ? 0x90 : 0x80;
    unsigned char high = c == 0xed ? 0x9f : c == 0xf4 ? 0x8f : 0xbf;
    if (*p < low || *p > high) return 0;
    for (int i = 1; i < more; i++)
      if ((p[i] & 0xc0) != 0x80) return 0;
    p += more;
  }
  return 1;
}
