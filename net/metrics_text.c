/* Prometheus' text format, version 0.0.4. */
#include "net/metrics.h"

void net_metrics_put_head(struct buf *out, const char *name, const char *type, const char *help)
{
  buf_put_text(out, "# HELP ");
  buf_put_text(out, name);
  buf_put_byte(out, ' ');
  buf_put_text(out, help);
  buf_put_text(out, "\n# TYPE ");
  buf_put_text(out, name);
  buf_put_byte(out, ' ');
  buf_put_text(out, type);
  buf_put_byte(out, '\n');
}

void net_metrics_put_labelled(struct buf *out, const char *name, const char *labels, uint64_t value)
{
  buf_put_text(out, name);
  if (labels[0] != 0) {
    buf_put_byte(out, '{');
    buf_put_text(out, labels);
    buf_put_byte(out, '}');
  }
  buf_put_byte(out, ' ');
  buf_put_uint(out, value);
  buf_put_byte(out, '\n');
}

void net_metrics_put(struct buf *out, const char *name, const char *type, const char *help,
                     uint64_t value)
{
  net_metrics_put_head(out, name, type, help);
  net_metrics_put_labelled(out, name, "", value);
}
