/* verdict.h: how a start of dmpfs can end; the number is the exit code, which scripts and units may rely on.
 * Owns: the numbers.  Never: code. */
#ifndef VERDICT_H
#define VERDICT_H

enum verdict {
  VERDICT_MOUNTED = 0,      /* mounted; in the foreground: mounted, and unmounted on request */
  VERDICT_USAGE = 2,        /* wrong command line */
  VERDICT_OPEN = 3,         /* the record can't be opened */
  VERDICT_RECORD = 4,       /* the file is not a record, or one of another version */
  VERDICT_CREDENTIAL = 5,   /* the credential can't be read, or is not one of this record */
  VERDICT_PIN = 6,          /* the PIN is missing or wrong */
  VERDICT_MOUNTPOINT = 7,   /* the mount point is not a usable directory */
  VERDICT_FUSE = 8,         /* the kernel or fusermount3 refused the mount */
  VERDICT_EXTENSION = 9,    /* dmp.so is missing or does not fit */
  VERDICT_DAMAGED = 10,     /* record, access log or anchor are damaged or were altered */
  VERDICT_SYSTEM = 11,      /* memory, limits, processor, or the driver died while starting */
  VERDICT_LAYOUT = 12,      /* -o layout=FILE can't be read, or does not describe a tree */
};

#endif
