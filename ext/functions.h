/* functions.h: the SQL functions of the extension.  Owns: their arguments.  Never: what they do (login.h, reader.h). */
#ifndef FUNCTIONS_H
#define FUNCTIONS_H
#include "connection.h"
/* Registers dmp_create, dmp_keygen, dmp_login, dmp_logout, dmp_change_pin, dmp_read, dmp_filename, dmp_deposited_for. All are DIRECTONLY. */
int functions_register(struct connection *c);
#endif
