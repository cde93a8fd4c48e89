/* motive.c: the words of the access log in French (see motive.h). */
#include "motive.h"
#include "rights.h"
#include <stdlib.h>
#include <string.h>
SQLITE_EXTENSION_INIT3

static const char *const ACTIONS[] = {
  [LOG_LOGIN] = "s’est connecté", [LOG_LIST] = "a consulté la liste", [LOG_READ] = "a lu", [LOG_REFUSED] = "a été refusé", [LOG_DEPOSIT] = "a déposé",
  [LOG_DELETE] = "a supprimé", [LOG_MASK] = "a masqué", [LOG_UNMASK] = "a démasqué", [LOG_CONSENT] = "a donné un accord à",
  [LOG_WITHDRAW] = "a retiré l’accord de", [LOG_TREATING] = "a changé le médecin traitant", [LOG_CREATE] = "a ouvert le dossier",
  [LOG_REGISTER] = "a enregistré une personne", [LOG_ADOPT] = "a repris des clés", [LOG_ROTATE] = "a changé des clés", [LOG_IDENTITY] = "a complété l’identité",
  [LOG_ANNOUNCE] = "a annoncé", [LOG_REVEAL] = "a montré aux représentants", [LOG_BLOCK] = "a bloqué", [LOG_UNBLOCK] = "a débloqué",
  [LOG_REISSUE] = "a refait un certificat", [LOG_RENEW] = "a pris une nouvelle clé", [LOG_JOIN] = "a fait entrer dans une équipe",
  [LOG_LEAVE] = "a fait sortir d’une équipe", [LOG_TEAM_KEY] = "a changé la clé d’une équipe", [LOG_HOSTING] = "a dit où le dossier est conservé",
  [LOG_EXPORT] = "a exporté", [LOG_VIEW] = "a préparé une vue à montrer", [LOG_VIEW_END] = "a mis fin à une vue",
};

/* What the log keeps as a word. action NULL: the one above; what 0: of every action. */
static const struct phrase { uint8_t what; const char *reason, *action, *text; } PHRASES[] = {
  { LOG_CONSENT,  "representative",       "a désigné un représentant", "" },
  { LOG_WITHDRAW, "representative",       "a retiré un représentant", "" },
  { LOG_WITHDRAW, "representative ended", "a retiré un représentant", "son terme est passé" },
  { LOG_CONSENT,  "feed",                 "a ouvert une alimentation automatique", "" },
  { LOG_WITHDRAW, "feed",                 "a fermé une alimentation automatique", "" },
  { LOG_MASK,     "episode",              "a rattaché à un épisode", "" },
  { LOG_MASK,     "no episode",           "n’a pas rattaché à l’épisode proposé", "" },
  { LOG_MASK,     "treating",             NULL, "au médecin traitant" },
  { LOG_UNMASK,   "treating",             NULL, "au médecin traitant" },
  { 0,            "representative ended", NULL, "le terme d’un représentant est passé" },
  { 0,            "consent ended",        NULL, "un accord est arrivé à son terme" },
  { 0,            "certificate revoked",  NULL, "un certificat est révoqué" },
  { 0,            "key renewed",          NULL, "quelqu’un a une nouvelle clé" },
  { 0,            "somebody left a team", NULL, "quelqu’un a quitté une équipe" },
};

/* From whom something is masked: the number of a person or a team, or "profession:60". */
static void say_whom(struct session *s, struct patient *p, const char *reason, char out[MOTIVE_TEXT]) {
  static const char PROFESSION[] = "profession:";
  uint8_t field[16];
  if (strncmp(reason, PROFESSION, sizeof PROFESSION - 1) == 0) {
    const char *name = profession_display((uint16_t)atoi(reason + sizeof PROFESSION - 1));
    sqlite3_snprintf(MOTIVE_TEXT, out, "à la profession : %s", name ? name : reason + sizeof PROFESSION - 1);
    return;
  }
  if (*reason == '\0' || strspn(reason, "0123456789") != strlen(reason)) return;
  id_field(field, strtoll(reason, NULL, 10));
  const struct certificate *who = p ? patient_who(s, p, field) : session_who(s, field);
  sqlite3_snprintf(MOTIVE_TEXT, out, "à %s%s", who ? "" : "n° ", who ? who->name : reason);
}

void motive_of(struct session *s, struct patient *p, const struct log_line *l, struct motive *out) {
  char reason[sizeof l->reason + 1] = { 0 };
  memcpy(reason, l->reason, sizeof l->reason);
  out->action = l->action < sizeof ACTIONS / sizeof *ACTIONS ? ACTIONS[l->action] : NULL;
  if (out->action == NULL) out->action = "a fait quelque chose que cette version ne connaît pas";
  sqlite3_snprintf(MOTIVE_TEXT, out->reason, "%s", reason);
  for (size_t i = 0; i < sizeof PHRASES / sizeof *PHRASES; i++) {
    const struct phrase *f = &PHRASES[i];
    if ((f->what && f->what != l->action) || strcmp(f->reason, reason) != 0) continue;
    if (f->action) out->action = f->action;
    sqlite3_snprintf(MOTIVE_TEXT, out->reason, "%s", f->text);
    return;
  }
  if (l->action == LOG_MASK || l->action == LOG_UNMASK) say_whom(s, p, reason, out->reason);
  const struct recipient *to = l->action == LOG_EXPORT || l->action == LOG_REFUSED ? recipient_find(reason) : NULL;
  if (to) sqlite3_snprintf(MOTIVE_TEXT, out->reason, "pour : %s", to->display);
}
