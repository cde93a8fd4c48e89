/* say.c: see say.h. */
#include "say.h"
#include <locale.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int say_french;

static const char *const FRENCH[] = {
  [VERDICT_USAGE] = "la ligne de commande ne convient pas",
  [VERDICT_OPEN] = "le dossier partagé ne s’ouvre pas : vérifiez son chemin, ses droits et ceux de son répertoire",
  [VERDICT_RECORD] = "ce n’est pas un dossier partagé, ou il est d’une autre version",
  [VERDICT_CREDENTIAL] = "la clé ne s’ouvre pas, ou n’est pas de ce dossier partagé",
  [VERDICT_PIN] = "le code est faux ou manque",
  [VERDICT_MOUNTPOINT] = "le point de montage ne convient pas",
  [VERDICT_FUSE] = "le système refuse le montage",
  [VERDICT_EXTENSION] = "dmp.so manque ou ne convient pas : donnez son chemin par -o ext=CHEMIN",
  [VERDICT_DAMAGED] = "le dossier partagé, son journal ou son ancre sont abîmés : dmp verify en dit plus",
  [VERDICT_SYSTEM] = "il n’y a plus de mémoire, ou une limite du système est atteinte",
};

int say_language(const char *name) {
  static const char *const ASKED[] = { "LC_ALL", "LC_MESSAGES", "LANG" };
  setlocale(LC_MESSAGES, "");               /* the system's own sentences */
  if (name != NULL) say_french = strcmp(name, "fr") == 0;
  else
    for (size_t i = 0; i < sizeof ASKED / sizeof *ASKED; i++) {
      const char *value = getenv(ASKED[i]);
      if (value == NULL || *value == '\0') continue;
      say_french = strncmp(value, "fr", 2) == 0;
      break;
    }
  return name == NULL || say_french || strcmp(name, "en") == 0;
}

enum verdict say(enum verdict v, const char *format, ...) {
  va_list args;
  va_start(args, format);
  fputs("dmpfs: ", stderr);
  vfprintf(stderr, format, args);
  fputc('\n', stderr);
  va_end(args);
  return v;
}

enum verdict say_record(enum verdict v, const char *sentence) {
  int code = 0;
  if (!say_french) return say(v, "%s", sentence);
  if (sscanf(sentence, "dmp-E%3d:", &code) == 1) return say(v, "%s (dmp-E%03d)", FRENCH[v], code);
  return say(v, "%s", FRENCH[v]);
}
