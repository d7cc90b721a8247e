/* See report.h. */
#include "peer-demo/doctor/core/report.h"

#include <stdio.h>
#include <string.h>

#include "base/json.h"

static const char *summary(const struct doctor_verdict *v)
{
  if (!v->works)
    return "Calls will not work from here: no way to a relay works.";
  return v->works_udp ? "Calls will work from here."
                      : "Calls will work from here, but only over TCP or TLS.";
}

static const char *family_name(const struct doctor_probe *p)
{
  return p->family == ADDR_V6 ? "IPv6" : "IPv4";
}

/* "312 ms, 200 of 200 echoes, round trip 1.2 ms, jitter 0.1 ms"; empty where nothing was relayed.
 */
static void put_measured(const struct doctor_probe *p, struct buf *out)
{
  char text[128];
  if (p->sent == 0)
    return;
  snprintf(text, sizeof text, "%u of %u echoes, round trip %.2f ms, jitter %.2f ms", p->received,
           p->sent, p->rtt_us / 1000.0, p->jitter_us / 1000.0);
  buf_put_text(out, text);
}

/* ---- text ---- */

static void put_colour(bool colours, const char *code, struct buf *out)
{
  if (colours)
    buf_put_text(out, code);
}

static void put_way(const struct doctor_probe *p, bool colours, struct buf *out)
{
  char uri[URI_TEXT_SIZE], line[URI_TEXT_SIZE + 64];
  bool good = p->step == DOCTOR_DONE;
  put_colour(colours, good ? "\033[32m" : "\033[31m", out);
  buf_put_text(out, good ? "  works  " : "  fails  ");
  put_colour(colours, "\033[0m", out);
  snprintf(line, sizeof line, "%-46s %s  ", uri_format(&p->uri, uri), family_name(p));
  buf_put_text(out, line);
  if (good)
    put_measured(p, out);
  else
    buf_put_text(out, doctor_step_name(p->step));
  buf_put_byte(out, '\n');
}

static void put_finding(const struct doctor_facts *f, const struct doctor_finding *finding,
                        struct buf *out)
{
  const struct doctor_row *row = doctor_row(finding->cause);
  char uri[URI_TEXT_SIZE];
  buf_put_text(out, "\n");
  if (finding->probe >= 0) {
    const struct doctor_probe *p = &f->probe[finding->probe];
    buf_put_text(out, uri_format(&p->uri, uri));
    buf_put_text(out, p->family == ADDR_V6 ? " (IPv6): " : " (IPv4): ");
  }
  buf_put_text(out, row->what);
  if (finding->probe >= 0 && f->probe[finding->probe].said[0]) {
    buf_put_text(out, " (");
    buf_put_text(out, f->probe[finding->probe].said);
    buf_put_text(out, ")");
  }
  buf_put_text(out, ".\n  What helps: ");
  buf_put_text(out, row->mend);
  buf_put_text(out, ".\n");
}

void report_put_text(const struct doctor_facts *facts, const struct doctor_verdict *verdict,
                     bool colours, struct buf *out)
{
  for (size_t i = 0; i < facts->count; i++)
    put_way(&facts->probe[i], colours, out);
  for (size_t i = 0; i < verdict->count; i++)
    put_finding(facts, &verdict->finding[i], out);
  put_colour(colours, "\033[1m", out);
  buf_put_text(out, "\n");
  buf_put_text(out, summary(verdict));
  put_colour(colours, "\033[0m", out);
  buf_put_text(out, "\n");
}

/* ---- JSON ---- */

static void put_key(struct buf *out, const char *key)
{
  buf_put_text(out, ",\"");
  buf_put_text(out, key);
  buf_put_text(out, "\":");
}

static void put_text(struct buf *out, const char *key, const char *value)
{
  put_key(out, key);
  json_put_string(out, bytes_of(value));
}

static void put_uint(struct buf *out, const char *key, uint64_t value)
{
  put_key(out, key);
  buf_put_uint(out, value);
}

static void put_address(struct buf *out, const char *key, const struct addr *a)
{
  char text[ADDR_TEXT_SIZE];
  put_key(out, key);
  if (a->family == ADDR_NONE)
    buf_put_text(out, "null");
  else
    json_put_string(out, bytes_of(addr_format(a, text)));
}

static void put_way_json(const struct doctor_probe *p, struct buf *out)
{
  char uri[URI_TEXT_SIZE];
  buf_put_text(out, p->step == DOCTOR_DONE ? "{\"works\":true" : "{\"works\":false");
  put_text(out, "uri", uri_format(&p->uri, uri));
  put_text(out, "family", family_name(p));
  put_text(out, "step", doctor_step_name(p->step));
  put_uint(out, "code", (uint64_t)p->code);
  put_text(out, "said", p->said);
  put_address(out, "server", &p->server);
  put_address(out, "mapped", &p->mapped);
  put_address(out, "relayed", &p->relayed);
  put_uint(out, "sent", p->sent);
  put_uint(out, "received", p->received);
  put_uint(out, "rttMicroseconds", p->rtt_us);
  put_uint(out, "jitterMicroseconds", p->jitter_us);
  buf_put_text(out, "}");
}

static void put_finding_json(const struct doctor_finding *finding, struct buf *out)
{
  const struct doctor_row *row = doctor_row(finding->cause);
  buf_put_text(out, "{\"cause\":");
  json_put_string(out, bytes_of(row->name));
  put_text(out, "severity", row->severity == DOCTOR_BAD ? "bad" : "note");
  put_key(out, "way");
  if (finding->probe < 0)
    buf_put_text(out, "null");
  else
    buf_put_uint(out, (uint64_t)finding->probe);
  put_text(out, "what", row->what);
  put_text(out, "mend", row->mend);
  buf_put_text(out, "}");
}

void report_put_json(const struct doctor_facts *facts, const struct doctor_verdict *verdict,
                     struct buf *out)
{
  buf_put_text(out, verdict->works ? "{\"works\":true" : "{\"works\":false");
  buf_put_text(out, verdict->works_udp ? ",\"worksOverUdp\":true" : ",\"worksOverUdp\":false");
  put_text(out, "summary", summary(verdict));
  put_key(out, "ways");
  for (size_t i = 0; i < facts->count; i++) {
    buf_put_text(out, i == 0 ? "[" : ",");
    put_way_json(&facts->probe[i], out);
  }
  buf_put_text(out, facts->count ? "]" : "[]");
  put_key(out, "findings");
  for (size_t i = 0; i < verdict->count; i++) {
    buf_put_text(out, i == 0 ? "[" : ",");
    put_finding_json(&verdict->finding[i], out);
  }
  buf_put_text(out, verdict->count ? "]}\n" : "[]}\n");
}

/* ---- HTML ---- */

static const char page_head[] =
    "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Viaduct doctor</title>"
    "<meta name=\"viewport\" content=\"width=device-width\"><style>"
    ":root{color-scheme:light dark;font:16px/1.5 system-ui,sans-serif}"
    "body{max-width:60rem;margin:2rem auto;padding:0 1rem}"
    "table{border-collapse:collapse;width:100%}td,th{padding:.4rem .6rem;text-align:left;"
    "border-bottom:1px solid #8884}td:nth-child(3){white-space:nowrap}code{font-size:.9em}"
    ".s{display:inline-block;width:1.1rem;height:1.1rem;border-radius:50%;margin-right:.2rem;"
    "background:#8883}.g{background:#1a7f37}.b{background:#cf222e}"
    "section{border-left:4px solid #cf222e;padding:.2rem 1rem;margin:1rem 0;background:#8881}"
    "section.note{border-color:#bf8700}</style>";

static void put_escaped(const char *text, struct buf *out)
{
  for (; *text; text++) {
    if (*text == '<')
      buf_put_text(out, "&lt;");
    else if (*text == '&')
      buf_put_text(out, "&amp;");
    else
      buf_put_byte(out, (uint8_t)*text);
  }
}

/* A dot for each step: green up to where it came, red where it ended. */
static void put_way_html(const struct doctor_probe *p, struct buf *out)
{
  char uri[URI_TEXT_SIZE];
  const int last = p->uri.is_turn ? DOCTOR_ECHO : DOCTOR_BIND;
  buf_put_text(out, "<tr><td><code>");
  put_escaped(uri_format(&p->uri, uri), out);
  buf_put_text(out, "</code><td>");
  buf_put_text(out, family_name(p));
  buf_put_text(out, "<td>");
  for (int step = DOCTOR_RESOLVE; step <= last; step++) {
    buf_put_text(out, "<span class=\"s");
    if (step <= (int)p->step)
      buf_put_text(out, step < (int)p->step ? " g" : " b");
    buf_put_text(out, "\" title=\"");
    buf_put_text(out, doctor_step_name((enum doctor_step)step));
    buf_put_text(out, "\"></span>");
  }
  buf_put_text(out, "<td>");
  if (p->step == DOCTOR_DONE)
    put_measured(p, out);
  else
    buf_put_text(out, doctor_step_name(p->step));
  buf_put_text(out, "</tr>");
}

static void put_finding_html(const struct doctor_facts *f, const struct doctor_finding *finding,
                             struct buf *out)
{
  const struct doctor_row *row = doctor_row(finding->cause);
  char uri[URI_TEXT_SIZE];
  buf_put_text(out, row->severity == DOCTOR_BAD ? "<section>" : "<section class=\"note\">");
  if (finding->probe >= 0) {
    buf_put_text(out, "<code>");
    put_escaped(uri_format(&f->probe[finding->probe].uri, uri), out);
    buf_put_text(out, "</code>: ");
  }
  put_escaped(row->what, out);
  if (finding->probe >= 0 && f->probe[finding->probe].said[0]) {
    buf_put_text(out, " (");
    put_escaped(f->probe[finding->probe].said, out);
    buf_put_text(out, ")");
  }
  buf_put_text(out, ".<br><b>What helps:</b> ");
  put_escaped(row->mend, out);
  buf_put_text(out, ".</section>");
}

void report_put_html(const struct doctor_facts *facts, const struct doctor_verdict *verdict,
                     struct buf *out)
{
  buf_put(out, page_head, sizeof page_head - 1);
  buf_put_text(out, "<h1>");
  buf_put_text(out, summary(verdict));
  buf_put_text(out, "</h1>");
  for (size_t i = 0; i < verdict->count; i++)
    put_finding_html(facts, &verdict->finding[i], out);
  buf_put_text(out, "<table><tr><th>way<th>family<th>steps<th>result</tr>");
  for (size_t i = 0; i < facts->count; i++)
    put_way_html(&facts->probe[i], out);
  buf_put_text(out, "</table></html>\n");
}
