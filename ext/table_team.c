/* table_team.c: the table `membership`: who is a member of which team, and what a departure still waits for.
 * Owns: its columns.  Never: lines and secrets (membership.h). */
#include "table.h"
#include "membership.h"
#include <string.h>
SQLITE_EXTENSION_INIT3

enum { M_TEAM, M_MEMBER, M_MANAGER, M_SINCE, M_UNTIL, M_PENDING, M_COLUMNS };
static const struct column MEMBERSHIP[] = {
  [M_TEAM] = { "team", "INTEGER", 0 }, [M_MEMBER] = { "member", "INTEGER", 0 }, [M_MANAGER] = { "manager", "INTEGER", 0 },
  [M_SINCE] = { "since", "TEXT", 0 }, [M_UNTIL] = { "until", "TEXT", 0 },
  [M_PENDING] = { "pending", "INTEGER", 0 },          /* of who left: patients whose keys somebody still has to turn, grants that have to move */
};

/* Who has left stays in the table as long as something waits for that; for who can't know, not at all. */
static int put_stay(struct session *s, const struct team *t, const struct team_member *m, struct rows *out) {
  int64_t pending = 0;
  int e = team_active(m) ? DMP_OK : membership_pending(s, t, m, &pending);
  if (e != DMP_OK || (!team_active(m) && pending == 0)) return e;
  struct value *row = rows_add(out, m->row);
  if (row == NULL) return DMP_E_NOMEM;
  row[M_TEAM] = value_int(id_from_field(t->id));
  row[M_MEMBER] = value_int(id_from_field(m->principal));
  row[M_MANAGER] = value_int(m->manager);
  row[M_SINCE] = rows_time(out, m->since);
  row[M_UNTIL] = rows_time(out, m->left ? m->left_at : m->until);
  row[M_PENDING] = value_int(pending);
  return DMP_OK;
}

static int membership_make(struct session *s, struct patient *p, struct rows *out) {
  (void)p;
  int e = patient_own(s);
  if (e == DMP_OK) e = teams_refresh(s, NULL);
  for (size_t i = 0; e == DMP_OK && i < s->teams.n; i++) {
    const struct team *t;
    if (team_get(s, s->teams.t[i]->id, &t) != DMP_OK) continue;   /* dmp_verify names it */
    for (size_t j = 0; e == DMP_OK && j < t->members; j++) e = put_stay(s, t, &t->member[j], out);
  }
  return e;
}

static int membership_insert(struct session *s, sqlite3_value **v, int64_t *rowid) {
  int64_t team, member, until;
  int given, named, manager, e = take_int(v[M_TEAM], &team, &given);
  uint8_t t[16], m[16];
  if (e == DMP_OK) e = take_int(v[M_MEMBER], &member, &named);
  if (e == DMP_OK && (!given || !named)) e = DMP_E_MISSING;
  if (e == DMP_OK && (sqlite3_value_type(v[M_SINCE]) != SQLITE_NULL || sqlite3_value_type(v[M_PENDING]) != SQLITE_NULL)) e = DMP_E_READ_ONLY;
  if (e == DMP_OK) e = take_flag(v[M_MANAGER], &manager);
  if (e == DMP_OK) e = take_until(v[M_UNTIL], &until);
  if (e != DMP_OK) return e;
  id_field(t, team);
  id_field(m, member);
  return membership_join(s, t, m, manager, until, rowid);
}

static int membership_update(struct session *s, int64_t rowid, sqlite3_value **v) {
  const struct team *t;
  const struct team_member *m;
  int e = membership_find(s, rowid, &t, &m), manager;
  int64_t until, row;
  uint8_t team[16], member[16];
  for (int i = 0; e == DMP_OK && i < M_COLUMNS; i++)
    if (i != M_MANAGER && i != M_UNTIL && !sqlite3_value_nochange(v[i])) e = DMP_E_READ_ONLY;
  if (e == DMP_OK && m->left) e = DMP_E_NOT_FOUND;
  if (e != DMP_OK) return e;
  manager = m->manager;
  until = m->until;
  if (!sqlite3_value_nochange(v[M_MANAGER])) e = take_flag(v[M_MANAGER], &manager);
  if (e == DMP_OK && !sqlite3_value_nochange(v[M_UNTIL])) e = take_until(v[M_UNTIL], &until);
  memcpy(team, t->id, 16);
  memcpy(member, m->principal, 16);
  return e == DMP_OK ? membership_join(s, team, member, manager, until, &row) : e;
}

static int membership_erase(struct session *s, int64_t rowid) {
  const struct team *t;
  const struct team_member *m;
  uint8_t team[16], member[16];
  int e = membership_find(s, rowid, &t, &m);
  if (e != DMP_OK || m->left) return e;               /* who has left already stands there for what waits */
  memcpy(team, t->id, 16);
  memcpy(member, m->principal, 16);
  return membership_leave(s, team, member);
}

const struct table TABLE_MEMBERSHIP = { .name = "membership", .col = MEMBERSHIP, .columns = M_COLUMNS, .patient_col = -1, .id_col = -1,
                                        .needs_login = 1, .make = membership_make, .insert = membership_insert, .update = membership_update,
                                        .erase = membership_erase };
