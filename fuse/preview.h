/* preview.h: whether a process is a thumbnailer or an indexer, which opens everything: a preview is not a consultation.
 * Owns: the list of their names.  Never: decides a right; a process that gives itself another name is not kept out. */
#ifndef PREVIEW_H
#define PREVIEW_H
#include <sys/types.h>

/* 1: refuse it. 0 also when the kernel or another pid namespace hides who asks. */
int preview_is(pid_t pid);

#endif
