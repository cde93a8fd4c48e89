/* page.h: the pages of a mount as text: HTML made from the layout's blocks, the notice, and the one that says that a document
 * can't be drawn.
 * Owns: the look, escaping.  Never: SQL, what stands on a page, keeps anything. No script, nothing from elsewhere.
 *
 * The kernel is told a page's size before the page exists, since making it may be an access: it is made when it is read. So
 * HTML ends with as many line ends as bring it to the size that was told (page_pad), and pages are read without the kernel's
 * cache, which would stop there. The size tells nothing of what stands on the page.
 *
 * File managers look into each .html, whose type its name leaves open to them. That is no reading: the first PAGE_SNIFFED bytes
 * of every page are the same, and whoever reads no further has seen nothing. */
#ifndef PAGE_H
#define PAGE_H
#include <stddef.h>
#include <stdint.h>

struct db;
struct text { char *p; size_t n, cap; };    /* owned by whoever has it */
void text_free(struct text *t);             /* wipes; harmless on a zeroed one */

/* Pages of the layout. */
enum page { PAGE_SUMMARY = 1, PAGE_NOTICE = 2, PAGE_ACCESSES = 3, PAGE_READERS = 4 };
enum { PAGE_ROOM = 65536, PAGE_SNIFFED = 16384, PAGE_BYTES_MAX = 64 << 20 };
const char *page_sniffed(void);             /* PAGE_SNIFFED bytes */
int64_t page_size(int64_t of);              /* what is told before: of is the size of the XML it is drawn from, or 0 */

/* These give 0, ENOMEM, EFBIG, or what db_page() answers; on failure *out is empty. */
int page_make(struct db *db, int page, int64_t patient, const char *name, struct text *out);
int page_notice(const char *lines, size_t n, struct text *out);
int page_drawn(const struct text *drawn, struct text *out);           /* as dmp-draw gave it, with our beginning; EINVAL: it is none */
int page_refusal(struct text *out);         /* in place of a document that can't be drawn */
int page_pad(struct text *t, int64_t size); /* to size, or to the next multiple of PAGE_ROOM above it */
#endif
