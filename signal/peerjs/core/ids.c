/* Ids: fresh ones for clients that ask, and the list of those that are here. */
#include "base/json.h"
#include "signal/peerjs/core/core.h"

void peerjs_make_id(struct peerjs *p, char out[PEERJS_UUID])
{
  uint8_t random[16];
  do {
    struct buf b;
    p->random->fill(p->random->arg, random, sizeof(random));
    /* RFC 9562 section 5.4: the version is 0b0100, section 4.1: the variant 0b10. */
    random[6] = (uint8_t)((random[6] & 0x0F) | 0x40);
    random[8] = (uint8_t)((random[8] & 0x3F) | 0x80);
    buf_init(&b, out, PEERJS_UUID);
    for (size_t i = 0; i < sizeof(random); i++) {
      if (i == 4 || i == 6 || i == 8 || i == 10) {
        buf_put_byte(&b, '-');
      }
      buf_put_hex(&b, &random[i], 1);
    }
    struct bytes id = {b.at, b.len};
    if (peerjs__find(p, id, peerjs__hash(p, id)) == NULL) {
      return;
    }
  } while (true);
}

size_t peerjs_ids_size(const struct peerjs *p)
{
  size_t size = 2;
  for (const struct list *l = p->links.next; l != &p->links; l = l->next) {
    const struct peerjs_link *link = CONTAINER_OF(l, struct peerjs_link, node);
    size += link->is_in ? (size_t)link->src_len + 1 : 0;
  }
  return size;
}

void peerjs_put_ids(const struct peerjs *p, struct buf *out)
{
  bool is_first = true;
  buf_put_byte(out, '[');
  for (const struct list *l = p->links.next; l != &p->links; l = l->next) {
    const struct peerjs_link *link = CONTAINER_OF(l, struct peerjs_link, node);
    if (link->is_in) {
      buf_put_text(out, is_first ? "" : ",");
      buf_put(out, peerjs__src(link).at, link->src_len);
      is_first = false;
    }
  }
  buf_put_byte(out, ']');
}
